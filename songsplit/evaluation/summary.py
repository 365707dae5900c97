"""Summarise scores over songs and compare two systems, as values, CSV and tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songsplit.errors import DataError
from songsplit.evaluation.track_scores import ALL_MEASURES, FIVE_TARGETS, METRICS, TrackScores
from songsplit.files import write_text
from songsplit.naming import printable

# Scores by system and by song; the first system is the evaluated one.
Results: TypeAlias = Mapping[str, Mapping[str, TrackScores]]
# Results of `summarize`, in the same order.
Summary: TypeAlias = Mapping[str, Mapping[str, Any]]

_SIGNED = "+.2f"
# Intervals and tests need at least this many songs.
_MIN_PAIRS = 3


def summarize(results: Results) -> dict[str, dict[str, Any]]:
    """Summarise scores: one figure for each song, then statistics over songs.

    Medians over different songs cannot be compared. Therefore ``overall`` covers, for all systems,
    the songs for which the first system has a figure (or all songs, if it has none). Figures have 5
    decimals, and None is a missing or infinite figure.
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
    everything = [song for songs in results.values() for song in songs.values()]
    targets = {target for song in everything for target in song.targets}
    for target in sorted(targets, key=FIVE_TARGETS.index):
        for content in found.values():
            content["overall"][target] = {}
            for measure in ALL_MEASURES:
                figures = figures_of(content["songs"], target, measure)
                compared = figures_of(judged, target, measure).keys() or figures.keys()
                values = [value for song, value in figures.items() if song in compared]
                content["overall"][target][measure] = _statistics(values)
    return found


def figures_of(songs: Mapping[str, Any], target: str, measure: str) -> dict[str, float]:
    """Return the figures of the songs that have one."""
    figures = {name: song.get(target, {}).get(measure) for name, song in songs.items()}
    return {name: value for name, value in figures.items() if value is not None}


def _statistics(values: list[float]) -> dict[str, float | int | None]:
    names = ("lower_quartile", "median", "upper_quartile")
    quartiles = np.quantile(values, [0.25, 0.5, 0.75]) if values else [math.nan] * 3
    mean = float(np.mean(values)) if values else math.nan
    return {
        **{name: _finite(value) for name, value in zip(names, quartiles, strict=True)},
        "mean": _finite(mean),
        "songs": len(values),
    }


def write_csv(path: Path, summary: Summary) -> None:
    """Write a row for each system, song and target; cells without a figure are empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ("system", "song", "target", *ALL_MEASURES, "remark"))
    writer.writeheader()
    for system, content in summary.items():
        for song, targets in content["songs"].items():
            row = {"system": system, "song": song, "remark": content["remarks"].get(song)}
            # A song without scores also gets a row.
            for target, figures in targets.items() or [("", {})]:
                writer.writerow({**row, "target": target, **figures})
    write_text(path, text.getvalue())


def print_results(summary: Summary, console: Console) -> None:
    """Print the first system's scores by song, a table of all systems, and remarks."""
    judged, content = next(iter(summary.items()))
    columns = (*METRICS, "uSDR")
    for target in content["overall"]:
        rows = [
            [name, *(cell(scores.get(target, {}).get(m)) for m in columns)]
            for name, scores in content["songs"].items()
        ]
        _print_table(console, f"{judged}, {target}, song by song (dB)", ("song", *columns), rows)
    medians = ALL_MEASURES[1:]
    heads = ("system", "SDR", "mean", "25 %", "75 %", *medians, "mean uSDR", "songs")
    for target in content["overall"]:
        rows = []
        for system, found in summary.items():
            measures = found["overall"][target]
            sdr = measures["SDR"]
            figures = [sdr[key] for key in ("median", "mean", "lower_quartile", "upper_quartile")]
            figures += [measures[measure]["median"] for measure in medians]
            cells = map(cell, [*figures, measures["uSDR"]["mean"]])
            rows.append([system, *cells, str(sdr["songs"])])
        _print_table(console, f"{target}, medians over songs (dB)", heads, rows)
    # Most remarks concern the song and are the same for all systems.
    remarks: dict[tuple[str, str, str], list[str]] = {}
    for system, found in summary.items():
        for name, remark in found["remarks"].items():
            kind = "remark" if found["songs"][name] else "failed"
            remarks.setdefault((kind, name, remark), []).append(system)
    for (kind, name, remark), systems in remarks.items():
        say(console, f"{kind}: {name} ({', '.join(systems)}): {remark}")


