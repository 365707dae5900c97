"""Training audio, decoded once into a folder of memory-mapped arrays.

For each stem there is one ``.npy`` file of 16-bit samples, and for each song a ``.json`` file
with the factors that restore the levels. Their names are a hash of the paths, sizes and times
of modification of the song's files. ``index.json`` lists the clips of each source.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from songsplit.data.decoding import Audio, check_pair, decode_stems
from songsplit.data.songs import VOCALS, Song, Split
from songsplit.errors import AudioFileError, DataError
from songsplit.files import clear_stale_parts, output_errors, whole_file, write_json
from songsplit.progress import track

OnBad = Literal["skip", "stop"]

_INDEX = "index.json"
_FORMAT = 3  # version of the folder's layout and of how audio gets into it
_INAUDIBLE = 1e-9  # peak below which a stem is stored as silence: -180 dB
_MOST_JOBS = 8
_THINNING = 8  # every so many samples are enough to compare two stems
_OPEN_FILES = 128  # each mapped file holds a descriptor, of which systems grant 256 or 1024


@dataclass(frozen=True)
class CachedStem:
    """One stem in the cache: a file of int16, shape (2, samples).

    `scale` is the factor from 16-bit samples to full scale at 1, and 0 for a silent stem.
    `activity` is the root mean square over both channels of each half second.
    """

    file: str
    samples: int
    scale: float
    activity: list[float]


@dataclass(frozen=True)
class Clip:
    """A cached song, or a recording of a single stem.

    `size` is that of the files it was decoded from, in bytes. `bandwidth` is as in :class:`Song`.
    """

    name: str
    source: str
    split: Split
    bandwidth: float | None
    size: int
    stems: dict[str, CachedStem]

    @property
    def samples(self) -> int:
        """Length of its longest stem; silence follows the others."""
        return max(stem.samples for stem in self.stems.values())

    @property
    def backing(self) -> list[str]:
        """Names of the stems that are not vocals."""
        return [name for name in self.stems if name != VOCALS]


class ClipCache:
    """A filled cache folder; may be pickled, and used after a fork.

    A DataError says that it is not filled, or holds audio at another rate than `sample_rate`.
    """

    def __init__(self, folder: str | os.PathLike[str], sample_rate: int | None = None) -> None:
        self.folder = Path(folder).expanduser()
        path = self.folder / _INDEX
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            if index["format"] != _FORMAT:
                raise ValueError(f"format {index['format']} instead of {_FORMAT}")
            self.sample_rate = int(index["sample_rate"])
            self.clips = [_parse_clip(entry) for own in index["sources"].values() for entry in own]
        except FileNotFoundError:
            raise DataError(
                f"{path} not found: choose a cache folder that has been filled, or give the "
                "paths of the sources to fill it from"
            ) from None
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is damaged or of another version ({error!r}): delete the folder and fill "
                "it again"
            ) from error
        if sample_rate not in (None, self.sample_rate):
            raise DataError(
                f"{self.folder} holds audio at {self.sample_rate} Hz, not {sample_rate} Hz: use "
                "another folder"
            )

    def select(self, sources: Iterable[str]) -> list[Clip]:
        """Return the clips of some sources in their order; a DataError names one without."""
        held = _by_source(self.clips)
        for source in sources:
            if source not in held:
                raise DataError(
                    f"{self.folder} holds no clips of the source {source!r}, only "
                    f"{', '.join(sorted(held)) or 'nothing'}: give the source's path to fill the "
                    "cache from"
                )
        return [clip for source in sources for clip in held[source]]

    def read_raw(self, clip: Clip, stem: str, start: int, samples: int) -> NDArray[np.int16]:
        """Copy part of a stem as it is stored, shape (2, n): it may end before `samples`."""
        return np.array(_map_file(self.folder / clip.stems[stem].file)[:, start : start + samples])

    def read(self, clip: Clip, stem: str) -> Audio:
        """Read a stem at its level, float32 of shape (2, clip.samples)."""
        audio = np.zeros((2, clip.samples), np.float32)
        raw = self.read_raw(clip, stem, 0, clip.samples)
        audio[:, : raw.shape[1]] = raw * np.float32(clip.stems[stem].scale)
        return audio


def fill_cache(
    songs: Mapping[str, Sequence[Song]],
    folder: str | os.PathLike[str],
    sample_rate: int,
    *,
    on_bad: OnBad = "skip",
) -> ClipCache:
    """Decode into a cache folder what it does not hold yet.

    `songs` says what each source consists of from now on; what the folder holds of other
    sources stays. If another process is filling the folder, this one waits for it. Songs that
    cannot be used are left out with a warning, or with ``on_bad="stop"`` are a DataError.
    """
    target = Path(folder).expanduser()
    with output_errors(target), _locked(target):
        clear_stale_parts(target)
        filled = (target / _INDEX).exists()
        before = _by_source(ClipCache(target, sample_rate).clips) if filled else {}
        listed = [replace(song, source=name) for name, own in songs.items() for song in own]
        results = make_clips(listed, sample_rate, f"decoding into {target}", target)
        bad = [
            f"{song.source}/{song.name}: {result}"
            for song, result in zip(listed, results, strict=True)
            if isinstance(result, Exception)
        ]
        if bad and on_bad == "stop":
            raise DataError(f"{len(bad)} of {len(listed)} songs cannot be used, for one {bad[0]}")
        for text in bad:
            warnings.warn(f"left out: {text}", stacklevel=2)
        made = _by_source(result for result in results if isinstance(result, Clip))
        for name in songs:
            if name not in made:
                reason = "".join(f", for one {text}" for text in bad[:1])
                raise DataError(f"no song of the source {name!r} can be used{reason}")
        sources = before | made
        if sources != before:
            content = {name: [asdict(clip) for clip in own] for name, own in sources.items()}
            index = {"format": _FORMAT, "sample_rate": sample_rate, "sources": content}
            write_json(target / _INDEX, index)
    return ClipCache(target)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for others that fill a folder. A full one on a read-only disk needs no lock."""
    lock = FileLock(folder / "lock")
    try:
        lock.acquire()
    except OSError:
        if not (folder / _INDEX).exists():
            raise
    try:
        yield
    finally:
        lock.release()


