"""Songs to score on: their mixture, and the true stems to compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np

from songsplit.audio import read_streams
from songsplit.data.folders import Finding, require_songs, scan_folder
from songsplit.data.musdb import Audio, MusdbTrack, Subset, musdb_tracks
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, VOCALS, AudioPart, Song, Split
from songsplit.errors import DataError
from songsplit.evaluation.bss_eval import Samples
from songsplit.evaluation.track_scores import ACCOMPANIMENT, TWO_TARGETS

# Bytes. Systems allow 255, of which extensions take some.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class SongAudio:
    """A song as it was read, float32 of shape (channels, samples).

    The references are ``vocals``, ``accompaniment``, and ``drums``, ``bass`` and ``other`` where
    the song has all three.
    """

    mixture: Audio
    references: Mapping[str, Audio]
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
        flat = self.name.replace("/", " - ")
        # Names of files need not be valid UTF-8.
        content = flat.encode("utf-8", "surrogateescape")
        if len(content) <= _LONGEST_NAME:
            return flat
        # Without half a character at the end.
        cut = content[: _LONGEST_NAME - 9].decode("utf-8", "ignore").rstrip()
        return f"{cut} {hashlib.sha256(content).hexdigest()[:8]}"

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

    The accompaniment is the sum of drums, bass and other, as `museval` has it.
    """
    return [
        ReferenceSong(track.name, subset, track.files, partial(_read_musdb, track))
        for track in musdb_tracks(root, subset, split)
    ]


def own_songs(folder: Path) -> tuple[list[ReferenceSong], list[Finding]]:
    """List the songs that `scan_folder` finds, and what it should have found but did not."""
    scan = scan_folder(folder, "references")
    found = []
    for song in require_songs(folder, scan):
        files = tuple(dict.fromkeys(part.path for part in _parts(song)))
        found.append(ReferenceSong(song.name, "test", files, partial(_read_own, song)))
    return found, [finding for finding in scan.problems if finding.severity != "info"]


def _read_musdb(track: MusdbTrack) -> SongAudio:
    mixture, stems = track.audio()
    if track.encoded:
        mixture, stems = _in_16_bits(mixture), {name: _in_16_bits(stems[name]) for name in stems}
    return SongAudio(mixture, _references(stems), track.sample_rate)


def _in_16_bits(audio: Audio) -> Audio:
    """Round as the musdb package does: what is soft enough becomes digital silence, not scored."""
    steps: Audio = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767)
    return steps / np.float32(32768)


def _parts(song: Song) -> list[AudioPart]:
    mixture = [] if song.mixture is None else [song.mixture]
    return list(dict.fromkeys([*song.parts, *mixture]))


def _read_own(song: Song) -> SongAudio:
    files = {path: read_streams(path) for path in {part.path for part in _parts(song)}}
    decoded: dict[AudioPart, Audio] = {}
    formats: dict[AudioPart, str] = {}
    for part in _parts(song):
        streams, rate = files[part.path]
        if part.stream >= len(streams):
            raise DataError(
                f"{part.path} holds {len(streams)} audio streams, though number "
                f"{part.stream + 1} is needed: copy or download the file again"
            )
        decoded[part] = audio = streams[part.stream]
        formats[part] = f"{audio.shape[1]} samples in {len(audio)} channel(s) at {rate} Hz"
    first, *others = song.parts
    for part in others:
        if formats[part] != formats[first]:
            raise DataError(
                f"{part.path} holds {formats[part]}, but {first.path} {formats[first]}: export "
                "all parts of the song alike"
            )
    stems = {
        stem: reduce(np.add, (decoded[part] for part in parts))
        for stem, parts in song.stems.items()
    }
    remark = ""
    if song.mixture is not None and formats[song.mixture] != formats[first]:
        remark = (
            f"{song.mixture.path.name} holds {formats[song.mixture]}, unlike the stems: their sum "
            "was separated instead"
        )
    if song.mixture is None or remark:
        mixture = reduce(np.add, stems.values())
    else:
        mixture = decoded[song.mixture]
    if song.subtracts:
        stems[INSTRUMENTAL] = mixture - stems[VOCALS]
    references = _references(stems)
    place = f"{first.path.parent}, {song.name!r}"
    for name in TWO_TARGETS:
        if not references[name].any():
            raise DataError(f"{place}: {name} silent throughout: check which file is which stem")
    refuse_misnamed(references, mixture, references, place)
    return SongAudio(mixture, references, files[first.path][1], remark)


def refuse_misnamed(
    stems: Mapping[str, Samples], mixture: Audio, references: Mapping[str, Audio], place: str
) -> None:
    """Raise DataError if vocals or accompaniment are the mixture, or each is the other."""
    samples = min(audio.shape[1] for audio in (mixture, *stems.values()))

    def error(name: str, true: Audio) -> float:
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


def _references(stems: Mapping[str, Audio]) -> dict[str, Audio]:
    backing = [stems[name] for name in (INSTRUMENTAL, *BACKING_PARTS) if name in stems]
    found = {VOCALS: stems[VOCALS], ACCOMPANIMENT: reduce(np.add, backing)}
    if set(BACKING_PARTS) <= set(stems):
        found |= {name: stems[name] for name in BACKING_PARTS}
    return found
