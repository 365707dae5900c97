"""Songs to score on: their mixture, and the true stems to compare with."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np

from songsplit.audio import read_audio, read_streams
from songsplit.data.findings import Finding
from songsplit.data.layout import require_songs, scan_folder
from songsplit.data.musdb import Audio, MusdbTrack, Split, Subset, musdb_tracks
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, VOCALS, AudioPart, Song
from songsplit.errors import DataError
from songsplit.evaluation.scores import ACCOMPANIMENT, FIVE_TARGETS, TWO_TARGETS

# Systems allow 255 bytes, of which names of temporary files and extensions take some.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class SongAudio:
    """A song as it was read.

    Parameters
    ----------
    mixture : ndarray of float32, shape (channels, samples)
        What is to be separated.
    references : mapping of str to ndarray of float32, shape (channels, samples)
        The true stems by target: ``vocals`` and ``accompaniment``, and where the song has
        all three of them ``drums``, ``bass`` and ``other``.
    sample_rate : int
        In Hz.
    remark : str
        What a reader of the scores must know of the song, otherwise empty.
    """

    mixture: Audio
    references: Mapping[str, Audio]
    sample_rate: int
    remark: str = ""


@dataclass(frozen=True)
class ReferenceSong:
    """A song whose true stems are known, before any of it is read.

    Parameters
    ----------
    name : str
        Unique among the songs that are scored together.
    file_name : str
        Name for files about the song, without an extension; unique like `name`.
    subset : str
        Folder that its scores go to: ``"train"`` or ``"test"``, of which museval's
        EvalStore reads the latter alone.
    files : tuple of Path
        The files that hold the audio.
    targets : tuple of str
        Names of the references, `TWO_TARGETS` or `FIVE_TARGETS`.
    read : callable
        Gives the audio; may be pickled. Raises DataError or AudioFileError if the audio
        is missing, damaged or not that of one song.
    """

    name: str
    file_name: str
    subset: str
    files: tuple[Path, ...]
    targets: tuple[str, ...]
    read: Callable[[], SongAudio]


def musdb_songs(
    root: Path, subset: Subset = "test", split: Split | None = None
) -> list[ReferenceSong]:
    """List songs of MUSDB18 or MUSDB18-HQ, whichever is there.

    The mixture is the one released, and the accompaniment the sum of drums, bass and
    other, as `museval` has it.

    Parameters
    ----------
    root : Path
        Folder with ``train`` and ``test`` in it.
    subset, split
        As for :func:`songsplit.data.musdb.musdb_tracks`.

    Returns
    -------
    list of ReferenceSong
        Sorted by name, never empty.

    Raises
    ------
    ConfigError
        If `split` is given for the test subset.
    DataError
        If the folder does not hold MUSDB18.
    MissingExtraError
        If `split` is given and the `musdb` package is not installed.
    """
    try:
        tracks = musdb_tracks(root, subset, split)
        if not any(all(file.is_file() for file in track.files) for track in tracks):
            first = tracks[0].path
            raise DataError(
                f"{first.parent}: not MUSDB18: no folder in it, such as {first.name}, has all of "
                f"{', '.join(file.name for file in tracks[0].files)}"
            )
    except DataError as error:
        songs = _songs_with_stems(root)
        if not songs:
            raise
        raise DataError(
            f"{error}. There are songs with stems in {root}, such as {songs[0].name!r}: to score "
            f"on them, use --references {root} instead of --musdb"
        ) from error
    file_names = flat_names(track.name for track in tracks)
    return [
        ReferenceSong(
            track.name,
            file_names[track.name],
            subset,
            track.files,
            FIVE_TARGETS,
            partial(_read_musdb, track),
        )
        for track in tracks
    ]


def own_songs(folder: Path) -> tuple[list[ReferenceSong], list[Finding]]:
    """List the songs with stems in a folder.

    Parameters
    ----------
    folder : Path
        As described at :func:`songsplit.data.layout.scan_folder`. The parts of a song
        must agree in sample rate, channels and length.

    Returns
    -------
    songs : list of ReferenceSong
        Sorted by name, never empty.
    passed_over : list of Finding
        Files and folders that are not used though it seems that they should be.

    Raises
    ------
    DataError
        If there is no such folder, or no song in it.
    """
    scan = scan_folder(folder, "references")
    found = require_songs(folder, scan)
    file_names = flat_names(song.name for song in found)
    songs = [_own_song(song, file_names[song.name]) for song in found]
    return songs, [finding for finding in scan.problems if finding.severity != "info"]


def flat_names(names: Iterable[str]) -> dict[str, str]:
    """Name files after songs whose own names may be paths, or too long.

    museval's tools know a song by the name of its file alone, without the folders.

    Parameters
    ----------
    names : iterable of str
        Names of songs, such as ``"Artist/Song"``.

    Returns
    -------
    dict of str to str
        By name of the song a name such as ``"Artist - Song"``, of at most 200 bytes in
        UTF-8. It ends with a part of the name's hash if it had to be shortened, or if
        another song would have the same.
    """
    flat = {name: name.replace("/", " - ") for name in names}
    count = Counter(map(folded, flat.values()))
    return {
        name: short_name(changed, name)
        if changed == name or count[folded(changed)] == 1
        else _with_hash(changed, name)
        for name, changed in flat.items()
    }


def short_name(name: str, of: str) -> str:
    """Shorten the name of a file or folder if it has more than 200 bytes in UTF-8.

    Parameters
    ----------
    name : str
        The name as it should be.
    of : str
        What is named, different for all that are named.

    Returns
    -------
    str
        With a part of the hash of `of` if it was shortened.
    """
    return name if len(_in_bytes(name)) <= _LONGEST_NAME else _with_hash(name, of)


def folded(name: str) -> str:
    """Give what is the same for names that differ only in case or in how accents are encoded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _with_hash(name: str, of: str) -> str:
    ending = f" {hashlib.sha256(_in_bytes(of)).hexdigest()[:8]}"
    # Without half a character at the end.
    begin = _in_bytes(name)[: _LONGEST_NAME - len(ending)].decode("utf-8", "ignore")
    return begin.rstrip() + ending


