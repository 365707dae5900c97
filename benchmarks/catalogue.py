"""How many songs a second a catalogue takes, beside the plain command on the same songs.

``python benchmarks/catalogue.py`` separates made-up songs with ``songsplit FOLDER`` and with
``songsplit catalogue`` with one and two actors. Rates are those after the first songs, when each
program has loaded what it needs, by the times at which stems were finished. The memory is the
highest resident set of one process that separates. Last comes what writing and reading outcomes
takes.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from songsplit.catalogue.outcomes import OutcomeLog
from songsplit.catalogue.stores import Store

RATE, WARM = 44100, 6  # songs until all actors are at work
OUTCOMES = 1000
ACTOR = b"ray::MapWorker"


def measure(arguments: list[str], output: Path) -> tuple[float, float, float]:
    """Run the command; give seconds in all, songs a second once warm, and bytes of a process."""
    peaks: dict[int, int] = {}
    start = time.monotonic()
    command = [sys.executable, "-m", "songsplit", *arguments, "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        for folder in Path("/proc").glob("[0-9]*"):
            note_peak(folder, process.pid, peaks)
        time.sleep(0.5)
    seconds = time.monotonic() - start
    if process.returncode:
        raise SystemExit(f"{command} failed")
    finished = sorted(path.stat().st_mtime for path in output.rglob("vocals.flac"))
    rate = (len(finished) - WARM) / (finished[-1] - finished[WARM - 1])
    return seconds, rate, max(peaks.values())


def note_peak(folder: Path, command: int, peaks: dict[int, int]) -> None:
    """Note the highest memory of a process if it separates: the command itself, or an actor."""
    try:
        if int(folder.name) == command or (folder / "cmdline").read_bytes().startswith(ACTOR):
            found = re.search(r"VmHWM:\s*(\d+)", (folder / "status").read_text())
            peaks[int(folder.name)] = int(found[1]) * 1024 if found else 0
    except OSError:
        pass  # it has just ended


def outcome_seconds(folder: Path) -> tuple[float, float]:
    """Return how long an outcome takes to be written and read."""
    log, row = OutcomeLog(Store(str(folder))), {"uri": "s3://bucket/song.flac", "status": "done"}
    start = time.monotonic()
    for number in range(OUTCOMES):
        log.write(f"{number:032x}", row)
    written = time.monotonic()
    log.read_all()
    return (written - start) / OUTCOMES, (time.monotonic() - written) / OUTCOMES


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder:
        songs = Path(folder, "songs")
        songs.mkdir()
        rng = np.random.default_rng(0)
        for number in range(options.songs):
            # Stereo with a part that both channels share: others are separated as two mono songs.
            shared, own = rng.normal(0, 0.1, (2, options.seconds * RATE, 2))
            song = (shared[:, :1] + own).clip(-1, 1)
            soundfile.write(songs / f"{number:03}.wav", song, RATE, subtype="PCM_16")
        table = Table("program", "in all", "songs a second, warm", "memory of a process")
        for label, arguments in {
            "songsplit": ["split", "--format", "flac"],
            "songsplit catalogue, 1 actor": ["catalogue", "--actors", "1"],
            "songsplit catalogue, 2 actors": ["catalogue", "--actors", "2"],
        }.items():
            output = Path(folder, label)
            seconds, rate, peak = measure([*arguments, str(songs), "-o", str(output)], output)
            table.add_row(label, f"{seconds:.0f} s", f"{rate:.3f}", f"{peak / 1e6:.0f} MB")
        written, read = outcome_seconds(Path(folder, "outcomes"))
    console.print(f"{options.songs} songs of {options.seconds} s, {os.cpu_count()} cores")
    console.print(table)
    console.print(f"an outcome: {written * 1e3:.1f} ms to write, {read * 1e3:.1f} ms to read")


if __name__ == "__main__":
    main()
