"""Songs to score on: their mixture, and the true stems to compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial, reduce
from pathlib import Path
from typing import TypeAlias

import numpy as np

from songsplit.audio import read_streams
from songsplit.data.folders import Finding, is_stem_file, require_songs, scan_folder
from songsplit.data.songs import (
    BACKING_PARTS,
    INSTRUMENTAL,
    MIXTURE,
    STEM_FILE_STREAMS,
    VOCALS,
    Audio,
    AudioPart,
    Song,
    Split,
    stream_of,
)
from songsplit.data.sources import SAMPLE_RATE, Subset, scan_musdb, validation_names
from songsplit.errors import DataError
from songsplit.evaluation.projections import Samples
from songsplit.evaluation.track_scores import ACCOMPANIMENT, FIVE_TARGETS, TWO_TARGETS
from songsplit.naming import shortened

Estimates: TypeAlias = dict[str, Samples]

# Bytes. Systems allow 255, of which extensions take some.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class SongAudio:
    """A song as it was read, float32 of shape (channels, samples).

    The references are ``vocals``, ``accompaniment``, and ``drums``, ``bass`` and ``other`` where
    the song has all three.
    """

    mixture: Audio
    references: Mapping[str, Samples]
    sample_rate: int
    remark: str = ""


@dataclass(frozen=True)
class ReferenceSong:
    """A song whose true stems are known, before any of it is read.

    `subset` is the folder that its scores go to.
    """

    name: str
    subset: str
    files: tuple[Path, ...]
    read: Callable[[], SongAudio]

    @property
    def file_name(self) -> str:
        """The name without folders, as museval's tools want it; cut if it is long."""
        return shortened(self.name.replace("/", " - "), _LONGEST_NAME)

    def digest(self) -> str:
        """SHA-256 over the content of the song's files."""
        return files_digest(self.files)


def files_digest(files: Sequence[Path]) -> str:
    """SHA-256 over the content of files in order, not over their names."""
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def musdb_songs(
    root: Path, subset: Subset = "test", split: Split | None = None
) -> list[ReferenceSong]:
    """List songs of MUSDB18 or MUSDB18-HQ, whichever is there, sorted by name.

    The accompaniment is the sum of drums, bass and other, as `museval` has it. A DataError names a
    song that lacks a stem.
    """
    scan = scan_musdb(root, "references", subset)
    for problem in scan.problems:
        if problem.severity == "error":
            raise DataError(f"{problem.path}: {problem.text}")
    songs = require_songs(root / subset, scan)
    if split is not None:
        valid = validation_names()
        songs = [song for song in songs if (song.name in valid) == (split == "valid")]
        if not songs:
            raise DataError(f"{root}: no song of {subset!r} belongs to split {split!r} of MUSDB18")
    return [
        ReferenceSong(
            song.name, subset, _files(song, STEM_FILE_STREAMS), partial(_read_musdb, song)
        )
        for song in songs
    ]


def own_songs(folder: Path) -> tuple[list[ReferenceSong], list[Finding]]:
    """List the songs that `scan_folder` finds, and what it should have found but did not."""
    scan = scan_folder(folder, "references")
    songs = [
        ReferenceSong(song.name, "test", _files(song, _parts(song)), partial(_read_own, song))
        for song in require_songs(folder, scan)
    ]
    return songs, scan.problems


def _parts(song: Song) -> dict[str, tuple[AudioPart, ...]]:
    mixture = {} if song.mixture is None else {MIXTURE: (song.mixture,)}
    return {**song.stems, **mixture}


def _files(song: Song, order: Iterable[str]) -> tuple[Path, ...]:
    parts = _parts(song)
    return tuple(dict.fromkeys(part.path for name in order for part in parts.get(name, ())))


def _read_musdb(song: Song) -> SongAudio:
    """Read a song with the mixture as released, which need not be the sum of the stems."""
    audio = _read(song)
    path = song.parts[0].path
    channels, rate = len(audio.mixture), audio.sample_rate
    if song.mixture is None or audio.remark or (channels, rate) != (2, SAMPLE_RATE):
        raise DataError(
            f"{path}: {channels} channel(s) at {rate} Hz, or no mixture like the stems, where "
            f"MUSDB18 has all five in stereo at {SAMPLE_RATE} Hz: download the song again"
        )
    if not is_stem_file(path):
        return audio
    stems = {name: _in_16_bits(audio.references[name]) for name in (VOCALS, *BACKING_PARTS)}
    return SongAudio(_in_16_bits(audio.mixture), stems_as_targets(stems), rate)


