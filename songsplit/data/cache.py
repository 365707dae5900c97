"""Decoded training audio as memory-mapped arrays.

Decoding compressed audio again for every chunk would starve the training loop. The
sources are therefore decoded once into a cache folder, by
:func:`songsplit.data.filling.fill_cache`: one ``.npy`` file of 16-bit samples per stem,
with the factor that restores its level, and an ``index.json`` that lists the clips of
each source. Reading a chunk is then a memory copy.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from songsplit.data.songs import VOCALS, Split
from songsplit.errors import DataError

INDEX_NAME = "index.json"
FORMAT = 2
"""Version of the cache folder's layout and of how audio gets into it."""


# Each file that is mapped holds a descriptor, of which systems grant 256 or 1024.
_OPEN_FILES = 128


@dataclass(frozen=True)
class CachedStem:
    """One stem in the cache.

    Attributes
    ----------
    file : str
        Name of its ``.npy`` file of int16 samples, shape (2, samples).
    samples : int
        Length in samples.
    scale : float
        Factor from 16-bit samples to full scale at 1; 0 for a silent stem.
    activity : list of float
        Root mean square over both channels, with full scale at 1, of each half second:
        of every ``sample_rate // 2`` samples, the last of which may be fewer.
    """

    file: str
    samples: int
    scale: float
    activity: list[float]


@dataclass(frozen=True)
class Clip:
    """A cached song, or a recording of a single stem.

    Attributes
    ----------
    name : str
        Unique within its source.
    source : str
    split : {"train", "valid"}
    samples : int
        Length of what is read of every stem: that of the shortest.
    bandwidth : float or None
        Frequency in Hz above which the recording holds nothing, if it was made at a low
        rate.
    stems : dict of str to CachedStem
    digest : str
        SHA-256 over the content of the source files and what was made of them. Clips
        of one content have one digest, whatever they and their files are called.
    """

    name: str
    source: str
    split: Split
    samples: int
    bandwidth: float | None
    stems: dict[str, CachedStem]
    digest: str

    @property
    def backing(self) -> list[str]:
        """Names of the stems that are not vocals."""
        return [name for name in self.stems if name != VOCALS]


