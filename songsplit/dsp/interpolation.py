"""Slow signals, such as gains, at another sample rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


class Interpolator:
    """Reads a signal that comes in blocks at another rate, on straight lines between samples.

    Unlike a resampling filter it has no delay, does not ring, and takes nothing for
    silence beyond the ends, where the first and the last sample go on; so a gain of one
    stays one everywhere. It is no good for sound.

    Parameters
    ----------
    from_rate, to_rate : int
        Sample rates in Hz.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._from, self._to = from_rate, to_rate
        self._held: Samples | None = None
        self._start = 0  # number of the first held sample
        self._given = 0

    def push(self, block: Samples) -> None:
        """Append a block, shape (..., n), n >= 1."""
        held = [block] if self._held is None else [self._held, block]
        self._held = np.concatenate(held, axis=-1)

    def read(self, count: int) -> Samples:
        """Return the next samples, shape (..., count).

        Raises
        ------
        ValueError
            If nothing was pushed before.
        """
        if self._held is None:
            raise ValueError("there is nothing to interpolate between yet")
        # In whole numbers: positions of hours of audio do not fit floating point.
        numbers = (self._given + np.arange(count, dtype=np.int64)) * self._from
        last = self._held.shape[-1] - 1
        index = numbers // self._to - self._start
        weight = ((numbers % self._to) / self._to).astype(np.float32)
        low, high = np.minimum(index, last), np.minimum(index + 1, last)
        result: Samples = self._held[..., low] * (1 - weight) + self._held[..., high] * weight
        self._given += count
        used = min(self._given * self._from // self._to - self._start, last)
        self._held, self._start = self._held[..., used:], self._start + used
        return result