def _in_16_bits(audio: Audio) -> Audio:
    """Round as the musdb package does: what is soft enough becomes digital silence, not scored."""
    steps: Audio = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767)
    return steps / np.float32(32768)


def _read_own(song: Song) -> SongAudio:
    audio = _read(song)
    place = f"{song.parts[0].path.parent}, {song.name!r}"
    for name in TWO_TARGETS:
        if not audio.references[name].any():
            raise DataError(f"{place}: {name} silent throughout: check which file is which stem")
    refuse_misnamed(audio.references, audio, place)
    return audio


def _read(song: Song) -> SongAudio:
    streams_of = cache(read_streams)
    audio: dict[AudioPart, Audio] = {}
    formats: dict[AudioPart, str] = {}
    for part in (part for parts in _parts(song).values() for part in parts):
        streams, rate = streams_of(part.path)
        audio[part] = stream_of(part, streams)
        channels, samples = audio[part].shape
        formats[part] = f"{samples} samples in {channels} channel(s) at {rate} Hz"
    first, *others = song.parts
    for part in others:
        if formats[part] != formats[first]:
            raise DataError(
                f"{part.path} holds {formats[part]}, but {first.path} {formats[first]}: export "
                "all parts of the song alike"
            )
    stems = {stem: total([audio[part] for part in parts]) for stem, parts in song.stems.items()}
    remark = ""
    mixture = total([*stems.values()])
    if song.mixture is not None and formats[song.mixture] == formats[first]:
        mixture = audio[song.mixture]
    elif song.mixture is not None:
        remark = (
            f"{song.mixture.path.name} holds {formats[song.mixture]}, unlike the stems: their sum "
            "was separated instead"
        )
    if song.subtracts:
        stems[INSTRUMENTAL] = mixture - stems[VOCALS]
    return SongAudio(mixture, stems_as_targets(stems), streams_of(first.path)[1], remark)


def refuse_misnamed(stems: Mapping[str, Samples], song: SongAudio, place: str) -> None:
    """Raise DataError if vocals or accompaniment are the mixture, or each is the other."""
    mixture, references = song.mixture, song.references
    samples = min(audio.shape[1] for audio in (mixture, *stems.values()))

    def error(name: str, true: Samples) -> float:
        return float(np.square(stems[name][:, :samples] - true[:, :samples]).sum())

    energy = {name: float(np.square(references[name]).sum()) for name in TWO_TARGETS}
    holds = {}
    for name, other in (TWO_TARGETS, TWO_TARGETS[::-1]):
        if name in stems:
            as_other = error(name, references[other])
            # Where the other stem is silent, the mixture is right.
            if error(name, mixture) < 1e-3 * energy[other]:
                holds = {name: "mixture"}
                break
            if as_other < error(name, references[name]) and as_other < 0.5 * energy[other]:
                holds[name] = other
    if "mixture" in holds.values() or len(holds) == len(set(TWO_TARGETS) & set(stems)):
        found = " and ".join(f"{name} holds the {what}" for name, what in holds.items())
        raise DataError(f"{place}: the file of {found}: check which file is which stem")


def stems_as_targets(stems: Mapping[str, Samples]) -> Estimates:
    """Name the targets of stems: drums, bass and other only if nothing is beside them.

    The accompaniment is the instrumental, or else the sum of all but the vocals.
    """
    found = dict(stems)
    backing = [name for name in stems if name not in (VOCALS, INSTRUMENTAL)]
    if INSTRUMENTAL in found:
        found[ACCOMPANIMENT] = found[INSTRUMENTAL]
    elif backing:
        found[ACCOMPANIMENT] = total([stems[name] for name in backing])
    wanted = FIVE_TARGETS if set(backing) == set(BACKING_PARTS) else TWO_TARGETS
    return {name: found[name] for name in wanted if name in found}


def total(parts: Sequence[Samples]) -> Samples:
    """Sum stems; a DataError says that they differ in length."""
    lengths = {part.shape[1] for part in parts}
    if len(lengths) > 1:
        raise DataError(
            f"stems of {' and '.join(map(str, sorted(lengths)))} samples cannot be summed: export "
            "them alike"
        )
    return reduce(np.add, parts)
