"""The program ``evaluate.py``, which scores a model or separated stems, or compares two results.

The scores of each song are a JSON file in the format of museval 0.4.1 (``musdb.schema.json`` with
additional keys), so that museval's tools can read a folder of them:
``museval.EvalStore().add_eval_dir("<output>/<system>")``. A file also records all conditions of its
scores; a song with a file of the same conditions is not scored again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from songsplit import __version__
from songsplit.data.sources import Subset
from songsplit.errors import AudioFileError, AudioInputError, ConfigError, DataError, SongsplitError
from songsplit.evaluation.references import ReferenceSong, musdb_songs, own_songs
from songsplit.evaluation.summary import print_comparison, print_results, say, summarize, write_csv
from songsplit.evaluation.systems import System, estimates_system, model_system, yardsticks
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
from songsplit.inference import QUALITIES
from songsplit.models.weights import DEFAULT_MODEL
from songsplit.progress import track

# Errors of a song that do not stop the scoring of other songs.
_SONG_ERRORS = (AudioFileError, AudioInputError, DataError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return 1 after an error or if a song could not be scored."""
    # Names of songs may contain characters that the terminal's encoding lacks.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _options(arguments)
    # Wide enough for all columns, also if the output goes to a file.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    try:
        if options.compare:
            first, second = options.compare
            print_comparison(first, second, console)
            return 0
        return _evaluate(options, console)
    except SongsplitError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to continue", 130)


def _fail(text: str, status: int) -> int:
    sys.stderr.write(f"evaluate.py: {text}\n")
    return status


def _evaluate(options: argparse.Namespace, console: Console) -> int:
    if options.backend == "museval":
        load_museval()
    if not options.no_report:
        from songsplit.evaluation.report import write_report  # matplotlib imports slowly
    songs, label, data = _songs(options)
    if options.estimates:
        candidate = estimates_system(options.estimates)
    else:
        candidate = model_system(options.model, options.device, options.quality)
    names = [candidate.name, *(yardstick.name for yardstick in yardsticks(TWO_TARGETS))]
    if candidate.name in names[1:]:
        raise ConfigError(
            f"{candidate.name!r} is the name of a yardstick: rename the model or folder"
        )
    output: Path = options.output or Path("runs", "evaluation", f"{candidate.name}-{label}")
    with suppress(OSError, ValueError, AttributeError):
        old = json.loads((output / "summary.json").read_text(encoding="utf-8"))
        if any(old.get(key) != value for key, value in candidate.about.items()):
            sys.stderr.write(
                f"warning: {output} holds scores of another system or model, which are replaced; "
                "choose another --output to keep both\n"
            )
    # All models share the scores of the yardsticks. Each data set has its own, because songs of
    # two data sets may have the same name.
    shared = output.absolute().parent / f"yardsticks-{label}"
    results: dict[str, dict[str, TrackScores]] = {name: {} for name in names}
    digests: dict[str, str] = {}
    for song in track(songs, "scoring"):
        try:
            for name, scores in _score_song(song, candidate, output, shared, options.backend):
                results[name][song.name] = scores
                digests[song.name] = song.digest
        except _SONG_ERRORS as error:
            for name in names:
                results[name].setdefault(song.name, TrackScores({}, {}, str(error)))
    about = {
        **candidate.about,
        "data": data,
        "settings": {"backend": options.backend, "songsplit": __version__},
        "versions": {name: metadata.version(name) for name in ("numpy", "scipy", "torch")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    systems = summarize(results)
    write_json(output / "summary.json", {**about, "songs": digests, "systems": systems})
    write_csv(output / "scores.csv", systems)
    print_results(systems, console)
    say(console, f"stored in {output}")
    if not options.no_report:
        say(console, f"report: {write_report(output, systems, about)}")
    failed = [song for song in songs if not all(r[song.name].frames for r in results.values())]
    if failed:
        return _fail(
            f"{len(failed)} of {len(songs)} songs could not be scored completely: see the remarks "
            "above, fix these songs and run the command again",
            1,
        )
    return 0


def _songs(options: argparse.Namespace) -> tuple[list[ReferenceSong], str, dict[str, Any]]:
    """Return the songs, a name for folders of their scores, and a description of the data."""
    if options.musdb:
        subset: Subset = options.subset
        split = options.split
        songs = musdb_songs(options.musdb, subset, split)
        name = "MUSDB18" if len(songs[0].files) == 1 else "MUSDB18-HQ"
        label = "-".join(filter(None, [name.lower().replace("-", ""), subset, split]))
        data = {"name": name, "subset": subset, "split": split, "songs": len(songs)}
        return songs, label, data
    songs, passed_over = own_songs(options.references)
    for finding in passed_over:
        sys.stderr.write(f"warning: {finding.path}: {finding.text}\n")
    folder = options.references.expanduser().resolve()
    # Several folders may have the same name, such as "songs".
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:6]
    return songs, f"{folder.name[:50]}-{digest}", {"name": folder.name, "songs": len(songs)}


def _score_song(
    song: ReferenceSong, candidate: System, output: Path, shared: Path, backend: Backend
) -> Iterator[tuple[str, TrackScores]]:
    """Load the scores of all systems on a song, or compute and store missing scores."""
    audio = cache(song.read)
    scorer = cache(lambda: TrackScorer(audio().references, audio().sample_rate, backend=backend))

    def scores_of(system: System, folder: Path) -> TrackScores:
        path = folder / system.name.replace(" ", "-") / song.subset / f"{song.file_name}.json"
        try:
            conditions = {"backend": backend, "reference_sha256": song.digest}
            settings = {"songsplit": __version__, **conditions, **system.settings(song)}
            if (known := load_scores(path, settings)) is not None:
                return known
            scores = scorer().score(system.estimates(song, audio()))
        except _SONG_ERRORS:
            # museval's tools would otherwise read the scores of an earlier run.
            with output_errors(path):
                path.unlink(missing_ok=True)
            raise
        remarks = filter(None, (settings.get("remark"), scores.remark))
        scores = replace(scores, remark="; ".join(remarks))
        store_scores(path, scores, settings)
        # Return the rounded scores, as a later run reads them.
        return load_scores(path, settings) or scores

    judged = scores_of(candidate, output)
    yield candidate.name, judged
    targets = FIVE_TARGETS if set(judged.targets) - set(TWO_TARGETS) else TWO_TARGETS
    for yardstick in yardsticks(targets):
        yield yardstick.name, scores_of(yardstick, shared)


def store_scores(path: Path, scores: TrackScores, settings: Mapping[str, Any]) -> None:
    """Write scores with 5 decimals, and with NaN for infinite scores, as in museval."""
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
        # The version of the format; `settings` record which program computed the scores.
        "museval_version": "0.4.1",
        "settings": dict(settings),
        "remark": scores.remark,
        "whole": whole,
    }
    write_json(path, content)


