"""Reference songs: their mixtures and true stems."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
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
    check_pair,
    stream_of,
)
from songsplit.data.sources import SAMPLE_RATE, Subset, scan_musdb, validation_names
from songsplit.errors import DataError
from songsplit.evaluation.projections import Samples
from songsplit.evaluation.track_scores import ACCOMPANIMENT, FIVE_TARGETS, TWO_TARGETS
from songsplit.naming import shortened

Estimates: TypeAlias = dict[str, Samples]

_LONGEST_NAME = 200  # bytes of a file name; systems allow 255 with extension


@dataclass(frozen=True)
class SongAudio:
    """The audio of a song, float32 of shape (channels, samples).

    The references are ``vocals``, ``accompaniment``, and ``drums``, ``bass`` and ``other`` if the
    song has all three.
    """

    mixture: Audio
    references: Mapping[str, Samples]
    sample_rate: int


@dataclass(frozen=True)
class ReferenceSong:
    """A song with true stems.

    `subset` is the folder of its scores. A song of MUSDB18 has the released mixture, which may
    differ from the sum of the stems.
    """

    song: Song
    subset: Subset = "test"
    is_musdb: bool = False

    @property
    def name(self) -> str:
        """The name, with slashes for songs in nested folders."""
        return self.song.name

    @property
    def file_name(self) -> str:
        """The name without slashes, as museval's tools expect it, and shortened if it is long."""
        return shortened(self.name.replace("/", " - "), _LONGEST_NAME)

    @property
    def files(self) -> list[Path]:
        """All files of the song."""
        parts = self._parts()
        order: Iterable[str] = STEM_FILE_STREAMS if self.is_musdb else parts
        return list(dict.fromkeys(part.path for name in order for part in parts.get(name, ())))

    def _parts(self) -> dict[str, tuple[AudioPart, ...]]:
        mixture = self.song.mixture
        return {**self.song.stems, **({} if mixture is None else {MIXTURE: (mixture,)})}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content of the song's files."""
        return files_digest(self.files)

    def read(self) -> SongAudio:
        """Read mixture and stems, or raise a DataError or AudioFileError."""
        song, streams_of = self.song, cache(read_streams)
        audio: dict[AudioPart, Audio] = {}
        first, expected = song.parts[0].path, ""
        for part in (part for parts in self._parts().values() for part in parts):
            streams, rate = streams_of(part.path)
            audio[part] = stream_of(part, streams)
            channels, samples = audio[part].shape
            found = f"{samples} samples in {channels} channel(s) at {rate} Hz"
            expected = expected or found
            if found != expected:
                raise DataError(
                    f"{part.path} holds {found}, but {first} {expected}: export all parts of the "
                    "song with the same length, channels and rate"
                )
        if self.is_musdb and is_stem_file(first):
            audio = {part: _in_16_bits(samples) for part, samples in audio.items()}
        stems = {stem: total([audio[part] for part in parts]) for stem, parts in song.stems.items()}
        mixture = total([*stems.values()]) if song.mixture is None else audio[song.mixture]
        if song.subtracts:
            stems[INSTRUMENTAL] = mixture - stems[VOCALS]
        read = SongAudio(mixture, stems_as_targets(stems), rate)
        if not self.is_musdb:
            place = f"{first.parent}, {song.name!r}"
            try:
                check_pair(stems)
            except DataError as error:
                raise DataError(f"{place}: {error}") from error
            refuse_misnamed(read.references, read, place)
        elif song.mixture is None or (channels, rate) != (2, SAMPLE_RATE):
            raise DataError(
                f"{first}: {channels} channel(s) at {rate} Hz, or no mixture, but MUSDB18 is "
                f"stereo at {SAMPLE_RATE} Hz with mixtures: download the song again"
            )
        return read


def musdb_songs(
    root: Path, subset: Subset = "test", split: Split | None = None
) -> list[ReferenceSong]:
    """List songs of MUSDB18 or MUSDB18-HQ, as found, sorted by name.

    The accompaniment is the sum of drums, bass and other, as in `museval`. A song without all
    stems raises a DataError.
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
    return [ReferenceSong(song, subset, is_musdb=True) for song in songs]


def own_songs(folder: Path) -> tuple[list[ReferenceSong], list[Finding]]:
    """List the songs that `scan_folder` finds, and the files that it does not use."""
    scan = scan_folder(folder, "references")
    songs = [ReferenceSong(song) for song in require_songs(folder, scan)]
    return songs, scan.problems


def _in_16_bits(audio: Audio) -> Audio:
    """Round as the musdb package does: very quiet audio becomes digital silence, not scored."""
    steps: Audio = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767)
    return steps / np.float32(32768)


def files_digest(files: Sequence[Path]) -> str:
    """Return the SHA-256 of the content of files in order, without their names."""
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def refuse_misnamed(stems: Mapping[str, Samples], song: SongAudio, place: str) -> None:
    """Raise DataError if vocals or accompaniment are the mixture, or both are exchanged."""
    samples = min(audio.shape[1] for audio in (song.mixture, *stems.values()))

    def error(name: str, true: Samples) -> float:
        return float(np.square(stems[name][:, :samples] - true[:, :samples]).sum())

    pair = {
        name: other
        for name, other in zip(TWO_TARGETS, TWO_TARGETS[::-1], strict=True)
        if name in stems
    }
    holds = {}
    for name, other in pair.items():
        true, false = song.references[name], song.references[other]
        energy = float(np.square(false).sum())
        # If the other stem is silent, the mixture is correct.
        if error(name, song.mixture) < 1e-3 * energy:
            holds[name] = "mixture"
        elif error(name, false) < min(error(name, true), 0.5 * energy):
            holds[name] = other
    if "mixture" in holds.values() or len(holds) == len(pair):
        found = " and ".join(f"{name} holds the {what}" for name, what in holds.items())
        raise DataError(f"{place}: the file of {found}: check the names of the stem files")


def stems_as_targets(stems: Mapping[str, Samples]) -> Estimates:
    """Rename stems to targets; drums, bass and other only if there are no other parts.

    The accompaniment is the instrumental, or the sum of all stems but the vocals.
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
    """Return the sum of stems, or raise a DataError if their lengths differ."""
    lengths = sorted({part.shape[1] for part in parts})
    if len(lengths) > 1:
        raise DataError(
            f"stems of {' and '.join(map(str, lengths))} samples cannot be summed: export them "
            "with the same length"
        )
    return reduce(np.add, parts)
