"""A batch that is killed again and again: is every file whole, and does a rerun complete it?

Run it as ``python -m tests.reliability.kills --kills 200``. It prints a table of figures and
ends with status 1 if there was any fault.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import heed_interrupts
from tests.reliability.songs import contents, empty_folders, hidden, make_songs

ROOT = Path(__file__).parents[2]
# Whoever uses SIGKILL gives the program no chance to tidy up; the others do.
_SIGNALS = (signal.SIGKILL,) * 6 + (signal.SIGTERM,) * 2 + (signal.SIGINT,) * 2
_EARLY = 0.15  # share of kills while the program starts
_LIMIT = 300.0  # seconds after which a run counts as hanging


@dataclass
class Figures:
    """What was seen."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By signal, and by what the program was at."""
    too_late: int = 0
    """Runs that had ended before they could be killed."""
    completed: int = 0
    """Batches that were complete in the end."""
    checked: int = 0
    """Finished files that were compared with those of the undisturbed run."""
    leftovers: Counter[str] = field(default_factory=Counter)
    """Temporary files, and folders without files, by the signal before."""
    codes: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Exit codes, by signal."""
    faults: list[str] = field(default_factory=list)


class Killer:
    """Starts a batch and kills it.

    Parameters
    ----------
    work : Path
        An empty folder to work in.
    songs : int
        How many songs the batch has.
    options : sequence of str
        More options for the command.
    seed : int
        What the moments of the kills depend on, as far as a program's speed allows.
    """

    def __init__(self, work: Path, songs: int, options: Sequence[str], seed: int) -> None:
        self._random = random.Random(seed)
        self._songs, self._out = work / "songs", work / "out"
        self._known: set[Path] = set()
        self._known_folders: set[Path] = set()
        make_songs(self._songs, songs)
        self._options = options
        self.figures = Figures()
        started = time.monotonic()
        undisturbed = self._start(work / "undisturbed")
        self._wait_for_song(undisturbed)
        self.start_seconds = time.monotonic() - started
        undisturbed.communicate(timeout=_LIMIT)
        self.seconds = time.monotonic() - started
        if undisturbed.returncode:
            raise RuntimeError("the undisturbed run failed")
        self.reference = contents(work / "undisturbed")
        self._signals = iter(itertools.cycle(_SIGNALS))

    def kill_once(self) -> None:
        """Start the batch, kill it at a random moment, and look at what is there."""
        early = self._random.random() < _EARLY
        number = next(self._signals)
        process = self._start(self._out)
        # Measured from the first song: the time until then varies more than that after it.
        if early:
            time.sleep(self._random.uniform(0, self.start_seconds))
        else:
            self._wait_for_song(process)
            left = 1 - len(contents(self._out)) / len(self.reference)
            time.sleep(self._random.uniform(0, left * (self.seconds - self.start_seconds)))
        ended = process.poll() is not None
        stage = self._stage()
        process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.figures.faults.append(f"did not end within {_LIMIT:.0f} s of {number.name}")
            return
        if ended:
            self.figures.too_late += 1
        else:
            self.figures.kills[number.name, "start" if early else stage] += 1
            self.figures.codes[number.name, process.returncode] += 1
        self._check(number if not ended else None, errors)
        if contents(self._out).keys() == self.reference.keys():
            self.complete()

    def complete(self) -> None:
        """Let the batch end undisturbed, compare, and clear the output folder."""
        process = self._start(self._out)
        _, errors = process.communicate(timeout=_LIMIT)
        faults = self.figures.faults
        if process.returncode:
            faults.append(f"the rerun ended with {process.returncode}: {errors[-500:]!r}")
        found = contents(self._out)
        if found != self.reference:
            differing = sorted(dict(found.items() ^ self.reference.items()))
            faults.append(f"the completed batch differs: {differing}")
        if left := hidden(self._out):
            faults.append(f"the rerun left {[path.name for path in left]}")
        self.figures.completed += 1
        shutil.rmtree(self._out)

    def _start(self, out: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "songsplit", str(self._songs), "--output", str(out)]
        return subprocess.Popen(
            [*command, "--device", "cpu", *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # Waiting threads must not keep others waiting where the machine is busy.
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=heed_interrupts,
        )

    @staticmethod
    def _wait_for_song(process: subprocess.Popen[str]) -> None:
        """Wait until the program names the first song that it begins."""
        assert process.stderr is not None
        for line in process.stderr:
            if not line.startswith(("  kept", "songsplit:")):
                return

    def _stage(self) -> str:
        """Say what the program is at, by what is on the disk."""
        if not self._out.exists():
            return "first song"
        if hidden(self._out):
            return "writing"
        return "between songs"

    def _check(self, number: signal.Signals | None, errors: str) -> None:
        figures, found = self.figures, contents(self._out)
        figures.checked += len(found)
        for name, digest in found.items():
            if self.reference.get(name) != digest:
                figures.faults.append(f"{name} is not what it should be")
        if number is None:
            return
        left, empty = hidden(self._out), empty_folders(self._out)
        figures.leftovers[f"files after {number.name}"] += len(left)
        figures.leftovers[f"empty folders after {number.name}"] += len(empty)
        # Files of an earlier SIGKILL stay until their song is begun again: only what is of
        # this process is its fault.
        if number is signal.SIGKILL:
            self._known, self._known_folders = set(left), set(empty)
            return
        fresh = [path.name for path in left if path not in self._known]
        # A folder in which it cleared up such files and then was stopped is not.
        fresh_folders = [] if self._known else sorted(set(empty) - self._known_folders)
        if fresh or fresh_folders:
            what = fresh or fresh_folders
            figures.faults.append(f"{number.name} left {what}: {errors[-300:]!r}")


def kill(
    kills: int, *, songs: int = 12, options: Sequence[str] = (), seed: int = 0
) -> tuple[Killer, Figures]:
    """Kill a batch a number of times, and let it complete in the end."""
    with tempfile.TemporaryDirectory() as folder:
        killer = Killer(Path(folder), songs, options, seed)
        while sum(killer.figures.kills.values()) < kills:
            killer.kill_once()
        killer.complete()
    return killer, killer.figures


def _table(figures: Figures) -> Mapping[str, object]:
    rows: dict[str, object] = {"kills": sum(figures.kills.values())}
    for (name, stage), count in sorted(figures.kills.items()):
        rows[f"  {name}, {stage}"] = count
    rows["runs that ended before the kill"] = figures.too_late
    rows["finished files compared"] = figures.checked
    rows["batches completed by a rerun"] = figures.completed
    rows |= {f"left: {what}": count for what, count in sorted(figures.leftovers.items())}
    rows |= {f"exit code {code} after {n}": c for (n, code), c in sorted(figures.codes.items())}
    return rows | {"faults": len(figures.faults)}


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--songs", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--format", default="wav")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    options = ("--jobs", str(given.jobs), "--format", given.format)
    started = time.monotonic()
    killer, figures = kill(given.kills, songs=given.songs, options=options, seed=given.seed)
    print(  # noqa: T201
        f"an undisturbed run: {killer.seconds:.1f} s, of which until the first song "
        f"{killer.start_seconds:.1f} s; {time.monotonic() - started:.0f} s in all"
    )
    for what, value in _table(figures).items():
        print(f"{what:40} {value}")  # noqa: T201
    for fault in figures.faults:
        print(f"FAULT: {fault}")  # noqa: T201
    raise SystemExit(bool(figures.faults))


if __name__ == "__main__":
    main()
