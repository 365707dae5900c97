"""Summing up scores over songs: as values for a file, as CSV, and as tables on a terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songsplit.evaluation.scoring import Results
from songsplit.evaluation.track_scores import ALL_MEASURES, FIVE_TARGETS, METRICS, TrackScores
from songsplit.files import write_text

OVERALL_HEADINGS = ("SDR", "mean", "25 %", "75 %", *ALL_MEASURES[1:], "mean uSDR", "songs")

Figure = float | int | None


def summarize(results: Results) -> dict[str, Any]:
    """Sum up scores: one figure for each song, then statistics over songs.

    Medians over different songs cannot be compared: the missing songs may be the easy or the
    hard ones. So ``overall`` is, for all systems, over the songs that the first system has a
    figure in (over all songs, if it has none). Figures have 5 decimals, None stands for none
    or infinite.
    """
    judged = next(iter(results.values()), {})
    targets = targets_of(results)
    found: dict[str, Any] = {}
    for system, songs in results.items():
        overall: dict[str, Any] = {}
        for target in targets:
            for measure in ALL_MEASURES:
                first = {name for name in judged if _known(judged[name], target, measure)}
                chosen = [scores for name, scores in songs.items() if name in first or not first]
                values = [scores.value(target, measure) for scores in chosen]
                overall.setdefault(target, {})[measure] = _statistics(values)
        found[system] = {
            "overall": overall,
            "songs": {
                name: {
                    target: {m: _finite(scores.value(target, m)) for m in ALL_MEASURES}
                    for target in scores.targets
                }
                for name, scores in songs.items()
            },
            "remarks": {name: scores.remark for name, scores in songs.items() if scores.remark},
        }
    return found


def targets_of(results: Results) -> tuple[str, ...]:
    """Give the targets of the first system, or those of all if it was not scored at all."""
    judged = next(iter(results.values()), {})
    everything = [scores for songs in results.values() for scores in songs.values()]
    for group in (list(judged.values()), everything):
        targets = {target for scores in group for target in scores.targets}
        if targets:
            return tuple(target for target in FIVE_TARGETS if target in targets)
    return ()


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


def print_results(results: Results, console: Console) -> None:
    """Print the first system's scores by song, all systems beside each other, and remarks."""
    summary = summarize(results)
    judged = next(iter(results))
    targets = targets_of(results)
    for target in targets:
        table = empty_table(f"{judged}, {target}, song by song (dB)", "song", *METRICS, "uSDR")
        for name, scores in summary[judged]["songs"].items():
            figures = scores.get(target, {})
            table.add_row(plain(name), *(cell(figures.get(m)) for m in (*METRICS, "uSDR")))
        console.print(table)
    for target in targets:
        table = empty_table(f"{target}, medians over songs (dB)", "system", *OVERALL_HEADINGS)
        for system, content in summary.items():
            table.add_row(plain(system), *overall_row(content["overall"][target]))
        console.print(table)
    # Most remarks are about the song, and the same for all systems.
    remarks: dict[tuple[str, str, str], list[str]] = {}
    for system, songs in results.items():
        for name, scores in songs.items():
            if scores.remark:
                kind = "remark" if scores.targets else "failed"
                remarks.setdefault((kind, name, scores.remark), []).append(system)
    for (kind, name, remark), systems in remarks.items():
        console.print(plain(f"{kind}: {name} ({', '.join(systems)}): {remark}"), soft_wrap=True)


def overall_row(measures: Mapping[str, Mapping[str, Figure]]) -> list[str]:
    """Write the statistics of a system in a target as the cells of a row."""
    sdr = measures["SDR"]
    keys = ("median", "mean", "lower_quartile", "upper_quartile")
    medians = [measures[measure]["median"] for measure in ALL_MEASURES[1:]]
    figures = [*(sdr[key] for key in keys), *medians, measures["uSDR"]["mean"]]
    return [*map(cell, figures), str(sdr["songs"])]


def empty_table(title: str, first: str, *columns: str) -> Table:
    """Start a table with a column of names and columns of figures."""
    table = Table(title=plain(title), title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def plain(name: str) -> Text:
    """Make a name fit to print: no markup, no characters that a terminal cannot encode."""
    return Text(name.encode("utf-8", "backslashreplace").decode("utf-8"))


def cell(value: Figure) -> str:
    """Write a figure in dB, "-" for none."""
    return "-" if value is None else f"{value:.2f}"


def _known(scores: TrackScores, target: str, measure: str) -> bool:
    return math.isfinite(scores.value(target, measure))


def _finite(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None


def _statistics(values: list[float]) -> dict[str, Figure]:
    scored = np.array([value for value in values if math.isfinite(value)])
    names = ("lower_quartile", "median", "upper_quartile")
    if not scored.size:
        return {**dict.fromkeys((*names, "mean")), "songs": 0}
    quartiles = map(_finite, np.quantile(scored, [0.25, 0.5, 0.75]))
    return {
        **dict(zip(names, quartiles, strict=True)),
        "mean": _finite(np.mean(scored)),
        "songs": int(scored.size),
    }
