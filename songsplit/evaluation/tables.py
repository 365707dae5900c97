"""Printing scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songsplit.evaluation.scores import METRICS
from songsplit.evaluation.summary import (
    ALL_MEASURES,
    Results,
    songs_counted,
    summarize,
    target_order,
)

_NUMBER_WIDTH = 6  # as in -12.34
_PADDING = 2
_NAME_WIDTH = 20  # longer names get what is left beside the numbers, or further lines

# Headings are no wider than their columns need to be.
_HEADINGS = {"accompaniment": "accomp."}
_SONG_COLUMNS = (*METRICS, "uSDR")
_STATISTICS = {
    "median": "median",
    "mean": "mean",
    "lower_quartile": "25 %",
    "upper_quartile": "75 %",
    "songs": "songs",
}


def print_results(results: Results, console: Console) -> None:
    """Print the first system's scores song by song, then all systems beside each other.

    Figures of songs are medians over frames, and one figure for the whole song in the case
    of uSDR and SI-SDR; all are in dB, and "-" stands for none. Where a table with all
    targets is wider than the console, there is a table for some of them at a time. Figures
    over songs are, of all systems, over the songs that the first has a score in, which is
    said below where songs are missing. What failed and what there is to know of other songs
    comes last.

    Parameters
    ----------
    results : mapping of str to mapping of str to TrackScores
        By system and song; the first system is the one to print song by song.
    console : rich.console.Console
        Where to print, at best 80 columns wide or more.
    """
    if not results:
        return
    summary = summarize(results)
    targets = target_order(results)
    judged = next(iter(results))
    songs = summary[judged]["songs"]
    overall = {system: content["overall"] for system, content in summary.items()}

    _print_tables(
        f"{judged}, song by song: median over frames, uSDR of the whole song (dB)",
        "song",
        targets,
        {name: name for name in _SONG_COLUMNS},
        songs,
        lambda song, target, column: _value(songs[song], target, column),
        console,
    )
    _print_tables(
        "SDR over songs, of each the median over frames (dB)",
        "system",
        targets,
        _STATISTICS,
        overall,
        lambda system, target, column: _value(overall[system], target, "SDR", column),
        console,
    )
    _print_tables(
        "all measures, median over songs (dB)",
        "system",
        targets,
        {name: name for name in ALL_MEASURES},
        overall,
        lambda system, target, column: _value(overall[system], target, column, "median"),
        console,
    )
    counted = songs_counted(summary)
    if counted:
        console.print("not over all songs:")
    for line in counted:
        console.print(plain(line))
    _print_remarks(results, console)


def plain(name: str) -> Text:
    """Make a name fit to print: no markup, no characters that a terminal cannot encode.

    Parameters
    ----------
    name : str
        Name of a song or system, perhaps one of a file whose name is no text.

    Returns
    -------
    rich.text.Text
    """
    return Text(name.encode("utf-8", "backslashreplace").decode("utf-8"))


def empty_table(title: str, first: str) -> Table:
    """Start a table whose first column is for names.

    Parameters
    ----------
    title : str
        What stands above it.
    first : str
        Heading of the first column.

    Returns
    -------
    rich.table.Table
    """
    table = Table(title=plain(title), title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column(first, overflow="fold")
    return table


def _print_tables(
    title: str,
    first: str,
    targets: Sequence[str],
    columns: Mapping[str, str],
    names: Mapping[str, Any],
    cell: Callable[[str, str, str], float | int | None],
    console: Console,
) -> None:
    """Print a row per name, with a group of columns (key: heading) for each target."""
    group = len(columns) * (_NUMBER_WIDTH + _PADDING)
    at_once = max(1, (console.width - _NAME_WIDTH - _PADDING) // group)
    for start in range(0, len(targets), at_once):
        shown = targets[start : start + at_once]
        table = empty_table(title, f"\n{first}")
        for target in shown:
            for index, heading in enumerate(columns.values()):
                table.add_column(
                    f"{_HEADINGS.get(target, target) if index == 0 else ''}\n{heading}",
                    justify="right",
                    no_wrap=True,
                    min_width=_NUMBER_WIDTH,
                )
        for name in names:
            values = [cell(name, target, column) for target in shown for column in columns]
            table.add_row(plain(name), *map(_cell, values))
        console.print(table)


def _print_remarks(results: Results, console: Console) -> None:
    """Print each remark once for a song, with the systems that it is about."""
    failed: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    other: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for system, songs in results.items():
        for name, scores in songs.items():
            if not scores.targets:
                failed[name, scores.remark or "not scored"].append(system)
            elif scores.remark:
                other[name, scores.remark].append(system)
    for heading, lines in (("failed", failed), ("remarks", other)):
        if lines:
            console.print(f"{heading}:")
        for (name, remark), systems in lines.items():
            text = plain(f"  {name} ({', '.join(systems)}): {remark}")
            console.print(text, soft_wrap=True)


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _value(content: Mapping[str, Any], *keys: str) -> float | int | None:
    """Follow the keys down; None where a target was not scored."""
    found: Any = content
    for key in keys:
        if key not in found:
            return None
        found = found[key]
    value: float | int | None = found
    return value
