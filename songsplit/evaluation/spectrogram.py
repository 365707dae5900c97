"""Spectrograms for the eye: power by logarithmic frequency, small whatever the song's length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import AudioInputError
from songsplit.evaluation.scores import Samples

WINDOW_SECONDS = 0.09
LOWEST_HZ, HIGHEST_HZ = 50.0, 20000.0
FRAMES_AT_ONCE = 128  # some 10 MB of stereo at 44.1 kHz


def log_spectrogram(
    audio: Samples, sample_rate: int, *, columns: int = 1000, bands: int = 240
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Power of audio in bands of equal width on a logarithmic frequency axis.

    The power spectra of windows (periodic Hann, about 90 ms, overlapping at least by half, so
    that no sample is passed over) are averaged over the channels, over the FFT bins of a band,
    and over the windows of a column. The song is transformed in pieces: memory does not grow
    with its length.

    Parameters
    ----------
    audio : ndarray, shape (channels, samples)
        The audio.
    sample_rate : int
        Samples per second.
    columns, bands : int, optional
        Largest number of columns and number of bands.

    Returns
    -------
    power : ndarray of float32, shape (bands, columns or fewer)
        Power, low bands first, 1 for a sine of full scale in a band as narrow as itself.
    edges : tuple of float
        Lower edge of the first and upper edge of the last band in Hz: 50 Hz, and 20 kHz or half
        the sample rate, whichever is lower.

    Raises
    ------
    AudioInputError
        If the audio has another shape or no sample.
    """
    if audio.ndim != 2 or not audio.size:
        raise AudioInputError(f"audio must have the shape (channels, samples): got {audio.shape}")
    samples = audio.shape[1]
    n_fft = 2 ** max(6, round(np.log2(WINDOW_SECONDS * sample_rate)))
    hop = int(np.clip(samples // columns, n_fft // 16, n_fft // 2))
    frames = -(-samples // hop)
    columns = min(columns, frames)

    highest = min(HIGHEST_HZ, sample_rate / 2)
    lowest = min(LOWEST_HZ, highest / 4)
    weights = _band_weights(np.geomspace(lowest, highest, bands + 1) * n_fft / sample_rate, n_fft)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    window /= window.sum() / 2
    total = np.zeros((columns, bands))
    count = np.zeros(columns)
    for first in range(0, frames, FRAMES_AT_ONCE):
        last = min(first + FRAMES_AT_ONCE, frames)
        piece = _padded(audio, first * hop - n_fft // 2, (last - 1) * hop + n_fft // 2)
        windows = np.lib.stride_tricks.sliding_window_view(piece, n_fft, axis=1)[:, ::hop]
        spectra = np.fft.rfft(windows * window)
        power = np.mean(spectra.real**2 + spectra.imag**2, axis=0)
        column = np.arange(first, last) * columns // frames
        np.add.at(total, column, power @ weights)
        np.add.at(count, column, 1)
    return (total / count[:, None]).T.astype(np.float32), (float(lowest), float(highest))


def _band_weights(edges: NDArray[np.float64], n_fft: int) -> NDArray[np.float32]:
    """Share of each FFT bin in the mean over each band, edges in bins; shape (bins, bands)."""
    bins = np.arange(n_fft // 2 + 1)[:, None]
    low, high = edges[:-1], edges[1:]
    overlap = np.minimum(high, bins + 0.5) - np.maximum(low, bins - 0.5)
    weights: NDArray[np.float32] = (np.maximum(overlap, 0) / (high - low)).astype(np.float32)
    return weights


def _padded(audio: Samples, start: int, stop: int) -> NDArray[np.float32]:
    """Cut samples from start to stop, in float32, zeros where there are none."""
    inside = audio[:, max(start, 0) : max(stop, 0)].astype(np.float32)
    before = max(-start, 0)
    return np.pad(inside, ((0, 0), (before, stop - start - before - inside.shape[1])))
