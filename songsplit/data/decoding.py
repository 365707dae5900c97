"""From a song's files to stems in the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import Resampler, open_audio, read_streams, resample
from songsplit.data.cache import FORMAT, CachedStem
from songsplit.data.songs import INSTRUMENTAL, VOCALS, AudioPart, Song
from songsplit.errors import AudioFileError, DataError

LENGTH_TOLERANCE = 0.1
"""Seconds by which the parts of a song may differ in length.

Encoders add up to two frames, that is some 2300 samples; what differs by more was not
exported from start to end, and may not even start together.
"""

PARTIAL_SUFFIX = ".partial"

_BLOCK = 1 << 18  # samples decoded between two looks at whether to stop
_INAUDIBLE = 1e-9  # peak below which a stem is stored as silence: -180 dB
_LOUDEST = 1e6  # peak beyond which numbers are no audio, and might overflow when squared

Audio = NDArray[np.float32]


class FolderError(DataError):
    """The cache folder cannot be written to, so that going on is of no use."""


@dataclass(frozen=True)
class Recipe:
    """What a stem is made of: the sum of some parts, less others."""

    added: tuple[AudioPart, ...]
    subtracted: tuple[AudioPart, ...] = ()

    @property
    def parts(self) -> tuple[AudioPart, ...]:
        """All that is read to make the stem."""
        return self.added + self.subtracted

    def file(self, sha256: Mapping[Path, str], sample_rate: int) -> str:
        """Name the file in the cache after all that its content depends on.

        Parameters
        ----------
        sha256 : mapping of Path to str
            Hash over the bytes of each file.
        sample_rate : int
            Rate in Hz that the stem is stored at.

        Returns
        -------
        str
        """
        added, subtracted = (
            sorted([sha256[part.path], part.stream] for part in parts)
            for parts in (self.added, self.subtracted)
        )
        text = json.dumps([FORMAT, sample_rate, added, subtracted])
        return hashlib.sha256(text.encode()).hexdigest()[:32] + ".npy"


def recipes(song: Song) -> dict[str, Recipe]:
    """Say how each stem of a song is made, an instrumental by subtraction included.

    Parameters
    ----------
    song : Song

    Returns
    -------
    dict of str to Recipe
        By name of the stem.
    """
    found = {name: Recipe(parts) for name, parts in song.stems.items()}
    if song.subtracts and song.mixture is not None:
        found[INSTRUMENTAL] = Recipe((song.mixture,), song.stems[VOCALS])
    return found


class StemDecoder:
    """Decodes stems of one song, each part once and none longer in memory than needed.

    Parameters
    ----------
    wanted : iterable of Recipe
        The stems that will be asked for, each once.
    sample_rate : int
        Rate in Hz that everything is resampled to.
    check : callable
        Called every few seconds of audio; may raise to stop the work.
    """

    def __init__(
        self, wanted: Iterable[Recipe], sample_rate: int, check: Callable[[], None]
    ) -> None:
        self._left = Counter(part for recipe in wanted for part in recipe.parts)
        # Of a file with several streams all are decoded, because that takes hardly more
        # time than one.
        self._several = {part.path for part in self._left if part.stream > 0}
        self._rate = sample_rate
        self._check = check
        self._held: dict[AudioPart, Audio] = {}

    def stem(self, recipe: Recipe) -> Audio:
        """Decode and combine what a stem is made of.

        Parameters
        ----------
        recipe : Recipe
            One of those announced.

        Returns
        -------
        ndarray of float32, shape (2, samples)
            At the decoder's rate, as long as the shortest part. Mono is copied to both
            channels; of more than two channels the first two are kept.

        Raises
        ------
        DataError
            If a file is missing, damaged, not finite or lacks a stream, or if lengths
            differ by more than `LENGTH_TOLERANCE`.
        """
        total = self._take(recipe.parts[0])
        for index, part in enumerate(recipe.parts[1:], start=1):
            audio = self._take(part)
            if abs(audio.shape[1] - total.shape[1]) > LENGTH_TOLERANCE * self._rate:
                raise DataError(
                    f"{part.path} lasts {audio.shape[1] / self._rate:.2f} s, but "
                    f"{recipe.parts[0].path} {total.shape[1] / self._rate:.2f} s: export them "
                    "from start to end alike"
                )
            length = min(audio.shape[1], total.shape[1])
            sign = np.float32(1 if index < len(recipe.added) else -1)
            total = total[:, :length] + sign * audio[:, :length]
        if not np.abs(total).max(initial=0) <= _LOUDEST:
            raise DataError(
                f"{recipe.parts[0].path}: its level is not that of audio, with a peak beyond "
                f"{_LOUDEST:g} times full scale: export it again"
            )
        return total

    def _take(self, part: AudioPart) -> Audio:
        self._check()
        if part not in self._held:
            try:
                if part.path in self._several:
                    self._hold_streams(part.path)
                else:
                    self._held[part] = self._decoded(part.path)
            except AudioFileError as error:
                raise DataError(str(error)) from error
        self._left[part] -= 1
        return self._held[part] if self._left[part] else self._held.pop(part)

    def _decoded(self, path: Path) -> Audio:
        with open_audio(path) as reader:
            channels = min(reader.info.channels, 2)
            resampler = Resampler(reader.info.sample_rate, self._rate, channels)
            pieces = []
            for block in reader.blocks(_BLOCK):
                self._check()
                pieces.append(resampler.process(block[:2]))
            pieces.append(resampler.flush())
        return _stereo(np.concatenate(pieces, axis=1))

    def _hold_streams(self, path: Path) -> None:
        streams, rate = read_streams(path)
        for part in [part for part, left in self._left.items() if left and part.path == path]:
            if part.stream >= len(streams):
                raise DataError(
                    f"{path} holds {len(streams)} audio streams, though number "
                    f"{part.stream + 1} is needed: copy or download the file again"
                )
            self._check()
            self._held[part] = _stereo(resample(streams[part.stream][:2], rate, self._rate))


def store_stem(audio: Audio, folder: Path, file: str, sample_rate: int) -> CachedStem:
    """Write a stem into the cache folder, whole or not at all.

    Parameters
    ----------
    audio : ndarray of float32, shape (2, samples)
        Of any level: the peak is stored as the largest 16-bit value.
    folder : Path
    file : str
        Name of the file.
    sample_rate : int
        Rate of `audio` in Hz.

    Returns
    -------
    CachedStem

    Raises
    ------
    FolderError
        If the folder cannot be written to, for instance because the disk is full.
    """
    peak = float(np.abs(audio).max(initial=0))
    scale = peak / 32767 if peak >= _INAUDIBLE else 0.0
    raw = np.zeros(audio.shape, np.int16)
    if scale:
        np.rint(audio / np.float32(scale), out=raw, casting="unsafe")
    partial = folder / f"{file}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}"
    try:
        with partial.open("xb") as stream:
            np.save(stream, raw)
        partial.replace(folder / file)
    except OSError as error:
        raise FolderError(
            f"{folder} cannot be filled ({error}): make room or choose another folder, and start "
            "again; what is decoded so far is kept"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return CachedStem(file, audio.shape[1], scale, _activity(audio, max(sample_rate // 2, 1)))


def _activity(audio: Audio, block: int) -> list[float]:
    """Root mean square of each block over both channels, to five digits."""
    pieces = (audio[:, start : start + block] for start in range(0, audio.shape[1], block))
    return [
        float(f"{np.sqrt(np.mean(np.square(piece), dtype=np.float64)):.5g}") for piece in pieces
    ]


def _stereo(audio: Audio) -> Audio:
    """Copy a single channel to both sides."""
    return audio if audio.shape[0] == 2 else np.repeat(audio, 2, axis=0)
