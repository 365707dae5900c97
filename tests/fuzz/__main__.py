"""Fuzzing for as long as one likes: ``python -m tests.fuzz --minutes 60 --found FOLDER``."""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import Report, fuzz

_ROUND = 1000  # inputs of a target before it is the next one's turn


def main() -> None:
    """Fuzz all targets in turn, keep what was found, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--target", choices=TARGETS, action="append", help="by default, all")
    parser.add_argument("--seed", type=int, default=0, help="number of the first input")
    parser.add_argument("--found", type=Path, help="folder for inputs that break something")
    options = parser.parse_args()
    total, first, console = Report(), options.seed, Console()
    begin = time.monotonic()
    seconds = dict.fromkeys(options.target or TARGETS, 0.0)
    while time.monotonic() - begin < 60 * options.minutes:
        # The one that had least time: slow targets would else take nearly all of it.
        target = min(seconds, key=lambda name: seconds[name])
        start = time.monotonic()
        report = fuzz(target, first + total.inputs[target], _ROUND)
        seconds[target] += time.monotonic() - start
        total.inputs.update(report.inputs)
        total.findings += report.findings
        for name, data, words in report.findings:
            console.print(f"{name}: {words.strip().splitlines()[-1]}", markup=False)
            if options.found is not None:
                _keep(options.found, name, data, words)
    table = Table("target", "inputs", "seconds", "findings")
    for name, spent in seconds.items():
        findings = sum(found == name for found, _, _ in total.findings)
        table.add_row(name, str(total.inputs[name]), f"{spent:.0f}", str(findings))
    table.add_row(
        "all", str(total.inputs.total()), f"{sum(seconds.values()):.0f}", str(len(total.findings))
    )
    console.print(table)


def _keep(folder: Path, target: str, data: bytes, words: str) -> None:
    path = folder / target / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(words, encoding="utf-8", errors="replace")


if __name__ == "__main__":
    main()
