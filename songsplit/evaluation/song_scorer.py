"""Scoring one song: a candidate beside the yardsticks, whatever is not stored yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from songsplit.errors import AudioFileError, AudioInputError, DataError, OutputError
from songsplit.evaluation.scores import (
    FIVE_TARGETS,
    HOP_SECONDS,
    TWO_TARGETS,
    WINDOW_SECONDS,
    TrackScores,
)
from songsplit.evaluation.songs import ReferenceSong, SongAudio
from songsplit.evaluation.store import load_scores, store_scores, versions
from songsplit.evaluation.systems import System, yardsticks
from songsplit.evaluation.track import Backend, TrackScorer, audio_digest
from songsplit.files import write_json

# What is wrong with a song, and nothing to do with the others.
_SONG_ERRORS = (AudioFileError, AudioInputError, DataError)

_KNOWN_AUDIO = "known-audio"
_STATISTICS = "reference-statistics"


@dataclass(frozen=True)
class KnownAudio:
    """What is known of a song's audio once it has been read.

    Parameters
    ----------
    reference_digest, mixture_digest : str
        Hashes over the samples of all references, and of the mixture.
    sample_rate : int
        In Hz.
    seconds : float
        Duration.
    """

    reference_digest: str
    mixture_digest: str
    sample_rate: int
    seconds: float


@dataclass(frozen=True)
class ScoredSong:
    """The scores of a song.

    Parameters
    ----------
    scores : mapping of str to TrackScores
        By system, the candidate first. Scores of a system that failed are empty and
        their remark says why.
    audio : KnownAudio or None
        None if the song could not be read.
    """

    scores: Mapping[str, TrackScores]
    audio: KnownAudio | None


@dataclass(frozen=True)
class SongScorer:
    """Scores songs, and stores the scores of each as soon as they are known.

    Scores lie in ``<folder>/<system>/<subset>/<song>.json`` with all that they depend on:
    hashes of the song's audio, the model or files that the estimates come from, the
    backend and versions. What was stored under the same conditions is not scored again,
    and what was stored before of a system that now fails is removed: museval's tools
    would count it.

    Parameters
    ----------
    candidate : System
        What is to be judged.
    output : Path
        Folder for its scores.
    yardsticks : Path
        Folder for the scores of the yardsticks, to be shared by all candidates. It also
        keeps the hashes of each song's audio, so that songs need not be read to find out
        that there is nothing left to do, and the statistics of their references.
    backend : {"songsplit", "museval"}
        What computes the scores.
    """

    candidate: System
    output: Path
    yardsticks: Path
    backend: Backend = "songsplit"

    def stored(self, song: ReferenceSong) -> ScoredSong | None:
        """Look up the scores of a song.

        Parameters
        ----------
        song : ReferenceSong

        Returns
        -------
        ScoredSong or None
            None if something remains to be scored.

        Raises
        ------
        OutputError
            If old scores cannot be removed.
        """
        audio = self._known_audio(song)
        if audio is None:
            return None
        found: dict[str, TrackScores] = {}
        for system, folder in self._systems(song):
            try:
                settings = self._settings(system, song, audio)
            except DataError as error:
                found[system.name] = _failed(error, _path(folder, system, song))
                continue
            scores = _load(_path(folder, system, song), settings, song)
            if scores is None:
                return None
            found[system.name] = scores
        return ScoredSong(found, audio)

    def score(self, song: ReferenceSong) -> ScoredSong:
        """Score what is not stored yet, and store it.

        Parameters
        ----------
        song : ReferenceSong

        Returns
        -------
        ScoredSong
            With empty scores for every system that had no usable estimates, or for all if
            the song itself cannot be used.

        Raises
        ------
        SongsplitError
            If something is wrong that has nothing to do with this song: the model, the
            device, a missing package, or an output folder that cannot be written to.
        """
        files = _file_states(song)
        try:
            audio = song.read()
            scorer = TrackScorer(
                audio.references,
                audio.sample_rate,
                backend=self.backend,
                keep=self.yardsticks / _STATISTICS,
            )
        except _SONG_ERRORS as error:
            failed = {
                system.name: _failed(error, _path(folder, system, song))
                for system, folder in self._systems(song)
            }
            return ScoredSong(failed, None)
        samples = audio.mixture.shape[1]
        known = KnownAudio(
            scorer.digest,
            audio_digest({"mixture": audio.mixture}, audio.sample_rate),
            audio.sample_rate,
            samples / audio.sample_rate,
        )
        write_json(self._audio_path(song), {"files": files, **asdict(known)})
        found: dict[str, TrackScores] = {}
        for system, folder in self._systems(song):
            path = _path(folder, system, song)
            try:
                settings = self._settings(system, song, known)
                scores = _load(path, settings, song)
                if scores is None:
                    scores = _score(scorer, system, song, audio)
                    if self._settings(system, song, known) != settings:
                        raise DataError(
                            f"{system.name}: the files of {song.name} changed while they were "
                            "being scored: start again"
                        )
                    store_scores(path, scores, settings)
                    # With the digits that a later run will find.
                    scores = load_scores(path, settings) or scores
                found[system.name] = scores
            except _SONG_ERRORS as error:
                found[system.name] = _failed(error, path)
        return ScoredSong(found, known)

    def _systems(self, song: ReferenceSong) -> Iterator[tuple[System, Path]]:
        """Yield the candidate and the yardsticks for its targets, and where their scores go."""
        yield self.candidate, self.output
        try:
            targets = self.candidate.settings(song)["targets"]
        except DataError:
            targets = TWO_TARGETS
        for yardstick in yardsticks(
            TWO_TARGETS if set(targets) <= {*TWO_TARGETS} else FIVE_TARGETS
        ):
            yield yardstick, self.yardsticks

    def _settings(self, system: System, song: ReferenceSong, audio: KnownAudio) -> dict[str, Any]:
        """Everything that the scores of a system on a song depend on."""
        used = ("songsplit", "museval") if self.backend == "museval" else ("songsplit",)
        return {
            "backend": self.backend,
            "versions": {package: versions()[package] for package in used},
            "window_seconds": WINDOW_SECONDS,
            "hop_seconds": HOP_SECONDS,
            "reference_digest": audio.reference_digest,
            "mixture_digest": audio.mixture_digest,
            "sample_rate": audio.sample_rate,
            **system.settings(song),
        }

    def _audio_path(self, song: ReferenceSong) -> Path:
        return self.yardsticks / _KNOWN_AUDIO / song.subset / f"{song.file_name}.json"

    def _known_audio(self, song: ReferenceSong) -> KnownAudio | None:
        """Look up a song whose files have not changed since they were read."""
        files = _file_states(song)
        try:
            content = json.loads(self._audio_path(song).read_text(encoding="utf-8"))
            if files is None or content.pop("files") != files:
                return None
            return KnownAudio(**content)
        except (OSError, AttributeError, KeyError, TypeError, ValueError):
            return None


def _score(
    scorer: TrackScorer, system: System, song: ReferenceSong, audio: SongAudio
) -> TrackScores:
    estimates = system.estimates(song, audio)
    scores = scorer.score(estimates.audio)
    remarks = filter(None, (audio.remark, estimates.remark, scores.remark))
    return replace(scores, remark="; ".join(remarks))


def _load(path: Path, settings: Mapping[str, Any], song: ReferenceSong) -> TrackScores | None:
    """Load scores, also out of those for more targets."""
    targets = settings["targets"]
    for stored in (targets, list(song.targets)):
        scores = load_scores(path, {**settings, "targets": stored})
        if scores is not None:
            # Vocals and accompaniment are scored by themselves, whatever else there is.
            frames = {name: scores.frames[name] for name in targets if name in scores.frames}
            whole = {name: scores.whole[name] for name in targets if name in scores.whole}
            return TrackScores(frames, whole, scores.remark)
    return None


def _failed(error: Exception, path: Path) -> TrackScores:
    """Give the row of a system that failed, and remove scores of earlier runs."""
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(
            f"{path}: old scores cannot be removed ({problem.strerror}): choose another output "
            "folder"
        ) from problem
    return TrackScores({}, {}, str(error))


def _path(folder: Path, system: System, song: ReferenceSong) -> Path:
    return folder / system.name.replace(" ", "-") / song.subset / f"{song.file_name}.json"


def _file_states(song: ReferenceSong) -> list[list[str | int]] | None:
    """Paths, sizes, and times of change of content and file; None if a file is not there."""
    try:
        states = [(file.resolve(), file.stat()) for file in song.files]
    except OSError:
        return None
    return [
        # The time of the content alone may be that of an archive.
        [str(path), state.st_size, state.st_mtime_ns, state.st_ctime_ns]
        for path, state in states
    ]
