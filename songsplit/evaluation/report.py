"""Storing scores as JSON, summing them up, and printing them.

The file of each song follows the format of museval (``musdb.schema.json``, with more keys
beside its own), in folders named as museval names them, so that its tools can read them:
``museval.EvalStore().add_eval_dir("<output>/model")``.
"""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from songsplit import __version__
from songsplit.errors import OutputError
from songsplit.evaluation.metrics import (
    HOP_SECONDS,
    METRICS,
    TARGETS,
    WINDOW_SECONDS,
    TrackScores,
)

Results: TypeAlias = Mapping[str, Mapping[str, TrackScores]]
"""Scores by system and by song."""

_NUMBER_WIDTH = 6  # as in -12.34


def store_scores(path: Path, scores: TrackScores, settings: Mapping[str, Any]) -> None:
    """Write the scores of one system on one song.

    Parameters
    ----------
    path : Path
        The file to write, in folders that are made where they are missing.
    scores : TrackScores
        What to write, rounded to 5 decimals with NaN for infinite, as museval does.
    settings : mapping of str to str, int or float
        What the scores depend on, by which `load_scores` tells if they still hold.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    targets = []
    for target in TARGETS:
        measures = scores.frames[target]
        frames = [
            {
                "time": index * HOP_SECONDS,
                "duration": WINDOW_SECONDS,
                "metrics": {metric: _rounded(measures[metric][index]) for metric in METRICS},
            }
            for index in range(len(measures["SDR"]))
        ]
        targets.append({"name": target, "frames": frames})
    write_json(
        path,
        {
            "targets": targets,
            "museval_version": _version("museval"),
            "settings": dict(settings),
            "remark": scores.remark,
        },
    )


def load_scores(path: Path, settings: Mapping[str, Any]) -> TrackScores | None:
    """Read what `store_scores` wrote, if it was written under the same settings.

    Parameters
    ----------
    path : Path
        The file of one system and one song.
    settings : mapping of str to str, int or float
        The settings that the scores must have been made with.

    Returns
    -------
    TrackScores or None
        None if there is no such file, if it is damaged or if its settings are others:
        the song must then be scored again.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["settings"] != dict(settings):
            return None
        frames = {
            target["name"]: {
                metric: np.array([frame["metrics"][metric] for frame in target["frames"]])
                for metric in METRICS
            }
            for target in content["targets"]
        }
        return TrackScores(frames, content["remark"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def versions() -> dict[str, str]:
    """Versions of what takes part in scoring.

    Returns
    -------
    dict of str to str
        By name of the package; "unknown" for one that is not installed.
    """
    packages = ("museval", "musdb", "numpy", "scipy", "torch")
    return {"songsplit": __version__, "python": platform.python_version()} | {
        name: _version(name) for name in packages
    }


def summarize(results: Results) -> dict[str, Any]:
    """Sum up scores: median over frames, then median and mean over songs.

    Songs without a score in a measure are left out of its median and mean; ``songs`` tells
    how many remain, and ``remarks`` why others are missing.

    Parameters
    ----------
    results : mapping of str to mapping of str to TrackScores
        By system and song.

    Returns
    -------
    dict
        ``result[system]["overall"][target][metric]`` is a dict with ``median``, ``mean``
        (in dB) and ``songs``; ``result[system]["songs"][song][target][metric]`` a number
        in dB. None stands for what has no score, since JSON has no NaN.
    """
    summary: dict[str, Any] = {}
    for system, songs in results.items():
        overall: dict[str, Any] = {}
        for target in TARGETS:
            overall[target] = {}
            for metric in METRICS:
                values = _song_medians(songs, target, metric)
                scored = values[~np.isnan(values)]
                overall[target][metric] = {
                    "median": _number(_over_songs(values, "median")),
                    "mean": _number(_over_songs(values, "mean")),
                    "songs": int(scored.size),
                }
        summary[system] = {
            "overall": overall,
            "songs": {
                name: {
                    target: {metric: _number(scores.median(target, metric)) for metric in METRICS}
                    for target in TARGETS
                }
                for name, scores in songs.items()
            },
            "remarks": {name: scores.remark for name, scores in songs.items() if scores.remark},
        }
    return summary


def store_summary(path: Path, results: Results, about: Mapping[str, Any]) -> None:
    """Write what was scored, with what, and the figures that sum it up.

    Parameters
    ----------
    path : Path
        The file to write.
    results : mapping of str to mapping of str to TrackScores
        By system and song.
    about : mapping
        What the reader must know of the model and the data. Holds JSON values.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    content = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **about,
        "settings": {
            "measures": "BSS Eval v4 (images), median over frames",
            "window_seconds": WINDOW_SECONDS,
            "hop_seconds": HOP_SECONDS,
        },
        "versions": versions(),
        "systems": summarize(results),
    }
    write_json(path, content)


def print_results(results: Results, console: Console) -> None:
    """Print the model's scores song by song, then all systems beside each other.

    Parameters
    ----------
    results : mapping of str to mapping of str to TrackScores
        By system and song; the first system is the one to print song by song.
    console : rich.console.Console
        Where to print.
    """
    model, songs = next(iter(results.items()))
    each = _table(f"{model}, median over frames (dB)", "song", console)
    for name, scores in songs.items():
        each.add_row(name, *_cells(scores.median(t, m) for t in TARGETS for m in METRICS))
    console.print(each)

    for kind in ("median", "mean"):
        overall = _table(f"{kind} over {len(songs)} songs (dB)", "system", console)
        for system, scored in results.items():
            medians = (_song_medians(scored, t, m) for t in TARGETS for m in METRICS)
            overall.add_row(system, *_cells(_over_songs(values, kind) for values in medians))
        console.print(overall)
    for system, scored in results.items():
        for name, scores in scored.items():
            if scores.remark:
                console.print(f"{system}, {name}: {scores.remark}", markup=False)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file so that it is there in full or not at all.

    Parameters
    ----------
    path : Path
        The file, in folders that are made where they are missing.
    content : mapping
        What to write.

    Raises
    ------
    OutputError
        If it cannot be written. An older file of that name is then unchanged.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".", suffix=".tmp", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # Temporary files are private; results are to be read by whoever may read the folder.
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}): choose another output folder"
        ) from error


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _rounded(value: float) -> float:
    return round(float(value), 5) if math.isfinite(value) else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)


def _song_medians(
    songs: Mapping[str, TrackScores], target: str, metric: str
) -> NDArray[np.float64]:
    return np.array([scores.median(target, metric) for scores in songs.values()])


def _over_songs(values: NDArray[np.float64], kind: str) -> float:
    """Median or mean of the values that are not NaN, NaN if there are none."""
    scored = values[~np.isnan(values)]
    if not scored.size:
        return math.nan
    return float(np.median(scored) if kind == "median" else np.mean(scored))


def _table(title: str, first: str, console: Console) -> Table:
    """Make an empty table that fits the console, if need be by cutting names short."""
    numbers = len(TARGETS) * len(METRICS)
    names = max(10, console.width - numbers * (_NUMBER_WIDTH + 2) - 3)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column(f"\n{first}", overflow="ellipsis", no_wrap=True, max_width=names)
    for target in ("vocals", "accomp."):
        for metric in METRICS:
            header = f"{target if metric == METRICS[0] else ''}\n{metric}"
            table.add_column(header, justify="right", no_wrap=True, min_width=_NUMBER_WIDTH)
    return table


def _cells(values: Iterable[float]) -> list[str]:
    return ["-" if math.isnan(value) else f"{value:.2f}" for value in values]
