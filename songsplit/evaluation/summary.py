"""Summing up scores over songs: as values for a file, as CSV, and as tables on a terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songsplit.evaluation.scoring import Results
from songsplit.evaluation.track_scores import ALL_MEASURES, FIVE_TARGETS, METRICS
from songsplit.files import write_text
from songsplit.naming import printable

OVERALL_HEADINGS = ("SDR", "mean", "25 %", "75 %", *ALL_MEASURES[1:], "mean uSDR", "songs")

Figure: TypeAlias = float | int | None
# Values by system, of which the first is judged.
Summary: TypeAlias = Mapping[str, Mapping[str, Any]]


def summarize(results: Results) -> dict[str, dict[str, Any]]:
    """Sum up scores: one figure for each song, then statistics over songs.

    Medians over different songs cannot be compared. So ``overall`` is, for all systems, over the
    songs that the first system has a figure in (over all songs, if it has none). Figures have 5
    decimals, None stands for none or infinite.
    """
    found: dict[str, dict[str, Any]] = {
        system: {
            "overall": {},
            "songs": {
                name: {
                    target: {m: _finite(scores.value(target, m)) for m in ALL_MEASURES}
                    for target in scores.targets
                }
                for name, scores in songs.items()
            },
            "remarks": {name: scores.remark for name, scores in songs.items() if scores.remark},
        }
        for system, songs in results.items()
    }
    judged = next(iter(found.values()))["songs"]
    everything = [song for content in found.values() for song in content["songs"].values()]
    targets = {target for song in judged.values() for target in song}
    targets = targets or {target for song in everything for target in song}
    for target in sorted(targets, key=FIVE_TARGETS.index):
        for content in found.values():
            content["overall"][target] = {}
            for measure in ALL_MEASURES:
                figures = _figures(content["songs"], target, measure)
                compared = _figures(judged, target, measure).keys() or figures.keys()
                values = [value for song, value in figures.items() if song in compared]
                content["overall"][target][measure] = _statistics(values)
    return found


def _figures(songs: Mapping[str, Any], target: str, measure: str) -> dict[str, float]:
    """Give the figures of the songs that have one."""
    figures = {name: song.get(target, {}).get(measure) for name, song in songs.items()}
    return {name: value for name, value in figures.items() if value is not None}


def _statistics(values: list[float]) -> dict[str, Figure]:
    names = ("lower_quartile", "median", "upper_quartile")
    quartiles = np.quantile(values, [0.25, 0.5, 0.75]) if values else [math.nan] * 3
    mean = float(np.mean(values)) if values else math.nan
    return {
        **{name: _finite(value) for name, value in zip(names, quartiles, strict=True)},
        "mean": _finite(mean),
        "songs": len(values),
    }


def write_csv(path: Path, results: Results) -> None:
    """Write a row for each system, song and target; cells are empty where there is no figure."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    columns = ("system", "song", "target", *ALL_MEASURES, "frames", "frames_scored", "remark")
    writer.writerow(columns)
    for system, songs in results.items():
        for name, scores in songs.items():
            if not scores.targets:
                nothing = [""] * (len(columns) - 3)
                writer.writerow([system, name, *nothing, scores.remark])
            for target in scores.targets:
                figures = [_finite(scores.value(target, measure)) for measure in ALL_MEASURES]
                sdr = scores.frames[target]["SDR"]
                counts = [sdr.size, np.count_nonzero(np.isfinite(sdr))]
                writer.writerow([system, name, target, *figures, *counts, scores.remark])
    write_text(path, text.getvalue())


def print_results(summary: Summary, console: Console) -> None:
    """Print the first system's scores by song, all systems beside each other, and remarks."""
    judged, content = next(iter(summary.items()))
    columns = (*METRICS, "uSDR")
    for target in content["overall"]:
        rows = (
            (name, *(cell(scores.get(target, {}).get(m)) for m in columns))
            for name, scores in content["songs"].items()
        )
        print_table(console, f"{judged}, {target}, song by song (dB)", ("song", *columns), rows)
    for target in content["overall"]:
        rows = (
            (system, *overall_row(found["overall"][target])) for system, found in summary.items()
        )
        heads = ("system", *OVERALL_HEADINGS)
        print_table(console, f"{target}, medians over songs (dB)", heads, rows)
    # Most remarks are about the song, and the same for all systems.
    remarks: dict[tuple[str, str, str], list[str]] = {}
    for system, found in summary.items():
        for name, remark in found["remarks"].items():
            kind = "remark" if found["songs"][name] else "failed"
            remarks.setdefault((kind, name, remark), []).append(system)
    for (kind, name, remark), systems in remarks.items():
        say(console, f"{kind}: {name} ({', '.join(systems)}): {remark}")


def overall_row(measures: Mapping[str, Mapping[str, Figure]]) -> list[str]:
    """Write the statistics of a system in a target as the cells of a row."""
    sdr = measures["SDR"]
    keys = ("median", "mean", "lower_quartile", "upper_quartile")
    medians = [measures[measure]["median"] for measure in ALL_MEASURES[1:]]
    figures = [*(sdr[key] for key in keys), *medians, measures["uSDR"]["mean"]]
    return [*map(cell, figures), str(sdr["songs"])]


def print_table(
    console: Console, title: str, heads: Sequence[str], rows: Iterable[Iterable[str]]
) -> None:
    """Print a table with a column of names and columns of figures."""
    table = Table(title=_plain(title), title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column(heads[0], overflow="fold")
    for head in heads[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(_plain, row))
    console.print(table)


def say(console: Console, text: str) -> None:
    """Print a line, however long."""
    console.print(_plain(text), soft_wrap=True)


def _plain(text: str) -> Text:
    return Text(printable(text))  # no markup in names


def cell(value: Figure) -> str:
    """Write a figure in dB, "-" for none."""
    return "-" if value is None else f"{value:.2f}"


def _finite(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