def load_scores(path: Path, settings: Mapping[str, Any]) -> TrackScores | None:
    """Read a file of `store_scores`; None if it is missing, damaged or of other settings."""
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


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    given = [name for name, value in vars(options).items() if value != parser.get_default(name)]
    if options.compare and len(given) > 1:
        parser.error("--compare takes no other options")
    if options.references and {"subset", "split"} & {*given}:
        parser.error("--subset and --split need --musdb instead of --references")
    if options.split and options.subset != "train":
        parser.error(f"--split {options.split} is part of the train songs: add --subset train")
    if options.estimates and {"device", "quality"} & {*given}:
        parser.error("--device and --quality need --model instead of --estimates")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate.py",
        description=(
            "Score vocals and accompaniment (and drums, bass and other, if they are separated) in "
            "dB: SDR, ISR, SIR and SAR as in museval, and uSDR and SI-SDR of whole songs. The "
            "mixture, the ideal ratio mask and the multichannel Wiener filter are scored as "
            "reference points."
        ),
        epilog=(
            "Songs already scored under the same conditions are skipped. Use test songs only for "
            "the final score; choose between models with --subset train --split valid."
        ),
    )
    add = parser.add_argument
    task = parser.add_mutually_exclusive_group(required=True)
    text = "folder of MUSDB18 or MUSDB18-HQ, which holds train and test"
    task.add_argument("--musdb", type=Path, metavar="DIR", help=text)
    text = "your own songs: a folder for each, with vocals and instrumental, or four stems"
    task.add_argument("--references", type=Path, metavar="DIR", help=text)
    text = "compare B with A song by song: two folders of scores"
    task.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"), help=text)

    system = parser.add_mutually_exclusive_group()
    text = "name of a model that comes with songsplit, or a file (default: default)"
    system.add_argument("--model", metavar="NAME_OR_PATH", default=DEFAULT_MODEL, help=text)
    text = (
        "stems from any system: a folder for each song, named like the song, or files such as "
        "'Song - vocals.wav'"
    )
    system.add_argument("--estimates", type=Path, metavar="DIR", help=text)

    text = "quality setting of the model (default: balanced)"
    add("--quality", choices=QUALITIES, default="balanced", help=text)
    text = "songs of MUSDB18 to score (default: test)"
    add("--subset", choices=("train", "test"), default="test", help=text)
    text = "part of the train songs: musdb's 14 validation songs, or the others (default: all)"
    add("--split", choices=("train", "valid"), help=text)
    text = (
        "package that computes SDR, ISR, SIR and SAR; museval gives the same numbers, is slower "
        "and needs the program ffmpeg (default: songsplit)"
    )
    add("--backend", choices=("songsplit", "museval"), default="songsplit", help=text)
    add("--device", help="device of the model: cpu, cuda, mps, ... (default: the fastest)")
    text = "folder for scores and report (default: runs/evaluation/MODEL-DATA)"
    add("--output", type=Path, metavar="DIR", help=text)
    add("--no-report", action="store_true", help="write no HTML report and figures")
    return parser
