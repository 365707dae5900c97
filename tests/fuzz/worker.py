"""Fuzzing in a process of its own, so that what crashes or hangs it is known."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Timer

from tests.fuzz.targets import TARGETS

HANG_SECONDS = 60.0
"""How long one input may take."""

_COMMAND = ("-m", "tests.fuzz.worker")
_MEMORY = 3 << 30


@dataclass
class Report:
    """What came of fuzzing.

    Attributes
    ----------
    inputs : Counter
        How many inputs each target was given.
    findings : list of (str, bytes, str)
        Target, input and what happened.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, bytes, str]] = field(default_factory=list)


def spoiled(target: str, seed: int) -> bytes:
    """Make the input that a number stands for."""
    chosen, rng = TARGETS[target], Random(f"{target} {seed}")
    seeds = chosen.seeds()
    return chosen.mutate(rng.choice(seeds), rng, seeds)


def fuzz(target: str, first: int, count: int) -> Report:
    """Try inputs of a target in other processes, and start another where one is lost.

    Parameters
    ----------
    target : str
    first, count : int
        Numbers of the inputs.

    Returns
    -------
    Report
    """
    report, at, end = Report(), first, first + count
    while at < end:
        last = at
        for last, words in _worker(target, at, end):
            if words:
                report.findings.append((target, spoiled(target, last), words))
        if last < end:
            words = "the process crashed, hung or wanted too much memory"
            report.findings.append((target, spoiled(target, last), words))
            last += 1
        at = last
    report.inputs[target] += count
    return report


def _worker(target: str, first: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield numbers of inputs that are reached, and what was found at them."""
    command = [sys.executable, *_COMMAND, target, str(first), str(end)]
    with (
        tempfile.TemporaryFile() as trash,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=trash) as process,
    ):
        assert process.stdout is not None
        while True:
            watch = Timer(HANG_SECONDS, process.kill)
            watch.start()
            line = process.stdout.readline()
            watch.cancel()
            if not line.endswith(b"\n"):
                process.kill()
                return
            number, words = json.loads(line)
            yield number, words


def _main(target: str, first: int, end: int) -> None:
    _limit_memory()
    chosen = TARGETS[target]
    for number in range(first, end):
        _say(number, "")
        data = spoiled(target, number)
        try:
            chosen.run(data)
        except Exception:
            _say(number, traceback.format_exc())
    _say(end, "")


def _say(number: int, words: str) -> None:
    sys.__stdout__.write(json.dumps((number, words)) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
