"""Comparing two systems on the songs that both were scored on.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall,
   1993, chapter 13 (percentile intervals).
.. [2] F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin, 1945.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from songsplit.errors import DataError, MissingExtraError
from songsplit.evaluation.projections import Floats
from songsplit.evaluation.summary import empty_table, plain
from songsplit.evaluation.track_scores import ALL_MEASURES

# With fewer songs, neither an interval nor a test says anything.
_MIN_PAIRS = 3


@dataclass(frozen=True)
class PairedDifference:
    """What B has over A in one measure, in dB, over the songs that have a score in both.

    `interval` is the 95 % bootstrap interval of the mean [1]_ (percentiles of the means of
    10 000 resamples of the songs, always the same ones), `p` the two-sided p value of the
    Wilcoxon signed-rank test [2]_, of this measure alone. They are None with fewer than
    3 songs. `missing` songs have no score in A or B and do not count.
    """

    target: str
    measure: str
    by_song: Mapping[str, float]
    median: float | None
    mean: float | None
    interval: tuple[float, float] | None
    p: float | None
    wins: int
    losses: int
    ties: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Two systems, A and B, on the same songs; `left_out` songs were scored in one alone."""

    first: str
    second: str
    songs: tuple[str, ...]
    left_out: tuple[str, ...]
    remark: str
    differences: tuple[PairedDifference, ...]


def compare(first: Path, second: Path) -> Comparison:
    """Compare the systems that two summaries are about, song by song.

    A and B are files ``summary.json``, or the folders that hold them; the first system of each
    counts. DataError says that one is unusable, or that they are not of the same songs.
    """
    a, b = _read(first), _read(second)
    common = tuple(song for song in a.songs if song in b.songs)
    if not common:
        raise DataError(
            f"{first} and {second} have no song with scores in common: score both systems on the "
            "same songs"
        )
    different = [song for song in common if a.digests.get(song) != b.digests.get(song)]
    if different:
        raise DataError(
            f"{first} and {second}: the audio of {', '.join(map(repr, different[:3]))} differs "
            "between the two: score both systems against the same references"
        )
    remark = ""
    if a.settings != b.settings:
        remark = (
            f"A was scored with {a.settings}, B with {b.settings}: small differences may come "
            "from that"
        )
    targets = dict.fromkeys(target for song in common for target in a.songs[song])
    return Comparison(
        a.name,
        b.name,
        common,
        tuple(sorted(set(a.songs) ^ set(b.songs))),
        remark,
        tuple(
            _difference(a, b, common, target, measure)
            for target in targets
            if any(target in b.songs[song] for song in common)
            for measure in ALL_MEASURES
        ),
    )


@dataclass(frozen=True)
class _Scored:
    """What is needed of a summary: the first system's songs that have scores."""

    name: str
    settings: Mapping[str, Any]
    songs: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    digests: Mapping[str, str]


def _read(path: Path) -> _Scored:
    file = path / "summary.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        name, system = next(iter(content["systems"].items()))
        songs = {
            song: {
                target: {measure: measures[measure] for measure in ALL_MEASURES}
                for target, measures in targets.items()
            }
            for song, targets in system["songs"].items()
            if targets
        }
        return _Scored(name, dict(content["settings"]), songs, dict(content["songs"]))
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}): give a summary.json that evaluate.py "
            "wrote, or its folder"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(
            f"{file}: not a summary of scores, or of another version: give a summary.json that "
            "this version's evaluate.py wrote"
        ) from error


def _difference(
    a: _Scored, b: _Scored, songs: tuple[str, ...], target: str, measure: str
) -> PairedDifference:
    by_song = {}
    for song in songs:
        old, new = (scored.songs[song].get(target, {}).get(measure) for scored in (a, b))
        if old is not None and new is not None:
            # Summaries have 5 decimals: rounding errors are no difference between songs.
            by_song[song] = round(new - old, 5)
    values = np.array(list(by_song.values()))
    interval, p = _significance(values)
    return PairedDifference(
        target,
        measure,
        by_song,
        float(np.median(values)) if by_song else None,
        float(np.mean(values)) if by_song else None,
        interval,
        p,
        int(np.count_nonzero(values > 0)),
        int(np.count_nonzero(values < 0)),
        int(np.count_nonzero(values == 0)),
        tuple(song for song in songs if song not in by_song),
    )


def _significance(differences: Floats) -> tuple[tuple[float, float] | None, float | None]:
    """Interval of the mean, and p value of the songs that differ."""
    try:
        from scipy.stats import bootstrap, wilcoxon
    except ImportError as error:
        raise MissingExtraError("scipy", "eval") from error
    interval, p = None, None
    if differences.size >= _MIN_PAIRS:
        found = bootstrap(
            (differences,), np.mean, n_resamples=10_000, method="percentile", rng=0
        ).confidence_interval
        interval = float(found.low), float(found.high)
    changed = differences[differences != 0]
    if changed.size >= _MIN_PAIRS:
        p = float(wilcoxon(changed).pvalue)
    return interval, p


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what one system has over another, over all songs and song by song."""
    console.print(plain(f"A: {comparison.first}, B: {comparison.second}"), soft_wrap=True)
    if comparison.remark:
        console.print(plain(f"warning: {comparison.remark}"), soft_wrap=True)
    headings = ("songs", "median", "mean", "95 % interval", "p", "better/worse/equal")
    targets = dict.fromkeys(found.target for found in comparison.differences)
    sdr = {found.target: found for found in comparison.differences if found.measure == "SDR"}
    for target in targets:
        table = empty_table(f"{target}, B - A (dB)", "measure", *headings)
        for found in comparison.differences:
            if found.target == target:
                table.add_row(
                    found.measure,
                    str(len(found.by_song)),
                    _signed(found.median),
                    _signed(found.mean),
                    " to ".join(map(_signed, found.interval)) if found.interval else "-",
                    "-" if found.p is None else f"{found.p:.2g}",
                    f"{found.wins}/{found.losses}/{found.ties}",
                )
        console.print(table)
    table = empty_table("SDR song by song, B - A (dB)", "song", *targets)
    for song in comparison.songs:
        table.add_row(plain(song), *(_signed(sdr[name].by_song.get(song)) for name in targets))
    console.print(table)
    for song in comparison.left_out:
        console.print(plain(f"scored in one of the two alone, and left out: {song}"))
    for found in comparison.differences:
        if found.missing:
            songs = ", ".join(found.missing)
            what = f"{found.measure} of {found.target} without a figure in A or B: {songs}"
            console.print(plain(what), soft_wrap=True)
    console.print(
        "interval: bootstrap of the mean; p: Wilcoxon signed-rank test of each measure by "
        "itself, not corrected for their number"
    )


def _signed(value: float | None) -> str:
    if value is None:
        return "-"
    # No sign for what is nothing at this precision.
    return f"{value:+.2f}".replace("+0.00", "0.00").replace("-0.00", "0.00")
