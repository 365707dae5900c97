"""Storing scores: JSON song by song, a CSV of all, and a summary.

The file of each song follows the format of museval 0.4.1 (``musdb.schema.json``, with more
keys beside its own), so that museval's own tools can read a folder of them:
``museval.EvalStore().add_eval_dir("<output>/<system>")``.
"""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from songsplit import __version__
from songsplit.evaluation.scores import (
    HOP_SECONDS,
    METRICS,
    WHOLE_MEASURES,
    WINDOW_SECONDS,
    Floats,
    TrackScores,
)
from songsplit.evaluation.summary import (
    ALL_MEASURES,
    MEASURES,
    STATISTICS,
    Results,
    finite_or_none,
    songs_counted,
    summarize,
)
from songsplit.files import write_json, write_text

_MUSEVAL_VERSION = "0.4.1"
_CSV_COLUMNS = ("system", "song", "target", *ALL_MEASURES, "frames", "frames_scored", "remark")


def store_scores(path: Path, scores: TrackScores, settings: Mapping[str, Any]) -> None:
    """Write the scores of one system on one song.

    Parameters
    ----------
    path : Path
        The file to write, in folders that are made where they are missing.
    scores : TrackScores
        What to write, rounded to 5 decimals with NaN for infinite, as museval does.
    settings : mapping of str to JSON values
        What the scores depend on, by which `load_scores` tells if they still hold.

    Raises
    ------
    ValueError
        If there are no scores: one file without any makes museval refuse the whole folder.
    OutputError
        If the file cannot be written.
    """
    if not scores.frames or not all(m["SDR"].size for m in scores.frames.values()):
        raise ValueError(f"{path}: nothing was scored: store only songs that have scores")
    write_json(
        path,
        {
            "targets": [
                {"name": target, "frames": _frames(measures)}
                for target, measures in scores.frames.items()
            ],
            # The version whose format this is; what made the scores is in the settings.
            "museval_version": _MUSEVAL_VERSION,
            "settings": dict(settings),
            "remark": scores.remark,
            "whole": {
                target: {
                    measure: finite_or_none(scores.value(target, measure))
                    for measure in WHOLE_MEASURES
                }
                for target in scores.whole
            },
            "measures": dict(MEASURES),
        },
    )


def load_scores(path: Path, settings: Mapping[str, Any]) -> TrackScores | None:
    """Read what `store_scores` wrote, if it was written under the same settings.

    Parameters
    ----------
    path : Path
        The file of one system and one song.
    settings : mapping of str to JSON values
        The settings that the scores must have been made with.

    Returns
    -------
    TrackScores or None
        None if there is no such file, if it is damaged or if its settings are others:
        the song must then be scored again.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        # By way of JSON, which makes lists of tuples.
        if content["settings"] != json.loads(json.dumps(dict(settings))):
            return None
        frames = {
            target["name"]: {
                metric: np.array(
                    [frame["metrics"][metric] for frame in target["frames"]], dtype=np.float64
                )
                for metric in METRICS
            }
            for target in content["targets"]
        }
        whole = {
            target: {
                measure: math.nan if measures[measure] is None else float(measures[measure])
                for measure in WHOLE_MEASURES
            }
            for target, measures in content["whole"].items()
        }
        return TrackScores(frames, whole, str(content["remark"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def store_summary(path: Path, results: Results, about: Mapping[str, Any]) -> None:
    """Write what was scored, with what, and the figures that sum it up.

    ``statistics`` says what each kind of figures is taken over, and ``songs_counted`` which
    of the ``overall`` figures are not over all songs.

    Parameters
    ----------
    path : Path
        The file to write.
    results : mapping of str to mapping of str to TrackScores
        By system and song.
    about : mapping of str to JSON values
        What the reader must know: ``model`` or ``estimates``, ``data``, ``settings``, and
        ``songs``, which has for each song its ``reference_digest`` and length in
        ``seconds``. Without digests a summary cannot be compared with another.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    frames = {"window_seconds": WINDOW_SECONDS, "hop_seconds": HOP_SECONDS}
    systems = summarize(results)
    content = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **about,
        "settings": frames | dict(about.get("settings", {})),
        "measures": dict(MEASURES),
        "statistics": dict(STATISTICS),
        "songs_counted": songs_counted(systems),
        "versions": versions(),
        "systems": systems,
    }
    write_json(path, content)


def write_csv(path: Path, results: Results) -> None:
    """Write a table with a row for each system, song and target (RFC 4180, UTF-8).

    SDR, ISR, SIR and SAR are medians over the frames with a finite score, in dB. Cells are
    empty where there is no figure. ``frames_scored`` counts the frames that have a finite
    SDR. A song that could not be scored has one row, without a target.

    Names stay as they are, even those that begin with ``=``, ``+``, ``-`` or ``@`` and
    that a spreadsheet may take for a formula: any mark against that becomes part of the
    name for all other readers, and rows could no longer be matched with songs by name.

    Parameters
    ----------
    path : Path
        The file to write, in folders that are made where they are missing.
    results : mapping of str to mapping of str to TrackScores
        By system and song.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_CSV_COLUMNS)
    for system, songs in results.items():
        for name, scores in songs.items():
            if not scores.targets:
                nothing = [""] * (len(_CSV_COLUMNS) - 3)
                writer.writerow([system, name, *nothing, scores.remark])
            for target in scores.targets:
                figures = [finite_or_none(scores.value(target, m)) for m in ALL_MEASURES]
                sdr = scores.frames[target]["SDR"]
                counts = [sdr.size, np.count_nonzero(np.isfinite(sdr))]
                writer.writerow([system, name, target, *figures, *counts, scores.remark])
    write_text(path, text.getvalue())


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


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _frames(measures: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """Put one target's frames into museval's schema."""
    return [
        {
            "time": index * HOP_SECONDS,
            "duration": WINDOW_SECONDS,
            "metrics": {
                metric: round(float(value), 5) if math.isfinite(value) else math.nan
                for metric, value in zip(METRICS, values, strict=True)
            },
        }
        for index, values in enumerate(zip(*(measures[metric] for metric in METRICS), strict=True))
    ]
