"""How a song looks as a whole: its spectrogram and waveform, in a few hundred columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_FRAME_SECONDS = 0.09
_LOWEST, _HIGHEST = 40.0, 16000.0  # Hz


class Overview:
    """Gathers the spectrogram and the waveform of audio that comes block by block.

    Memory does not grow with the length: where columns run out, each pair becomes one.

    Parameters
    ----------
    sample_rate : int
        Rate in Hz.
    columns : int
        Largest number of columns in the end; never under half of it, but for short songs.
    bands : int
        Frequency bands, on the mel scale from 40 Hz to 16 kHz or half the rate.
    """

    def __init__(self, sample_rate: int, *, columns: int = 1000, bands: int = 96) -> None:
        self._rate = sample_rate
        self._columns = columns
        self._frame = max(16, 2 ** round(np.log2(_FRAME_SECONDS * sample_rate)))
        self._hop = self._frame // 2
        self._window = np.hanning(self._frame).astype(np.float32)
        self._edges = _band_edges(sample_rate, self._frame, bands)
        self._held = np.zeros((0, 0), np.float32)
        self._powers = np.zeros((0, len(self._edges) - 1), np.float32)
        self._peaks = np.zeros(0, np.float32)
        self._merged = 1  # frames in each complete column
        self._rest_powers: list[Array] = []
        self._rest_peaks: list[np.float32] = []
        self._samples = 0

    @property
    def seconds(self) -> float:
        """Duration of all that came."""
        return self._samples / self._rate

    def add(self, block: Array) -> None:
        """Take float32 ``(channels, n)``."""
        self._samples += block.shape[1]
        joined = np.concatenate([self._held.reshape(len(block), -1), block], axis=1)
        start = 0
        while start + self._frame <= joined.shape[1]:
            self._add_frame(joined[:, start : start + self._frame])
            start += self._hop
        self._held = joined[:, start:]

    def _add_frame(self, frame: Array) -> None:
        # Of each channel by itself: opposite ones must not cancel.
        spectrum = (np.abs(np.fft.rfft(frame * self._window)) ** 2).mean(axis=0)
        sums = np.add.reduceat(spectrum[: self._edges[-1]], self._edges[:-1])
        powers = sums / np.diff(self._edges)
        self._rest_powers.append(powers.astype(np.float32))
        self._rest_peaks.append(np.abs(frame).max())
        if len(self._rest_powers) == self._merged:
            self._close_column()
        if len(self._powers) > self._columns:
            pairs = len(self._powers) // 2
            self._rest_powers = list(self._powers[2 * pairs :]) * self._merged
            self._rest_peaks = list(self._peaks[2 * pairs :]) * self._merged
            self._powers = self._powers[: 2 * pairs].reshape(pairs, 2, -1).mean(axis=1)
            self._peaks = self._peaks[: 2 * pairs].reshape(pairs, 2).max(axis=1)
            self._merged *= 2

    def _close_column(self) -> None:
        self._powers = np.append(self._powers, [np.mean(self._rest_powers, axis=0)], axis=0)
        self._peaks = np.append(self._peaks, max(self._rest_peaks))
        self._rest_powers, self._rest_peaks = [], []

    def finish(self) -> None:
        """Take what is left at the end."""
        if self._held.shape[1] > self._hop or not len(self._powers):
            missing = self._frame - self._held.shape[1]
            self._add_frame(np.pad(self._held, ((0, 0), (0, missing))))
        if self._rest_powers:
            self._close_column()

    @property
    def edges(self) -> NDArray[np.float64]:
        """Lower ends of the bands, and the upper end of the last, in Hz."""
        edges: NDArray[np.float64] = self._edges * (self._rate / self._frame)
        return edges

    @property
    def decibels(self) -> Array:
        """Power of each band in each column, shape (bands, columns), in dB of full scale."""
        full_scale = (self._window.sum() / 2) ** 2
        decibels: Array = 10 * np.log10(self._powers.T / full_scale + 1e-12)
        return decibels

    @property
    def peaks(self) -> Array:
        """Largest absolute sample in each column."""
        return self._peaks


def _band_edges(rate: int, frame: int, bands: int) -> NDArray[np.intp]:
    """Return the first bin of each band, and the one after the last."""
    highest = min(_HIGHEST, rate / 2)
    low, high = _mel(min(_LOWEST, highest / 2)), _mel(highest)
    hertz = 700 * (10 ** (np.linspace(low, high, bands + 1) / 2595) - 1)
    # Narrow bands have no bin of their own: there are fewer bands then.
    return np.unique(np.round(hertz * frame / rate).astype(np.intp))


def _mel(hertz: float) -> float:
    """Convert as O'Shaughnessy 1987, "Speech communication"."""
    return float(2595 * np.log10(1 + hertz / 700))
