"""Comparing two systems on the songs that both were scored on.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall,
   1993, chapter 13 (percentile intervals).
.. [2] F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin, 1945.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from songsplit.errors import DataError
from songsplit.evaluation.projections import Floats
from songsplit.evaluation.summary import print_table, say
from songsplit.evaluation.track_scores import ALL_MEASURES, FIVE_TARGETS

# With fewer songs, neither an interval nor a test says anything.
_MIN_PAIRS = 3


def compare(first: Path, second: Path) -> dict[str, Any]:
    """Compare the first systems of two summaries, song by song, in values of JSON.

    The differences are B - A in dB. ``interval`` is the 95 % bootstrap interval of the mean [1]_
    (percentiles of 10 000 resamples, always the same ones), ``p`` the two-sided p value of the
    Wilcoxon signed-rank test [2]_. They are None with fewer than 3 songs.
    """
    a, b = _read(first), _read(second)
    common = [song for song in a["scores"] if song in b["scores"]]
    if not common:
        raise DataError(
            f"{first} and {second} have no song with scores in common: score both systems on the "
            "same songs"
        )
    different = [song for song in common if a["songs"].get(song) != b["songs"].get(song)]
    if different:
        raise DataError(
            f"{first} and {second}: the audio of {', '.join(map(repr, different[:3]))} differs "
            "between the two: score both systems against the same references"
        )
    remark = ""
    if a["settings"] != b["settings"]:
        remark = (
            f"A was scored with {a['settings']}, B with {b['settings']}: small differences may "
            "come from that"
        )
    pairs = {song: (a["scores"][song], b["scores"][song]) for song in common}
    targets = {target for pair in pairs.values() for target in pair[0] if target in pair[1]}
    return {
        "first": a["name"],
        "second": b["name"],
        "songs": common,
        "left_out": sorted(set(a["scores"]) ^ set(b["scores"])),
        "remark": remark,
        "differences": [
            {"target": target, "measure": measure, **_difference(pairs, target, measure)}
            for target in FIVE_TARGETS
            if target in targets
            for measure in ALL_MEASURES
        ],
    }


def _read(path: Path) -> dict[str, Any]:
    """Read a summary, and add name and scores of its first system."""
    file = path / "summary.json" if path.is_dir() else path
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name, system = next(iter(content["systems"].items()))
        scores = {song: targets for song, targets in system["songs"].items() if targets}
        return {**content, "name": name, "scores": scores, "settings": dict(content["settings"])}
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
    pairs: Mapping[str, Sequence[Mapping[str, Any]]], target: str, measure: str
) -> dict[str, Any]:
    by_song = {}
    for song, pair in pairs.items():
        old, new = (scores.get(target, {}).get(measure) for scores in pair)
        if old is not None and new is not None:
            # Summaries have 5 decimals: rounding errors are no difference between songs.
            by_song[song] = round(new - old, 5)
    values = np.array(list(by_song.values()))
    interval, p = _significance(values)
    return {
        "by_song": by_song,
        "median": float(np.median(values)) if by_song else None,
        "mean": float(np.mean(values)) if by_song else None,
        "interval": interval,
        "p": p,
        "wins": int(np.count_nonzero(values > 0)),
        "losses": int(np.count_nonzero(values < 0)),
        "ties": int(np.count_nonzero(values == 0)),
        "missing": [song for song in pairs if song not in by_song],
    }


def _significance(differences: Floats) -> tuple[list[float] | None, float | None]:
    """Interval of the mean, and p value of the songs that differ."""
    from scipy.stats import bootstrap, wilcoxon  # slow to import

    interval, p = None, None
    if differences.size >= _MIN_PAIRS:
        found = bootstrap(
            (differences,), np.mean, n_resamples=10_000, method="percentile", rng=0
        ).confidence_interval
        interval = [float(found.low), float(found.high)]
    changed = differences[differences != 0]
    if changed.size >= _MIN_PAIRS:
        p = float(wilcoxon(changed).pvalue)
    return interval, p


def print_comparison(comparison: Mapping[str, Any], console: Console) -> None:
    """Print what one system has over another, over all songs and song by song."""
    say(console, f"A: {comparison['first']}, B: {comparison['second']}")
    if comparison["remark"]:
        say(console, f"warning: {comparison['remark']}")
    heads = ("measure", "songs", "median", "mean", "95 % interval", "p", "better/worse/equal")
    sdr = {d["target"]: d["by_song"] for d in comparison["differences"] if d["measure"] == "SDR"}
    for target in sdr:
        rows = [
            (
                d["measure"],
                str(len(d["by_song"])),
                _signed(d["median"]),
                _signed(d["mean"]),
                " to ".join(map(_signed, d["interval"] or ())) or "-",
                "-" if d["p"] is None else f"{d['p']:.2g}",
                f"{d['wins']}/{d['losses']}/{d['ties']}",
            )
            for d in comparison["differences"]
            if d["target"] == target
        ]
        print_table(console, f"{target}, B - A (dB)", heads, rows)
    by_song = [
        (song, *(_signed(found.get(song)) for found in sdr.values()))
        for song in comparison["songs"]
    ]
    print_table(console, "SDR song by song, B - A (dB)", ("song", *sdr), by_song)
    for song in comparison["left_out"]:
        say(console, f"scored in one of the two alone, and left out: {song}")
    for d in comparison["differences"]:
        if d["missing"]:
            what = f"{d['measure']} of {d['target']} without a figure in A or B"
            say(console, f"{what}: {', '.join(d['missing'])}")
    console.print(
        "interval: bootstrap of the mean; p: Wilcoxon signed-rank test of each measure by "
        "itself, not corrected for their number"
    )


def _signed(value: float | None) -> str:
    if value is None:
        return "-"
    # Zero has no sign.
    return f"{value:+.2f}".replace("+0.00", "0.00").replace("-0.00", "0.00")
