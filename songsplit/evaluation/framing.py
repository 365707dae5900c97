"""Frames that scores are computed over, and which of them are silent, as in museval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import AudioInputError


@dataclass(frozen=True)
class Framing:
    """Where the frames of a song lie.

    A rest at the end that is shorter than a frame is dropped, and audio that is not longer
    than a frame is one frame.

    Parameters
    ----------
    samples : int
        Length of the song, at least 1.
    window, hop : int
        Length and distance of the frames in samples, at least 1.

    Raises
    ------
    AudioInputError
        If one of them is less than 1.
    """

    samples: int
    window: int
    hop: int

    def __post_init__(self) -> None:
        if min(self.samples, self.window, self.hop) < 1:
            raise AudioInputError(
                f"{self.samples} samples in frames of {self.window} every {self.hop}: "
                "all three must be at least 1"
            )

    def __len__(self) -> int:
        if self.window >= self.samples:
            return 1
        return (self.samples - self.window) // self.hop + 1

    def __iter__(self) -> Iterator[slice]:
        for index in range(len(self)):
            start = index * self.hop
            yield slice(start, min(start + self.window, self.samples))


def silent(audio: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Tell which targets are silent as museval has it.

    Parameters
    ----------
    audio : ndarray, shape (targets, channels, samples)

    Returns
    -------
    ndarray of bool, shape (targets,)
        True where the channels sum to exactly zero at each sample, so also for channels
        that are each other's opposite.
    """
    # One sample that is not zero settles it for nearly all music.
    sums = audio[:, :, audio.shape[2] // 2].sum(axis=1, dtype=np.float64)
    middle: NDArray[np.bool_] = sums == 0
    for target in np.flatnonzero(middle):
        middle[target] = not audio[target].sum(axis=0, dtype=np.float64).any()
    return middle