def _in_bytes(name: str) -> bytes:
    # Names of files need not be valid UTF-8.
    return name.encode("utf-8", "surrogateescape")


def _songs_with_stems(root: Path) -> list[Song]:
    """Songs in a folder that was given for MUSDB18 and has nothing to do with it."""
    folder = root.expanduser()
    # A part of MUSDB18 is no collection of one's own.
    if not folder.is_dir() or folder.name == "train" or (folder / "train").is_dir():
        return []
    return scan_folder(folder, "references").songs


def _read_musdb(track: MusdbTrack) -> SongAudio:
    mixture, stems = track.audio()
    if track.encoded:
        mixture, stems = _in_16_bits(mixture), {name: _in_16_bits(stems[name]) for name in stems}
    return SongAudio(mixture, _references(stems), track.sample_rate)


def _in_16_bits(audio: Audio) -> Audio:
    """Round as the musdb package does when it decodes MUSDB18.

    Published scores rest on it: what is softer than half a step becomes digital silence, and
    seconds of digital silence are not scored.
    """
    steps: Audio = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767)
    return steps / np.float32(32768)


def _own_song(song: Song, file_name: str) -> ReferenceSong:
    parts = _parts(song)
    files = tuple(dict.fromkeys(part.path for part in parts))
    targets = FIVE_TARGETS if set(BACKING_PARTS) <= set(song.stems) else TWO_TARGETS
    return ReferenceSong(song.name, file_name, "test", files, targets, partial(_read_own, song))


def _parts(song: Song) -> list[AudioPart]:
    """All that a song is read from, with the mixture also where it is not needed for stems."""
    mixture = [] if song.mixture is None else [song.mixture]
    return list(dict.fromkeys([*song.parts, *mixture]))


def _read_own(song: Song) -> SongAudio:
    decoded = _decode(_parts(song))
    first, *others = song.parts
    audio, rate = decoded[first]
    for part in others:
        if (decoded[part][0].shape, decoded[part][1]) != (audio.shape, rate):
            raise DataError(
                f"{part.path} holds {_format(*decoded[part])}, but {first.path} "
                f"{_format(audio, rate)}: export all parts of the song alike"
            )
    stems = {
        stem: reduce(np.add, (decoded[part][0] for part in parts))
        for stem, parts in song.stems.items()
    }
    remark = ""
    if song.mixture is None:
        mixture = reduce(np.add, stems.values())
    else:
        mixture, mixture_rate = decoded[song.mixture]
        if (mixture.shape, mixture_rate) != (audio.shape, rate):
            remark = (
                f"{song.mixture.path.name} holds {_format(mixture, mixture_rate)}, unlike the "
                "stems: their sum was separated instead"
            )
            mixture = reduce(np.add, stems.values())
    if song.subtracts:
        stems[INSTRUMENTAL] = mixture - stems[VOCALS]
    return SongAudio(mixture, _references(stems), rate, remark)


def _references(stems: Mapping[str, Audio]) -> dict[str, Audio]:
    """Name the targets of a song's stems."""
    backing = [stems[name] for name in (INSTRUMENTAL, *BACKING_PARTS) if name in stems]
    found = {VOCALS: stems[VOCALS], ACCOMPANIMENT: reduce(np.add, backing)}
    if set(BACKING_PARTS) <= set(stems):
        found |= {name: stems[name] for name in BACKING_PARTS}
    return found


def _decode(parts: Sequence[AudioPart]) -> dict[AudioPart, tuple[Audio, int]]:
    """Read each file once."""
    several = {part.path for part in parts if part.stream > 0}
    found: dict[AudioPart, tuple[Audio, int]] = {}
    for path in dict.fromkeys(part.path for part in parts):
        if path not in several:
            found[AudioPart(path)] = read_audio(path)
            continue
        streams, rate = read_streams(path)
        for part in parts:
            if part.path == path:
                if part.stream >= len(streams):
                    raise DataError(
                        f"{path} holds {len(streams)} audio streams, though number "
                        f"{part.stream + 1} is needed: copy or download the file again"
                    )
                found[part] = streams[part.stream], rate
    return found


def _format(audio: Audio, rate: int) -> str:
    channels, samples = audio.shape
    return f"{samples} samples in {channels} channel(s) at {rate} Hz"
