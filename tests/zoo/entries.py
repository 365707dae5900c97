"""What the zoo is made of: a file, and what has to become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.audio.zoo import RATE, song

Samples = NDArray[np.float32]

SONG = song(frames=11_025)
"""A quarter of a second in stereo: what most files of the zoo hold."""

MONO = song(frames=11_025, channels=1)


@dataclass(frozen=True, eq=False)
class Stems:
    """The file is separated, and its stems add up to what it holds.

    Attributes
    ----------
    channels : int
        Channels of the file and of its stems.
    sample_rate : int
        Sample rate in Hz.
    frames : int or None
        Samples per channel; None where that depends on how an encoder frames them.
    samples : ndarray or None
        What the file holds, ``(channels, frames)``; None where a codec changes it.
    tolerance : float
        How far from `samples` the decoded ones may be.
    """

    channels: int = 2
    sample_rate: int = RATE
    frames: int | None = None
    samples: Samples | None = None
    tolerance: float = 0.0


@dataclass(frozen=True)
class Refused:
    """The file is refused with a message that names it and has these words in it.

    Attributes
    ----------
    words : str
        A part of the message.
    """

    words: str


@dataclass(frozen=True, eq=False)
class Entry:
    """A file of the zoo.

    Attributes
    ----------
    name : str
        The name of the file, with its extension.
    make : callable
        Returns the bytes of the file: the same ones each time, with the same libraries.
    expected : Stems or Refused
        What has to become of it.
    """

    name: str
    make: Callable[[], bytes]
    expected: Stems | Refused


def holds(samples: Samples, tolerance: float = 0.0, rate: int = RATE) -> Stems:
    """Expect stems that add up to known samples."""
    channels, frames = samples.shape
    return Stems(channels, rate, frames, samples, tolerance)
