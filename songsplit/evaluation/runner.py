"""Scoring a model on the songs of MUSDB18, beside systems that need no model."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from songsplit.data.musdb import Audio, MusdbTrack
from songsplit.errors import AudioInputError, DataError
from songsplit.evaluation.metrics import (
    HOP_SECONDS,
    WINDOW_SECONDS,
    TrackScores,
    load_museval,
    score_track,
)
from songsplit.evaluation.oracles import HOP, N_FFT, ideal_ratio_mask, mixture_as_estimates
from songsplit.evaluation.report import load_scores, store_scores, versions

Separate: TypeAlias = Callable[[Audio, int], Mapping[str, Audio]]
"""Takes a mixture (2, samples) and its sample rate in Hz, gives vocals and instrumental."""

MODEL = "model"
MIXTURE = "mixture"
RATIO_MASK = "ideal ratio mask"
SYSTEMS = (MODEL, MIXTURE, RATIO_MASK)


@dataclass(frozen=True)
class Candidate:
    """The model to score.

    Parameters
    ----------
    name : str
        What it is called in results.
    identity : str
        What tells it from others of that name, such as the hash of its weights.
    load : callable
        Gives the function that separates. It is called only when there is something to
        separate, and in each worker process anew, for which it must be picklable.
    """

    name: str
    identity: str
    load: Callable[[], Separate]


@dataclass(frozen=True)
class _Task:
    """What remains to be scored of one song."""

    track: MusdbTrack
    # System, file for its scores, settings to store in it.
    missing: tuple[tuple[str, Path, dict[str, Any]], ...]


def evaluate_tracks(
    tracks: Sequence[MusdbTrack],
    candidate: Candidate,
    output: Path,
    subset: str,
    jobs: int = 1,
    console: Console | None = None,
) -> dict[str, dict[str, TrackScores]]:
    """Score a model, the mixture as it is and the ideal ratio mask on songs.

    What is separated is the mixture as released, and the accompaniment to compare with
    is the sum of drums, bass and other, as museval has it. Scores go to
    ``output/<system>/<subset>/<song>.json`` as soon as they are known; a song whose file
    is there and was made with the same model, audio and versions is not scored again.

    Parameters
    ----------
    tracks : sequence of MusdbTrack
        The songs.
    candidate : Candidate
        The model.
    output : Path
        Folder for the scores.
    subset : str
        Name of the songs' subset, ``"train"`` or ``"test"``.
    jobs : int, optional
        How many songs are scored at once, each in a process of its own if more than one.
    console : rich.console.Console, optional
        Where progress is shown; nowhere by default.

    Returns
    -------
    dict of str to dict of str to TrackScores
        By system, in the order of `SYSTEMS`, and by song, in the order of `tracks`.

    Raises
    ------
    DataError
        If a song is damaged, if the model does not give what it should for one, or if
        a worker process is killed. Scores known by then are kept.
    MissingExtraError
        If museval is not installed.
    OutputError
        If scores cannot be stored.
    """
    # Fails here at once, rather than in every worker process.
    load_museval()
    files = {
        (system, track): (
            output / system.replace(" ", "-") / subset / f"{track.name}.json",
            _settings(system, track, candidate),
        )
        for system in SYSTEMS
        for track in tracks
    }
    tasks = []
    for track in tracks:
        missing = tuple(
            (system, *files[system, track])
            for system in SYSTEMS
            if load_scores(*files[system, track]) is None
        )
        if missing:
            tasks.append(_Task(track, missing))

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console or Console(quiet=True),
    )
    with progress:
        bar = progress.add_task("scoring", total=len(tracks), completed=len(tracks) - len(tasks))
        for _ in _run(tasks, candidate.load, jobs):
            progress.advance(bar)

    return {
        system: {track.name: _stored(*files[system, track]) for track in tracks}
        for system in SYSTEMS
    }


def _settings(system: str, track: MusdbTrack, candidate: Candidate) -> dict[str, Any]:
    """Everything that the scores of a system on a song depend on."""
    used = versions()
    common = {
        "songsplit": used["songsplit"],
        "museval": used["museval"],
        "window_seconds": WINDOW_SECONDS,
        "hop_seconds": HOP_SECONDS,
        # Tells MUSDB18 from MUSDB18-HQ and from the excerpts, which have the same names.
        "audio_bytes": sum(file.stat().st_size for file in track.files if file.is_file()),
    }
    if system == MODEL:
        return common | {"model": candidate.name, "model_identity": candidate.identity}
    if system == RATIO_MASK:
        return common | {"power": 2.0, "n_fft": N_FFT, "hop": HOP}
    return common


def _stored(path: Path, settings: Mapping[str, Any]) -> TrackScores:
    scores = load_scores(path, settings)
    if scores is None:
        raise DataError(f"{path}: changed while scoring was under way: start again")
    return scores


def _run(tasks: Sequence[_Task], load: Callable[[], Separate], jobs: int) -> Iterator[None]:
    """Carry out the tasks, with a yield for each that is done."""
    if jobs <= 1 or len(tasks) <= 1:
        scorer = _Scorer(load)
        for task in tasks:
            scorer.score(task)
            yield
        return
    # Not fork: PyTorch's threads do not survive it.
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(
        min(jobs, len(tasks)), context, _start_worker, (load, threads)
    ) as pool:
        futures = [pool.submit(_work, task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process was killed, most likely for lack of memory: use fewer jobs; "
                "songs scored so far are kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Scorer:
    """Scores songs one after another with a model that is loaded once."""

    def __init__(self, load: Callable[[], Separate]) -> None:
        self._load = load

    @cached_property
    def _separate(self) -> Separate:
        return self._load()

    def score(self, task: _Task) -> None:
        """Score the systems that are missing and store their scores."""
        track = task.track
        mixture, stems = track.audio()
        references: dict[str, NDArray[np.floating[Any]]] = {
            "vocals": stems["vocals"],
            "accompaniment": stems["drums"] + stems["bass"] + stems["other"],
        }
        for system, path, settings in task.missing:
            if system == MODEL:
                estimates = self._separated(track, mixture)
            elif system == MIXTURE:
                estimates = mixture_as_estimates(mixture)
            else:
                estimates = ideal_ratio_mask(mixture, **references, power=settings["power"])
            try:
                scores = score_track(references, estimates, track.sample_rate)
            except AudioInputError as error:
                raise DataError(f"{track.path}, {system}: {error}") from error
            store_scores(path, scores, settings)

    def _separated(self, track: MusdbTrack, mixture: Audio) -> dict[str, NDArray[np.floating[Any]]]:
        parts = self._separate(mixture, track.sample_rate)
        missing = [name for name in ("vocals", "instrumental") if name not in parts]
        if missing:
            raise DataError(
                f"{track.path}: the model gives {sorted(parts)}, but not "
                f"{' and '.join(missing)}: evaluate a model that separates these two"
            )
        return {"vocals": parts["vocals"], "accompaniment": parts["instrumental"]}


# The scorer of a worker process, set when the process starts.
_worker: _Scorer


def _start_worker(load: Callable[[], Separate], threads: int) -> None:
    global _worker
    torch.set_num_threads(threads)
    _worker = _Scorer(load)


def _work(task: _Task) -> None:
    _worker.score(task)
