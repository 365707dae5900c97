"""What the reading modules share: the array type, the file description, limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]

MAX_CHANNELS = 8
MIN_SAMPLE_RATE = 1
MAX_SAMPLE_RATE = 768_000
# Sums and differences of louder samples could leave the range of float32.
MAX_SAMPLE = 1e37


@dataclass(frozen=True)
class AudioInfo:
    """What is known of an audio file before its samples are read.

    Attributes
    ----------
    name : str
        The file as the caller named it, for messages.
    sample_rate : int
        Sample rate in Hz.
    channels : int
        Number of channels.
    frames : int or None
        Samples per channel; None where the file does not say for certain.
    seconds : float or None
        Duration as far as it can be told beforehand: an estimate, to show progress by.
    format : str
        Container and codec, for example ``"WAV PCM_16"`` or ``"mov aac"``.
    stems : tuple of str
        Names of the stems that the file holds beside the mixture, which is what is read;
        empty but for stem files.
    """

    name: str
    sample_rate: int
    channels: int
    frames: int | None
    seconds: float | None
    format: str
    stems: tuple[str, ...] = ()


class Backend(Protocol):
    """A decoder at work on one file."""

    @property
    def info(self) -> AudioInfo:
        """What is known of the file."""

    def chunks(self) -> Iterator[FloatArray]:
        """Yield ``(channels, n)`` pieces, n of any size, from the start to the end."""

    def close(self) -> None:
        """Release the decoder; the file itself stays open."""


class UnsupportedByBackendError(Exception):
    """A decoder cannot read the file (in full); another one may."""


def first_unusable(samples: FloatArray) -> int | None:
    """Return the position of the first sample that is not finite, or too loud to compute with.

    Parameters
    ----------
    samples : ndarray of float32, shape (channels, n)

    Returns
    -------
    int or None
        None if there is none.
    """
    # Comparisons with what is not a number are false.
    if not samples.size or (samples.max() <= MAX_SAMPLE and samples.min() >= -MAX_SAMPLE):
        return None
    usable = (samples <= MAX_SAMPLE) & (samples >= -MAX_SAMPLE)
    return int(np.argmin(usable.all(axis=0)))


def read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    """Read up to `count` bytes from a place in a file."""
    file.seek(offset)
    return file.read(count)


class NamelessFile:
    """A seekable binary file without its name.

    Both libsndfile and FFmpeg let a file's name or extension sway what they take the
    content for: a text file called ``notes.au`` becomes 8 kHz noise. Without a name
    they have only the content to go by.

    Decoders lose what is raised while they read, an interruption by the user included,
    and go on as if the file ended there: :meth:`check` raises it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise an interruption that happened while reading."""
        if self._error is not None and not isinstance(self._error, Exception):
            raise self._error

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        try:
            return self._file.read(size)
        except BaseException as error:
            self._error = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to `offset`; the result is negative for an impossible one."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):  # damaged files send decoders before their start
            return -1

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell()
