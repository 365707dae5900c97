"""Decoded training audio as memory-mapped arrays.

Decoding compressed audio again for every chunk would starve the training loop.
The sources are therefore decoded once into a cache folder: one ``.npy`` file of
16-bit samples per stem, with the factor that restores its level, and an
``index.json`` that lists the clips. Reading a chunk is then a memory copy.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import resample
from songsplit.errors import DataError

INDEX_NAME = "index.json"
_FORMAT = 1


@dataclass(frozen=True)
class RawClip:
    """Decoded stems on their way into the cache.

    Attributes
    ----------
    name : str
        Unique name, e.g. ``"musdb/Artist - Title"``.
    source : str
        Name of the data source, which the sampling weights refer to.
    split : str
        ``"train"`` or ``"valid"``.
    stems : mapping of str to ndarray, shape (channels, samples)
        Any of ``vocals``, ``drums``, ``bass``, ``other``, ``instrumental``.
    sample_rate : int
        Rate of the stems in Hz.
    bandwidth : float or None
        Frequency in Hz above which the recording holds nothing, if it was made
        at a low rate.
    """

    name: str
    source: str
    split: str
    stems: Mapping[str, NDArray[np.float32]]
    sample_rate: int
    bandwidth: float | None = None


@dataclass(frozen=True)
class CachedStem:
    """One stem in the cache: file name, length in samples, level factor."""

    file: str
    samples: int
    scale: float


@dataclass(frozen=True)
class Clip:
    """A cached clip: some stems of one recording, all equally long.

    Attributes
    ----------
    name, source, split, bandwidth
        As in :class:`RawClip`.
    samples : int
        Length of every stem.
    stems : dict of str to CachedStem
    """

    name: str
    source: str
    split: str
    samples: int
    bandwidth: float | None
    stems: dict[str, CachedStem]

    @property
    def backing(self) -> list[str]:
        """Names of the stems that are not vocals."""
        return [name for name in self.stems if name != "vocals"]


class ClipCache:
    """A cache folder that has been filled by :func:`write_cache`.

    Parameters
    ----------
    folder : path
        The cache folder.

    Raises
    ------
    DataError
        If the folder holds no cache of this version.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        path = self.folder / INDEX_NAME
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            if index["format"] != _FORMAT:
                raise KeyError("format")
            self.sample_rate = int(index["sample_rate"])
            self.clips = [
                Clip(**{**c, "stems": {k: CachedStem(**s) for k, s in c["stems"].items()}})
                for c in index["clips"]
            ]
        except FileNotFoundError:
            raise DataError(
                f"{path} not found: fill the cache first (python -m songsplit.data --help)"
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is damaged or from another version ({error}): delete the folder and "
                "fill it again"
            ) from error
        self._open: dict[str, NDArray[np.int16]] = {}

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
            First sample.
        samples : int, optional
            Length; by default to the end.

        Returns
        -------
        ndarray of float32, shape (2, samples)
        """
        entry = clip.stems[stem]
        if entry.file not in self._open:
            self._open[entry.file] = np.load(self.folder / entry.file, mmap_mode="r")
        stop = entry.samples if samples is None else start + samples
        return self._open[entry.file][:, start:stop] * np.float32(entry.scale)


def write_cache(
    clips: Iterable[RawClip], folder: str | os.PathLike[str], sample_rate: int
) -> ClipCache:
    """Decode clips into a cache folder.

    Parameters
    ----------
    clips : iterable of RawClip
        Consumed one at a time. Mono is copied to both channels.
    folder : path
        Created if it is not there. What it holds already stays, except for clips of the
        same names, which are written anew.
    sample_rate : int
        Rate in Hz that everything is resampled to.

    Returns
    -------
    ClipCache

    Raises
    ------
    DataError
        If there are no clips, two of them have one name, the folder holds clips at
        another rate, or it cannot be written.
    """
    target = Path(folder)
    known = ClipCache(target) if (target / INDEX_NAME).exists() else None
    if known is not None and known.sample_rate != sample_rate:
        raise DataError(f"{target} holds audio at {known.sample_rate} Hz: use another folder")
    entries = {clip.name: clip for clip in known.clips} if known else {}
    new: set[str] = set()
    try:
        target.mkdir(parents=True, exist_ok=True)
        for clip in clips:
            if clip.name in new:
                raise DataError(f"two recordings are called {clip.name}: list each one once")
            new.add(clip.name)
            entries[clip.name] = _written(clip, target, sample_rate)
        if not new:
            raise DataError(f"no audio was found to fill {target} with")
        _write_index(target, sample_rate, list(entries.values()))
    except OSError as error:
        raise DataError(f"{target} cannot be filled ({error})") from error
    return ClipCache(target)


def _write_index(folder: Path, sample_rate: int, clips: list[Clip]) -> None:
    index = {"format": _FORMAT, "sample_rate": sample_rate, "clips": [asdict(c) for c in clips]}
    partial = folder / (INDEX_NAME + ".partial")
    partial.write_text(json.dumps(index, indent=1), encoding="utf-8")
    partial.replace(folder / INDEX_NAME)


def _written(clip: RawClip, folder: Path, sample_rate: int) -> Clip:
    stems = {
        name: resample(_stereo(audio), clip.sample_rate, sample_rate)
        for name, audio in clip.stems.items()
    }
    samples = min(audio.shape[1] for audio in stems.values())
    cached = {}
    for name, audio in stems.items():
        # Names of files must not depend on characters that a file system may refuse.
        digest = hashlib.sha256(f"{clip.name}/{name}".encode()).hexdigest()[:20]
        scale = max(float(np.abs(audio[:, :samples]).max()), 1e-9) / 32767
        np.save(folder / f"{digest}.npy", np.round(audio[:, :samples] / scale).astype(np.int16))
        cached[name] = CachedStem(f"{digest}.npy", samples, scale)
    return Clip(clip.name, clip.source, clip.split, samples, clip.bandwidth, cached)


def _stereo(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """First two channels, or one channel twice."""
    return audio[:2] if audio.shape[0] >= 2 else np.repeat(audio, 2, axis=0)
