"""The report of a check of training data, on the terminal and as JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songsplit.data.check import CheckedSong, Report
from songsplit.data.findings import Finding, Severity
from songsplit.data.songs import AudioPart

_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "info": "dim"}


def print_report(report: Report, console: Console) -> None:
    """Print a table of the songs, everything found, and totals.

    Parameters
    ----------
    report : Report
    console : rich.console.Console
        Where to print.
    """
    if report.songs:
        console.print(_table(report))
    for checked in report.songs:
        if checked.findings:
            console.print(Text(_printable(checked.song.name), style="bold"), soft_wrap=True)
            _print_findings(checked.findings, report.folder, console)
    if report.passed_over:
        console.print(Text("passed over", style="bold"))
        _print_findings(report.passed_over, report.folder, console)
    for line in _totals(report):
        console.print(Text(line), soft_wrap=True)


def report_json(report: Report) -> dict[str, Any]:
    """Put a report into values that JSON can hold.

    Parameters
    ----------
    report : Report

    Returns
    -------
    dict
        With the keys ``folder``, ``kind``, ``songs``, ``passed_over`` and ``totals``. Paths
        are relative to the folder.
    """
    return {
        "folder": _printable(str(report.folder)),
        "kind": report.kind,
        "songs": [_song_json(checked, report.folder) for checked in report.songs],
        "passed_over": _findings_json(report.passed_over, report.folder),
        "totals": {
            "songs": len(report.songs),
            "usable": len(report.usable),
            "passed_over": len(report.passed_over),
            "errors": report.count("error"),
            "warnings": report.count("warning"),
            "hours": {stem: round(hours, 4) for stem, hours in report.hours.items()},
        },
    }


def _song_json(checked: CheckedSong, folder: Path) -> dict[str, Any]:
    def part(of: AudioPart) -> dict[str, Any]:
        return {"path": _relative(of.path, folder), "stream": of.stream}

    song = checked.song
    return {
        "name": _printable(song.name),
        "usable": checked.usable,
        "stems": {stem: [part(of) for of in parts] for stem, parts in song.stems.items()},
        "mixture": part(song.mixture) if song.mixture else None,
        "seconds": _rounded(checked.seconds),
        "peak": _rounded(checked.peak),
        "sum_error_db": _rounded(checked.sum_error),
        "findings": _findings_json(checked.findings, folder),
    }


def _findings_json(findings: Iterable[Finding], folder: Path) -> list[dict[str, str]]:
    return [
        {
            "severity": finding.severity,
            "path": _relative(finding.path, folder),
            "text": _printable(finding.text),
        }
        for finding in findings
    ]


def _table(report: Report) -> Table:
    table = Table("song", box=SIMPLE_HEAD)
    table.add_column("stems", no_wrap=True)
    for heading in ("length", "peak", "mixture - sum", "found"):
        table.add_column(heading, justify="left" if heading == "found" else "right", no_wrap=True)
    for checked in report.songs:
        counts = {s: sum(f.severity == s for f in checked.findings) for s in _STYLES}
        found = Text(", ").join(
            Text(_counted(counts[s], s) if s != "info" else "info", style)
            for s, style in _STYLES.items()
            if counts[s]
        )
        table.add_row(
            Text(_printable(checked.song.name)),
            ", ".join(checked.stems) + (", mixture" if checked.song.mixture else ""),
            _clock(checked.seconds),
            "-" if checked.peak is None else f"{checked.peak:.3f}",
            "-" if checked.sum_error is None else f"{checked.sum_error:.1f} dB",
            found if found.plain else Text("ok"),
        )
    return table


def _print_findings(findings: Iterable[Finding], folder: Path, console: Console) -> None:
    for finding in findings:
        line = Text("  ")
        line.append(finding.severity, _STYLES[finding.severity])
        line.append(f" {_relative(finding.path, folder)}: {_printable(finding.text)}")
        console.print(line, soft_wrap=True)


def _totals(report: Report) -> Iterable[str]:
    songs = f"{len(report.usable)} of {_counted(len(report.songs), 'song')} can be used"
    hours = ", ".join(f"{stem} {hours:.2f}" for stem, hours in report.hours.items())
    yield songs + (f"; hours by stem: {hours}" if hours else "")
    yield (
        f"{_counted(report.count('error'), 'error')}, "
        f"{_counted(report.count('warning'), 'warning')}, {len(report.passed_over)} passed over"
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = math.floor(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _relative(path: Path, folder: Path) -> str:
    return _printable(path.relative_to(folder).as_posix())


def _printable(text: str) -> str:
    """Show bytes of a file name that are no text as escapes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