class SeenFile(NamedTuple):
    """A source file as it was when it was hashed; `sha256` is of its bytes."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class CacheIndex:
    """What ``index.json`` holds.

    Attributes
    ----------
    sample_rate : int
        Rate in Hz of all audio in the cache.
    sources : dict of str to list of Clip
        Clips of each source, in its order.
    files : dict of str to SeenFile
        Source files by absolute path, so that those unchanged need not be read again.
    """

    sample_rate: int
    sources: dict[str, list[Clip]]
    files: dict[str, SeenFile]


class SourceDigest(TypedDict):
    """What a source held: the number of clips, their duration and a hash over them."""

    clips: int
    seconds: float
    sha256: str


class ClipCache:
    """A filled cache folder.

    May be pickled, and used after a fork: files are opened by the process that reads.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    folder : Path
    sample_rate : int
        Rate in Hz of everything in the cache.
    clips : list of Clip
        Of all sources.

    Raises
    ------
    DataError
        If the folder holds no cache of this version.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser()
        index = read_index(self.folder)
        if index is None:
            raise DataError(
                f"{self.folder / INDEX_NAME} not found: choose a cache folder that has been "
                "filled, or give the paths of the sources to fill it from"
            )
        self.sample_rate = index.sample_rate
        self.clips = [clip for clips in index.sources.values() for clip in clips]
        self._maps: OrderedDict[str, NDArray[np.int16]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map would be a copy of all its audio.
        return {**self.__dict__, "_maps": OrderedDict()}

    def select(self, sources: Iterable[str]) -> list[Clip]:
        """Return the clips of some sources.

        Parameters
        ----------
        sources : iterable of str

        Returns
        -------
        list of Clip
            In the order of `sources`, and within each in its own order.

        Raises
        ------
        DataError
            If the cache holds nothing of one of the sources.
        """
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
        """Copy part of a stem out of the cache as it is stored.

        Parameters
        ----------
        clip : Clip
        stem : str
            One of ``clip.stems``, whose ``scale`` restores the level.
        start : int
            First sample, >= 0.
        samples : int
            Length, >= 0.

        Returns
        -------
        ndarray of int16, shape (2, n)
            With n <= `samples`: nothing follows the end of the clip.

        Raises
        ------
        DataError
            If the audio is missing or damaged.
        ValueError
            If `start` or `samples` is negative.
        """
        return self._part(clip, stem, start, samples).copy()

    def read(
        self, clip: Clip, stem: str, start: int = 0, samples: int | None = None
    ) -> NDArray[np.float32]:
        """Copy part of a stem out of the cache.

        Parameters
        ----------
        clip : Clip
        stem : str
            One of ``clip.stems``.
        start : int, optional
            First sample, >= 0.
        samples : int, optional
            Length, >= 0; by default to the end.

        Returns
        -------
        ndarray of float32, shape (2, n)
            Full scale at 1. n <= `samples`: nothing follows the end of the clip.

        Raises
        ------
        DataError
            If the audio is missing or damaged.
        ValueError
            If `start` or `samples` is negative.
        """
        part = self._part(clip, stem, start, clip.samples if samples is None else samples)
        return part * np.float32(clip.stems[stem].scale)

    def _part(self, clip: Clip, stem: str, start: int, samples: int) -> NDArray[np.int16]:
        if start < 0 or samples < 0:
            raise ValueError(f"start and samples must not be negative: {start}, {samples}")
        file = clip.stems[stem].file
        if file in self._maps:
            self._maps.move_to_end(file)
        else:
            path = self.folder / file
            try:
                self._maps[file] = np.asarray(np.load(path, mmap_mode="r"))
            except (OSError, EOFError, ValueError) as error:
                raise DataError(
                    f"{path} is missing or damaged ({error}): fill the cache again"
                ) from error
            if len(self._maps) > _OPEN_FILES:
                self._maps.popitem(last=False)
        return self._maps[file][:, start : min(start + samples, clip.samples)]


def source_digests(cache: ClipCache, sources: Iterable[str]) -> dict[str, SourceDigest]:
    """Say what sources hold, as a record of what a model was trained on.

    Parameters
    ----------
    cache : ClipCache
    sources : iterable of str

    Returns
    -------
    dict of str to SourceDigest
        For each source the number of clips, their seconds and a SHA-256 over their
        splits and digests, which does not depend on names or order.

    Raises
    ------
    DataError
        If the cache holds nothing of one of the sources.
    """
    found: dict[str, SourceDigest] = {}
    for source in sources:
        clips = cache.select([source])
        lines = sorted(f"{clip.split} {clip.digest}\n" for clip in clips)
        found[source] = {
            "clips": len(clips),
            "seconds": round(sum(clip.samples for clip in clips) / cache.sample_rate, 3),
            "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
        }
    return found


def read_index(folder: Path) -> CacheIndex | None:
    """Read the index of a cache folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    CacheIndex or None
        None if there is none yet.

    Raises
    ------
    DataError
        If it cannot be read or is of another version.
    """
    path = folder / INDEX_NAME
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise DataError(
                f"{path} is of another version (format {index['format']}, not {FORMAT}): "
                "delete the folder and fill it again"
            )
        return CacheIndex(
            int(index["sample_rate"]),
            {
                source: [_clip(source, entry) for entry in clips]
                for source, clips in index["sources"].items()
            },
            {name: SeenFile(*entry) for name, entry in index["files"].items()},
        )
    except FileNotFoundError:
        return None
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}): delete the folder and fill it again"
        ) from error


def write_index(folder: Path, index: CacheIndex) -> None:
    """Write the index of a cache folder, in place of the one that is there.

    Parameters
    ----------
    folder : Path
    index : CacheIndex

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    sources = {
        name: [{k: v for k, v in asdict(clip).items() if k != "source"} for clip in clips]
        for name, clips in index.sources.items()
    }
    text = json.dumps(
        {
            "format": FORMAT,
            "sample_rate": index.sample_rate,
            "sources": sources,
            "files": index.files,
        }
    )
    partial = folder / f"{INDEX_NAME}.partial"
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / INDEX_NAME)
    finally:
        partial.unlink(missing_ok=True)


def _clip(source: str, entry: dict[str, Any]) -> Clip:
    stems = {name: CachedStem(**stem) for name, stem in entry["stems"].items()}
    return Clip(**{**entry, "source": source, "stems": stems})
