"""Training audio, decoded once into a folder of memory-mapped arrays.

For each stem there is one ``.npy`` file of 16-bit samples, and for each song a ``.json`` file
with the factors that restore the levels. Their names are a hash of the paths, sizes and times
of modification of the song's files. ``index.json`` lists the clips of each source.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from songsplit.data.decoding import LENGTH_TOLERANCE, Audio, decode_stems
from songsplit.data.songs import VOCALS, Song, Split
from songsplit.errors import AudioFileError, DataError
from songsplit.files import TEMPORARY_PREFIX, whole_file, write_json
from songsplit.progress import track

OnBad = Literal["skip", "stop"]

_INDEX = "index.json"
_FORMAT = 3  # version of the folder's layout and of how audio gets into it
_INAUDIBLE = 1e-9  # peak below which a stem is stored as silence: -180 dB
_MOST_JOBS = 8
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

    `samples` is the length of its longest stem; silence follows the others. `size` is that of
    the files it was decoded from, in bytes. `bandwidth` is as in :class:`Song`.
    """

    name: str
    source: str
    split: Split
    bandwidth: float | None
    size: int
    stems: dict[str, CachedStem]

    @property
    def samples(self) -> int:
        """Length in samples."""
        return max(stem.samples for stem in self.stems.values())

    @property
    def backing(self) -> list[str]:
        """Names of the stems that are not vocals."""
        return [name for name in self.stems if name != VOCALS]


class ClipCache:
    """A filled cache folder; may be pickled, and used after a fork."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser()
        index = _read_index(self.folder)
        if index is None:
            raise DataError(
                f"{self.folder / _INDEX} not found: choose a cache folder that has been "
                "filled, or give the paths of the sources to fill it from"
            )
        self.sample_rate, sources = index
        self.clips = [clip for clips in sources.values() for clip in clips]
        self._maps: OrderedDict[str, NDArray[np.int16]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map would be a copy of all its audio.
        return {**self.__dict__, "_maps": OrderedDict()}

    def select(self, sources: Iterable[str]) -> list[Clip]:
        """Return the clips of some sources in their order; a DataError names one without."""
        found: list[Clip] = []
        for source in sources:
            clips = [clip for clip in self.clips if clip.source == source]
            if not clips:
                held = ", ".join(sorted({clip.source for clip in self.clips})) or "nothing"
                raise DataError(
                    f"{self.folder} holds no clips of the source {source!r}, only {held}: "
                    "give the source's path to fill the cache from"
                )
            found += clips
        return found

    def read_raw(self, clip: Clip, stem: str, start: int, samples: int) -> NDArray[np.int16]:
        """Copy part of a stem as it is stored, shape (2, n): it may end before `samples`."""
        file = clip.stems[stem].file
        if file in self._maps:
            self._maps.move_to_end(file)
        else:
            path = self.folder / file
            try:
                self._maps[file] = np.load(path, mmap_mode="r")
            except (OSError, EOFError, ValueError) as error:
                raise DataError(
                    f"{path} is missing or damaged ({error}): fill the cache again"
                ) from error
            if len(self._maps) > _OPEN_FILES:
                self._maps.popitem(last=False)
        return np.array(self._maps[file][:, start : start + samples])

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
    jobs: int | None = None,
) -> ClipCache:
    """Decode into a cache folder what it does not hold yet.

    `songs` says what each source consists of from now on; what the folder holds of other
    sources stays. If another process is filling the folder, this one waits for it. Songs that
    cannot be used are left out with a warning, or with ``on_bad="stop"`` are a DataError.
    """
    target = Path(folder).expanduser()
    if songs:
        with _locked(target):
            _fill(songs, target, sample_rate, on_bad, jobs)
    cache = ClipCache(target)
    _check_rate(target, cache.sample_rate, sample_rate)
    return cache


def make_clip(song: Song, sample_rate: int, folder: Path | None = None) -> Clip:
    """Decode a song into a cache folder, or nowhere to see whether that is possible.

    A DataError or AudioFileError says why the song cannot be used.
    """
    key, size = _key(song, sample_rate)
    stems = {}
    for name, audio in decode_stems(song, sample_rate):
        stems[name] = _stored(audio, folder, f"{key}-{name}.npy", sample_rate)
    lengths = [stem.samples for stem in stems.values()]
    if max(lengths) - min(lengths) > LENGTH_TOLERANCE * sample_rate:
        seconds = (f"{name} {stem.samples / sample_rate:.2f} s" for name, stem in stems.items())
        raise DataError(
            f"the stems differ in length ({', '.join(seconds)}): export them from start to end "
            "alike"
        )
    if not any(stem.scale for stem in stems.values()):
        paths = ", ".join(str(path) for path in sorted({part.path for part in song.parts}))
        raise DataError(f"every stem is silent ({paths}): replace the files or leave them out")
    clip = Clip(song.name, song.source, song.split, song.bandwidth, size, stems)
    if folder is not None:
        write_json(folder / f"{key}.json", asdict(clip))
    return clip


def make_clips(
    songs: Sequence[Song],
    make: Callable[[Song], Clip],
    description: str,
    jobs: int | None = None,
) -> list[Clip | Exception]:
    """Make the clips of songs, several at a time; what cannot be used gives its error."""
    # Threads do: decoders and NumPy mostly work without the interpreter's lock.
    with ThreadPoolExecutor(jobs or min(os.cpu_count() or 1, _MOST_JOBS)) as pool:
        futures: list[Future[Clip]] = [pool.submit(make, song) for song in songs]
        try:
            for future in track(as_completed(futures), description, len(futures)):
                if not isinstance(future.exception(), (AudioFileError, DataError)):
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    results: list[Clip | Exception] = []
    for future in futures:
        error = future.exception()
        results.append(error if isinstance(error, Exception) else future.result())
    return results


def _fill(
    songs: Mapping[str, Sequence[Song]],
    folder: Path,
    sample_rate: int,
    on_bad: OnBad,
    jobs: int | None,
) -> None:
    before = _read_index(folder)
    if before is not None:
        _check_rate(folder, before[0], sample_rate)
    listed = [replace(song, source=name) for name, own in songs.items() for song in own]
    held = [_held(song, sample_rate, folder) for song in listed]
    missing = [song for song, clip in zip(listed, held, strict=True) if clip is None]
    make = partial(make_clip, sample_rate=sample_rate, folder=folder)
    made = make_clips(missing, make, f"decoding into {folder}", jobs) if missing else []
    rest = iter(made)
    results = [next(rest) if clip is None else clip for clip in held]

    bad = [
        f"{song.source}/{song.name}: {result}"
        for song, result in zip(listed, results, strict=True)
        if isinstance(result, Exception)
    ]
    if bad and on_bad == "stop":
        raise DataError(f"{len(bad)} of {len(listed)} songs cannot be used, for one {bad[0]}")
    for text in bad:
        warnings.warn(f"left out: {text}", stacklevel=4)
    clips = [result for result in results if isinstance(result, Clip)]
    for name in songs:
        if not any(clip.source == name for clip in clips):
            reason = f", for one {bad[0]}" if bad else ""
            raise DataError(f"no song of the source {name!r} can be used{reason}")
    _tell_of_padding([clip for clip in made if isinstance(clip, Clip)], sample_rate)

    sources = {} if before is None else dict(before[1])
    sources |= {name: [clip for clip in clips if clip.source == name] for name in songs}
    if before is None or sources != before[1]:
        content = {name: [asdict(clip) for clip in own] for name, own in sources.items()}
        index = {"format": _FORMAT, "sample_rate": sample_rate, "sources": content}
        write_json(folder / _INDEX, index)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from filling a folder, as far as it can be written to."""
    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            warnings.warn(f"waiting for another process that fills {folder}", stacklevel=4)
            lock.acquire()
    except OSError as error:
        if not (folder / _INDEX).exists():
            raise DataError(
                f"{folder} cannot be filled ({error}): choose a folder that can be written to"
            ) from error
        # A full cache on a disk that is read-only needs no lock.
        yield
        return
    try:
        for left in folder.glob(f"{TEMPORARY_PREFIX}*"):
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


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


