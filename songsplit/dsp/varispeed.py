"""Signals spread over another number of samples."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def resample_to(samples: Samples, length: int) -> Samples:
    """Spread a signal over another number of samples, which changes pitch and tempo.

    From (..., n) to float32 (..., length), both at least one sample. The result has the same
    Fourier series up to the lower of the two Nyquist frequencies; there and back gives the same
    signal, except for what lies above that. The signal is taken as periodic: fade or pad its
    ends, or throw away what comes from there.
    """
    given = samples.shape[-1]
    # At the lower Nyquist frequency itself, phase is lost: leave that line out.
    kept = np.fft.rfft(samples)[..., : (min(given, length) + 1) // 2]
    return cast("Samples", np.fft.irfft(kept, n=length) * np.float32(length / given))


class Interpolator:
    """Linear interpolation of a slow signal, such as a gain, at another rate.

    Unlike a resampling filter it has no delay and does not ring, and the last sample is repeated
    beyond the end; so a gain of one stays one everywhere. It is not meant for sound.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._from, self._to = from_rate, to_rate
        self._held: Samples | None = None
        self._start = 0  # number of the first held sample
        self._given = 0

    def push(self, block: Samples) -> None:
        """Append a block, shape (..., n), n >= 1."""
        self._held = block if self._held is None else np.concatenate([self._held, block], axis=-1)

    def read(self, count: int) -> Samples:
        """Return the next samples, shape (..., count); push at least one block before."""
        assert self._held is not None
        # Integers: positions in hours of audio do not fit floating point.
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
