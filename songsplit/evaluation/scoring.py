"""Scoring songs, one after the other or several at once, and storing what comes out.

The scores of each song are a JSON file in the format of museval 0.4.1 (``musdb.schema.json``,
with more keys beside its own), so that museval's own tools can read a folder of them:
``museval.EvalStore().add_eval_dir("<output>/<system>")``. A file also holds all that its scores
depend on; a song whose file was written under the same conditions is not scored again.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from songsplit import __version__
from songsplit.errors import AudioFileError, AudioInputError, ConfigError, DataError
from songsplit.evaluation.references import ReferenceSong
from songsplit.evaluation.systems import System, yardsticks
from songsplit.evaluation.track_scores import (
    FIVE_TARGETS,
    METRICS,
    TWO_TARGETS,
    WHOLE_MEASURES,
    Backend,
    TrackScorer,
    TrackScores,
    load_museval,
)
from songsplit.files import output_errors, write_json
from songsplit.progress import track

# Scores by system, of which the first is judged, and by song.
Results: TypeAlias = Mapping[str, Mapping[str, TrackScores]]

# Errors of one song. The others are scored all the same.
_SONG_ERRORS = (AudioFileError, AudioInputError, DataError)


def evaluate_songs(
    songs: Sequence[ReferenceSong],
    candidate: System,
    output: Path,
    yardstick_folder: Path,
    *,
    backend: Backend = "songsplit",
    jobs: int = 1,
) -> tuple[dict[str, dict[str, TrackScores]], dict[str, str]]:
    """Score a system and the yardsticks on songs, and give the scores and the songs' hashes.

    A song that cannot be scored has empty scores with a remark and no file.
    """
    names = [candidate.name, *(yardstick.name for yardstick in yardsticks(TWO_TARGETS))]
    if candidate.name in names[1:]:
        raise ConfigError(
            f"{candidate.name!r} is the name of a yardstick: give the model or folder another name"
        )
    if backend == "museval":
        # Raises the error once, rather than for every song.
        load_museval()
    results: dict[str, dict[str, TrackScores]] = {name: {} for name in names}
    digests = {}
    score = partial(_score_song, candidate, output, yardstick_folder, backend)
    with ThreadPoolExecutor(jobs) as pool:
        # An error cancels the songs that have not begun.
        scored = track(pool.map(score, songs), "scoring", len(songs))
        try:
            for song, (digest, scores) in zip(songs, scored, strict=False):
                digests[song.name] = digest
                for name in names:
                    results[name][song.name] = scores[name]
        except KeyboardInterrupt:
            sys.stderr.write("the songs that are being scored are finished first\n")
            raise
    return results, digests


def _score_song(
    candidate: System, output: Path, yardstick_folder: Path, backend: Backend, song: ReferenceSong
) -> tuple[str, dict[str, TrackScores]]:
    """Load the scores of all systems on a song, or score and store those that are missing."""
    digest = cache(song.digest)
    audio = cache(song.read)

    @cache
    def scorer() -> TrackScorer:
        return TrackScorer(audio().references, audio().sample_rate, backend=backend)

    def scored(system: System, path: Path) -> TrackScores:
        conditions = {"backend": backend, "reference_sha256": digest()}
        settings = {"songsplit": __version__, **conditions, **system.settings(song)}
        if (known := load_scores(path, settings)) is not None:
            return known
        estimates, remark = system.estimates(song, audio())
        scores = scorer().score(estimates)
        remarks = (audio().remark, remark, scores.remark)
        store_scores(path, replace(scores, remark="; ".join(filter(None, remarks))), settings)
        # A later run reads the same digits.
        return load_scores(path, settings) or scores

    found: dict[str, TrackScores] = {}
    systems = [(candidate, output)]
    for system, folder in systems:
        path = folder / system.name.replace(" ", "-") / song.subset / f"{song.file_name}.json"
        try:
            scores = scored(system, path)
        except _SONG_ERRORS as error:
            scores = TrackScores({}, {}, str(error))
            # museval's tools would count the scores of an earlier run.
            with output_errors(path):
                path.unlink(missing_ok=True)
        found[system.name] = scores
        if system is candidate:
            targets = FIVE_TARGETS if set(scores.targets) - set(TWO_TARGETS) else TWO_TARGETS
            systems += [(yardstick, yardstick_folder) for yardstick in yardsticks(targets)]
    try:
        return digest(), found
    except DataError:
        return "", found


def store_scores(path: Path, scores: TrackScores, settings: Mapping[str, Any]) -> None:
    """Write scores, rounded to 5 decimals and with NaN for infinite as museval does."""
    targets = [
        {
            "name": target,
            "frames": [
                {
                    "time": float(index),
                    "duration": 1.0,
                    "metrics": {name: _rounded(measures[name][index]) for name in METRICS},
                }
                for index in range(len(measures["SDR"]))
            ],
        }
        for target, measures in scores.frames.items()
    ]
    whole = {
        target: {name: _rounded(values[name]) for name in WHOLE_MEASURES}
        for target, values in scores.whole.items()
    }
    content = {
        "targets": targets,
        # The version whose format this is; what made the scores is in the settings.
        "museval_version": "0.4.1",
        "settings": dict(settings),
        "remark": scores.remark,
        "whole": whole,
    }
    write_json(path, content)


def load_scores(path: Path, settings: Mapping[str, Any]) -> TrackScores | None:
    """Read what `store_scores` wrote; None if it is missing, damaged or of other settings."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["settings"] == settings:
            frames = {
                target["name"]: {
                    name: np.array([frame["metrics"][name] for frame in target["frames"]], float)
                    for name in METRICS
                }
                for target in content["targets"]
            }
            return TrackScores(frames, content["whole"], content["remark"])
    return None


def _rounded(value: float) -> float:
    return round(float(value), 5) if math.isfinite(value) else math.nan
