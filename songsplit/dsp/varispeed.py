"""Resample signals to another length, which changes their speed."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def resample_to(samples: Samples, length: int) -> Samples:
    """Resample a signal to another number of samples, which changes pitch and tempo.

    From (..., n) to float32 (..., length), both at least one sample. The result has the same
    Fourier series up to the lower of the two Nyquist frequencies, so a round trip loses only the
    frequencies above it. The signal is treated as periodic: fade or pad its ends, or discard the
    ends of the result.
    """
    given = samples.shape[-1]
    # Phase is lost at the lower Nyquist frequency itself, so that bin is left out.
    kept = np.fft.rfft(samples)[..., : (min(given, length) + 1) // 2]
    return cast("Samples", np.fft.irfft(kept, n=length) * np.float32(length / given))


class Interpolator:
    """Linear interpolation of a slow signal, such as a gain, at another rate.

    Unlike a resampling filter, it has no delay and does not ring, and it repeats the last sample
    beyond the end. A gain of one thus stays one everywhere. It is not suitable for audio.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._from, self._to = from_rate, to_rate
        self._held: Samples | None = None
        self._start = 0  # number of the first held sample
        self._given = 0

    def push(self, block: Samples) -> None:
        """Append a block (..., n) with n >= 1."""
        self._held = block if self._held is None else np.concatenate([self._held, block], axis=-1)

    def read(self, count: int) -> Samples:
        """Return the next samples (..., count); push at least one block before."""
        assert self._held is not None
        # Floating point is too coarse for positions in hours of audio.
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