def print_comparison(first: Path, second: Path, console: Console) -> None:
    """Compare the first systems of two summaries on the songs that both have scored.

    Differences are B - A in dB, with the 95 % bootstrap interval of the mean (percentiles of 10 000
    resamples with a fixed seed) and the two-sided p value of the Wilcoxon signed-rank test.
    """
    a, b = _read(first), _read(second)
    common = [song for song in a["scores"] if song in b["scores"]]
    if not common:
        raise DataError(
            f"{first} and {second} have no scored song in common: score both systems on the same "
            "songs"
        )
    different = [song for song in common if a["songs"].get(song) != b["songs"].get(song)]
    if different:
        raise DataError(
            f"{first} and {second}: the audio of {', '.join(map(repr, different[:3]))} differs: "
            "score both systems against the same references"
        )
    say(console, f"A: {a['name']}, B: {b['name']}")
    if a["settings"] != b["settings"]:
        say(
            console,
            f"warning: A was scored with {a['settings']}, B with {b['settings']}, which may cause "
            "small differences",
        )
    heads = ("measure", "songs", "median", "mean", "95 % interval", "p", "better/worse/equal")
    sdr: dict[str, dict[str, float]] = {}
    for target in FIVE_TARGETS:
        rows = []
        for measure in ALL_MEASURES:
            old, new = (figures_of(found["scores"], target, measure) for found in (a, b))
            # Summaries have 5 decimals, so smaller differences are rounding errors.
            by_song = {s: round(new[s] - old[s], 5) for s in common if s in old and s in new}
            if by_song:
                rows.append([measure, *_difference(list(by_song.values()))])
            if by_song and measure == "SDR":
                sdr[target] = by_song
        if rows:
            _print_table(console, f"{target}, B - A (dB)", heads, rows)
    rows = [[song, *(cell(d.get(song), _SIGNED) for d in sdr.values())] for song in common]
    _print_table(console, "SDR song by song, B - A (dB)", ("song", *sdr), rows)
    for song in sorted(set(a["scores"]) ^ set(b["scores"])):
        say(console, f"left out, because only one of the two has scored it: {song}")
    console.print(
        "interval: bootstrap of the mean; p: Wilcoxon signed-rank test of each measure, not "
        "corrected for multiple tests"
    )


def _read(path: Path) -> dict[str, Any]:
    """Read a summary, and add the name and scores of its first system."""
    file = path / "summary.json" if path.is_dir() else path
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name, system = next(iter(content["systems"].items()))
        scores = {song: targets for song, targets in system["songs"].items() if targets}
        return {**content, "name": name, "scores": scores, "settings": dict(content["settings"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(
            f"{file}: not a summary of scores ({error}): name a folder that evaluate.py of this "
            "version wrote"
        ) from error


def _difference(values: Sequence[float]) -> list[str]:
    """Return the statistics of differences between songs as the cells of a row."""
    from scipy.stats import bootstrap, wilcoxon  # imports slowly

    interval, p = "-", "-"
    if len(values) >= _MIN_PAIRS:
        found = bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=0)
        interval = " to ".join(cell(end, _SIGNED) for end in found.confidence_interval)
    changed = [value for value in values if value != 0]
    if len(changed) >= _MIN_PAIRS:
        p = f"{wilcoxon(changed).pvalue:.2g}"
    middle, mean = (cell(float(of(values)), _SIGNED) for of in (np.median, np.mean))
    won, lost = sum(value > 0 for value in values), sum(value < 0 for value in values)
    counts = f"{won}/{lost}/{len(values) - won - lost}"
    return [str(len(values)), middle, mean, interval, p, counts]


def _print_table(
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
    """Print a line without wrapping."""
    console.print(_plain(text), soft_wrap=True)


def _plain(text: str) -> Text:
    return Text(printable(text))  # names are not parsed as markup


def cell(value: float | None, form: str = ".2f") -> str:
    """Format a figure in dB; "-" if there is none."""
    return "-" if value is None else format(value, form)


def _finite(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
