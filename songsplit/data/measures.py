"""Measuring a recording while it is decoded, without holding it in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]

CLIPPING_LEVEL = 0.99
"""Share of full scale from which equal samples in a row are taken for clipping."""

_RUN = 3  # equal samples in a row that make a clipped run
_WINDOW = 16384  # samples over which a level is measured
_FRAME = 4096  # samples of a spectrum
_DEPTH = 1e-9  # power below the strongest bin that counts as nothing: -90 dB
# Rounding to 16 bits makes white noise of this power; below nine times that is nothing.
_ROUNDING = 9 * 2.0**-30 / 12


@dataclass(frozen=True)
class Measures:
    """What was measured of a recording.

    Attributes
    ----------
    sample_rate : int
        Rate in Hz.
    channels : int
    samples : int
        Samples per channel.
    peak : float
        Largest absolute sample; full scale is 1.
    loudest : float
        Largest root mean square of any 16384 samples, over all channels.
    offset : float
        Largest mean of a channel, as an absolute value.
    clipped_runs : int
        Places where at least three consecutive samples of a channel are equal to the
        highest or lowest sample of all, if that is close to full scale.
    bandwidth : float or None
        Frequency in Hz above which there is nothing: no more than 16-bit rounding noise,
        or 90 dB below the strongest frequency. None for silence.
    digest : str
        SHA-256 over the samples.
    """

    sample_rate: int
    channels: int
    samples: int
    peak: float
    loudest: float
    offset: float
    clipped_runs: int
    bandwidth: float | None
    digest: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.sample_rate


class Meter:
    """Measures a recording that comes in blocks.

    Parameters
    ----------
    sample_rate : int
        Rate in Hz.
    """

    BLOCK = 4 * _WINDOW
    """Samples of each block but the last."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples = 0
        self._peak = 0.0
        self._loudest = 0.0
        self._sums: NDArray[np.float64] = np.zeros(0)
        self._above, self._below = _Clipping(), _Clipping()
        self._window = np.hanning(_FRAME).astype(np.float32)
        self._power = np.zeros(_FRAME // 2 + 1)
        self._frames = 0
        self._digest = hashlib.sha256()

    def add(self, block: Audio) -> None:
        """Measure the next block.

        Parameters
        ----------
        block : ndarray of float32, shape (channels, samples)
            Of `BLOCK` samples, or fewer at the end.
        """
        channels, samples = block.shape
        if not self._samples:
            self._sums = np.zeros(channels)
        self._samples += samples
        self._peak = max(self._peak, float(np.abs(block).max()))
        self._sums += block.sum(axis=1, dtype=np.float64)
        for start in range(0, samples, _WINDOW):
            window = block[:, start : start + _WINDOW]
            level = np.sqrt(np.mean(np.square(window), dtype=np.float64))
            self._loudest = max(self._loudest, float(level))
        self._above.add(block)
        self._below.add(-block)
        self._add_spectrum(block)
        # Interleaved, so that the digest does not depend on how blocks are cut.
        self._digest.update(np.ascontiguousarray(block.T).tobytes())

    def result(self) -> Measures:
        """Sum up what was added, at least one sample.

        Returns
        -------
        Measures
        """
        channels = len(self._sums)
        self._digest.update(bytes([channels]))
        return Measures(
            self._sample_rate,
            channels,
            self._samples,
            self._peak,
            self._loudest,
            float(np.abs(self._sums).max()) / self._samples,
            self._above.runs + self._below.runs,
            self._bandwidth(channels) if self._peak else None,
            self._digest.hexdigest(),
        )

    def _add_spectrum(self, block: Audio) -> None:
        channels, samples = block.shape
        if samples < _FRAME:
            if self._frames:
                return
            block, samples = np.pad(block, ((0, 0), (0, _FRAME - samples))), _FRAME
        count = samples // _FRAME
        frames = block[:, : count * _FRAME].reshape(channels * count, _FRAME)
        spectra = np.fft.rfft(frames * self._window)
        self._power += np.square(np.abs(spectra)).sum(axis=0, dtype=np.float64)
        self._frames += count

    def _bandwidth(self, channels: int) -> float:
        power = self._power / self._frames
        rounding = _ROUNDING * channels * float(np.square(self._window).sum())
        above = np.flatnonzero(power > max(_DEPTH * power.max(), rounding))
        highest = int(above[-1]) if above.size else 0
        return min((highest + 1) / _FRAME, 0.5) * self._sample_rate


class _Clipping:
    """Counts runs of samples that stay at the highest value."""

    def __init__(self) -> None:
        self.runs = 0
        self._top = CLIPPING_LEVEL
        self._tail: Audio | None = None

    def add(self, block: Audio) -> None:
        if self._tail is None:
            self._tail = np.zeros((block.shape[0], _RUN), np.float32)
        # With the samples before, as runs may go on from block to block.
        joined = np.concatenate([self._tail, block], axis=1)
        self._tail = joined[:, -_RUN:]
        top = float(block.max())
        if top > self._top:
            self._top, self.runs = top, 0
        if top == self._top:
            at_top = joined == self._top
            run = at_top[:, 3:] & at_top[:, 2:-1] & at_top[:, 1:-2]
            self.runs += int((run & ~at_top[:, :-3]).sum())