def make_clips(
    songs: Sequence[Song], sample_rate: int, description: str, folder: Path | None = None
) -> list[Clip | Exception]:
    """Decode songs, several at a time; what cannot be used gives its error.

    They are decoded into a cache folder where it does not hold them yet, or nowhere to see
    whether that is possible.
    """

    def make(song: Song) -> Clip | Exception:
        try:
            return _make_clip(song, sample_rate, folder)
        except (AudioFileError, DataError) as error:
            return error

    # Threads do: decoders and NumPy mostly work without the interpreter's lock.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_JOBS)) as pool:
        return list(track(pool.map(make, songs), description, len(songs)))


def _make_clip(song: Song, sample_rate: int, folder: Path | None) -> Clip:
    key, size = _key(song, sample_rate)
    held = None if folder is None else _find_clip(folder, key)
    if held is not None:
        return replace(
            held, name=song.name, source=song.source, split=song.split, bandwidth=song.bandwidth
        )
    stems, thinned = {}, {}
    for name, audio in decode_stems(song, sample_rate):
        stems[name] = _store_stem(audio, folder, f"{key}-{name}.npy", sample_rate)
        thinned[name] = audio[:, ::_THINNING].copy()
    clip = Clip(song.name, song.source, song.split, song.bandwidth, size, stems)
    if not any(stem.scale for stem in stems.values()):
        paths = ", ".join(str(path) for path in sorted({part.path for part in song.parts}))
        raise DataError(f"every stem is silent ({paths}): replace the files or leave them out")
    if VOCALS in stems and clip.backing:
        check_pair(thinned)
    if folder is not None:
        write_json(folder / f"{key}.json", asdict(clip))
    return clip


def _key(song: Song, sample_rate: int) -> tuple[str, int]:
    """Name a song after all that its decoded audio depends on; also give its bytes."""
    try:
        states = {part.path: part.path.stat() for part in song.parts}
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
    parts = {
        name: [[str(part.path.absolute()), part.stream] for part in of_stem]
        for name, of_stem in song.stems.items()
    }
    dates = [[str(p.absolute()), s.st_size, s.st_mtime_ns] for p, s in states.items()]
    text = json.dumps([_FORMAT, sample_rate, parts, song.subtracts, sorted(dates)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return digest, sum(state.st_size for state in states.values())


def _find_clip(folder: Path, key: str) -> Clip | None:
    """Return a clip, if the folder holds all of it."""
    try:
        clip = _parse_clip(json.loads((folder / f"{key}.json").read_text(encoding="utf-8")))
        files = [(stem, (folder / stem.file).stat().st_size) for stem in clip.stems.values()]
        return clip if all(size > 4 * stem.samples for stem, size in files) else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _store_stem(audio: Audio, folder: Path | None, file: str, sample_rate: int) -> CachedStem:
    """Write a stem with its peak as the largest 16-bit value, and measure it."""
    peak = float(np.abs(audio).max(initial=0))
    scale = peak / 32767 if peak >= _INAUDIBLE else 0.0
    if folder is not None:
        raw = np.zeros(audio.shape, np.int16)
        if scale:
            np.rint(audio / np.float32(scale), out=raw, casting="unsafe")
        with whole_file(folder / file) as stream:
            np.save(stream, raw)
    block = max(sample_rate // 2, 1)
    pieces = (audio[:, start : start + block] for start in range(0, audio.shape[1], block))
    activity = [
        float(f"{np.sqrt(np.mean(np.square(piece), dtype=np.float64)):.5g}") for piece in pieces
    ]
    return CachedStem(file, audio.shape[1], scale, activity)


@lru_cache(_OPEN_FILES)
def _map_file(path: Path) -> NDArray[np.int16]:
    try:
        mapped: NDArray[np.int16] = np.load(path, mmap_mode="r")
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} is missing or damaged ({error}): fill the cache again") from error
    return mapped


def _by_source(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.source, []).append(clip)
    return found


def _parse_clip(entry: dict[str, Any]) -> Clip:
    stems = {name: CachedStem(**stem) for name, stem in entry["stems"].items()}
    return Clip(**{**entry, "stems": stems})