def _held(song: Song, sample_rate: int, folder: Path) -> Clip | None:
    """Return the clip of a song, if the folder holds all of it."""
    try:
        key, _ = _key(song, sample_rate)
        clip = _clip(json.loads((folder / f"{key}.json").read_text(encoding="utf-8")))
        for stem in clip.stems.values():
            if (folder / stem.file).stat().st_size < 4 * stem.samples:
                return None  # cut off
    except (OSError, DataError, KeyError, TypeError, ValueError):
        return None
    return replace(
        clip, name=song.name, source=song.source, split=song.split, bandwidth=song.bandwidth
    )


def _stored(audio: Audio, folder: Path | None, file: str, sample_rate: int) -> CachedStem:
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


def padding(clip: Clip) -> int:
    """Count the samples of silence that follow the shortest stem."""
    return clip.samples - min(stem.samples for stem in clip.stems.values())


def _tell_of_padding(clips: Sequence[Clip], sample_rate: int) -> None:
    padded = [clip for clip in clips if padding(clip)]
    if padded:
        worst = max(padded, key=padding)
        warnings.warn(
            f"{len(padded)} songs have stems that differ in length, {worst.source}/{worst.name} "
            f"by {padding(worst) / sample_rate:.3f} s: the shorter ones are padded with silence",
            stacklevel=5,
        )


def _check_rate(folder: Path, held: int, wanted: int) -> None:
    if held != wanted:
        raise DataError(f"{folder} holds audio at {held} Hz, not {wanted} Hz: use another folder")


def _read_index(folder: Path) -> tuple[int, dict[str, list[Clip]]] | None:
    """Return the sample rate and the clips by source, or None if there is no index yet."""
    path = folder / _INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != _FORMAT:
            raise DataError(
                f"{path} is of another version (format {index['format']}, not {_FORMAT}): "
                "delete the folder and fill it again"
            )
        sources = {name: [_clip(c) for c in clips] for name, clips in index["sources"].items()}
        return int(index["sample_rate"]), sources
    except FileNotFoundError:
        return None
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}): delete the folder and fill it again"
        ) from error


def _clip(entry: dict[str, Any]) -> Clip:
    stems = {name: CachedStem(**stem) for name, stem in entry["stems"].items()}
    return Clip(**{**entry, "stems": stems})
