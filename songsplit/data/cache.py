"""A cache of training audio, decoded once into a folder of memory-mapped arrays.

Each stem is a ``.npy`` file of 16-bit samples. A ``.json`` file for each song states the length and
level of its stems. Both names are a hash of the paths, sizes and modification times of the song's
files, so that changed files are decoded again.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from songsplit.data.songs import VOCALS, Audio, OnBad, Song, check_pair, decode_stems
from songsplit.errors import AudioFileError, DataError
from songsplit.files import clear_stale_parts, output_errors, whole_file, write_json
from songsplit.progress import track

_FORMAT = 4  # version of the layout and of the decoding
_INAUDIBLE = 1e-9  # peak below which a stem is stored as silence: -180 dB
_MOST_JOBS = 8
_THINNING = 8  # every eighth sample is enough to compare two stems
_OPEN_FILES = 128  # each mapped file needs a descriptor; systems allow 256 or 1024


@dataclass(frozen=True)
class CachedStem:
    """One stem in the cache: a file of int16, shape (2, samples).

    `scale` converts 16-bit samples to full scale at 1 and is 0 for a silent stem. `activity` is the
    root mean square of both channels in each half second.
    """

    path: Path
    samples: int
    scale: float
    activity: list[float]

    def read_raw(self, start: int, samples: int) -> NDArray[np.int16]:
        """Copy a part of the stored array, shape (2, n), where n may be less than `samples`."""
        return np.array(_map_file(self.path)[:, start : start + samples])

    def read(self) -> Audio:
        """Read the whole stem at its level, float32 of shape (2, samples)."""
        return self.read_raw(0, self.samples) * np.float32(self.scale)


@dataclass(frozen=True)
class Clip:
    """A song, or a recording of a single stem, in the cache."""

    song: Song
    stems: dict[str, CachedStem]

    @property
    def samples(self) -> int:
        """Length of the longest stem; shorter stems are padded with silence."""
        return max(stem.samples for stem in self.stems.values())

    @property
    def backing(self) -> list[str]:
        """Names of the stems that are not vocals."""
        return [name for name in self.stems if name != VOCALS]


def fill_cache(
    songs: Sequence[Song],
    folder: str | os.PathLike[str],
    sample_rate: int,
    on_bad: OnBad = "skip",
) -> list[Clip]:
    """Return the clips of songs; songs that are missing in the folder are decoded into it.

    If another process is filling the folder, this process waits. Unusable songs are left out with a
    warning, or raise a DataError with ``on_bad="stop"``. A source without usable songs raises a
    DataError.
    """
    target = Path(folder).expanduser()
    with output_errors(target), _locked(target):
        clear_stale_parts(target)
        clips = make_clips(songs, sample_rate, f"decoding into {target}", target)
    made = [clip for clip in clips if isinstance(clip, Clip)]
    missing = {song.source for song in songs} - {clip.song.source for clip in made}
    for song, error in zip(songs, clips, strict=True):
        if isinstance(error, Exception):
            text = f"{song.source}/{song.name}: {error}"
            if on_bad == "stop":
                bad = len(songs) - len(made)
                raise DataError(f"{bad} of {len(songs)} songs cannot be used, such as {text}")
            if song.source in missing:
                raise DataError(
                    f"no song of the source {song.source!r} can be used, such as {text}"
                )
            warnings.warn(f"left out: {text}", stacklevel=2)
    return made


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder while it is filled. A filled folder on a read-only disk needs no lock."""
    lock = FileLock(folder / "lock")
    try:
        lock.acquire()
    except OSError:
        if not any(folder.glob("*.json")):
            raise
    try:
        yield
    finally:
        lock.release()


def make_clips(
    songs: Sequence[Song], sample_rate: int, description: str, folder: Path | None = None
) -> list[Clip | Exception]:
    """Decode songs in parallel; return a clip or an error for each.

    Songs that are not in the cache folder are decoded into it. Without a folder, songs are decoded
    only to check them.
    """

    def make(song: Song) -> Clip | Exception:
        try:
            key = _key(song, sample_rate)
            stems = None if folder is None else _find(folder, key)
            return Clip(song, stems or _decode(song, sample_rate, folder, key))
        except (AudioFileError, DataError) as error:
            return error

    # Threads are enough, because decoders and NumPy mostly release the GIL.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_JOBS)) as pool:
        return list(track(pool.map(make, songs), description, len(songs)))


def _key(song: Song, sample_rate: int) -> str:
    """Return a hash of everything that the decoded audio of a song depends on."""
    try:
        states = {str(part.path.absolute()): part.path.stat() for part in song.parts}
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
    parts = {
        name: [[str(part.path.absolute()), part.stream] for part in of_stem]
        for name, of_stem in song.stems.items()
    }
    dates = sorted([path, state.st_size, state.st_mtime_ns] for path, state in states.items())
    text = json.dumps([_FORMAT, sample_rate, parts, song.subtracts, dates])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _find(folder: Path, key: str) -> dict[str, CachedStem] | None:
    """Return the stems of a song if the folder holds all of them."""
    try:
        held = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        stems = {name: CachedStem(folder / f"{key}-{name}.npy", *held[name]) for name in held}
        whole = all(stem.path.stat().st_size > 4 * stem.samples for stem in stems.values())
    except (OSError, TypeError, ValueError):
        return None
    return stems if whole else None


def _decode(song: Song, sample_rate: int, folder: Path | None, key: str) -> dict[str, CachedStem]:
    stems, thinned = {}, {}
    for name, audio in decode_stems(song, sample_rate):
        peak = float(np.abs(audio).max(initial=0))
        scale = peak / 32767 if peak >= _INAUDIBLE else 0.0
        path = (folder or Path()) / f"{key}-{name}.npy"
        if folder is not None:
            _write_stem(path, audio, scale)
        stems[name] = CachedStem(path, audio.shape[1], scale, _activity(audio, sample_rate))
        thinned[name] = audio[:, ::_THINNING].copy()
    if not any(stem.scale for stem in stems.values()):
        paths = ", ".join(str(path) for path in sorted({part.path for part in song.parts}))
        raise DataError(f"every stem is silent ({paths}): replace the files or leave them out")
    if VOCALS in stems and len(stems) > 1:
        check_pair(thinned)
    if folder is not None:
        held = {name: [stem.samples, stem.scale, stem.activity] for name, stem in stems.items()}
        write_json(folder / f"{key}.json", held)
    return stems


def _write_stem(path: Path, audio: Audio, scale: float) -> None:
    """Write a stem scaled so that its peak is the largest 16-bit value."""
    raw = np.zeros(audio.shape, np.int16)
    if scale:
        np.rint(audio / np.float32(scale), out=raw, casting="unsafe")
    with whole_file(path) as stream:
        np.save(stream, raw)


def _activity(audio: Audio, sample_rate: int) -> list[float]:
    block = max(sample_rate // 2, 1)
    pieces = (audio[:, start : start + block] for start in range(0, audio.shape[1], block))
    levels = (np.sqrt(np.mean(np.square(piece), dtype=np.float64)) for piece in pieces)
    return [float(f"{level:.5g}") for level in levels]


@lru_cache(_OPEN_FILES)
def _map_file(path: Path) -> NDArray[np.int16]:
    try:
        mapped: NDArray[np.int16] = np.load(path, mmap_mode="r")
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} is missing or damaged ({error}): fill the cache again") from error
    return mapped
