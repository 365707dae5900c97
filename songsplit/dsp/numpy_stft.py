"""Short-time Fourier transform and its inverse on arrays, for inference without PyTorch."""

from __future__ import annotations

import functools
from typing import cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Spectrogram = NDArray[np.complex64]


def spectrogram(samples: Samples, n_fft: int, hop_length: int) -> Spectrogram:
    """Transform samples, shape (n,), into (frames, bins), as :class:`songsplit.dsp.stft.STFT`."""
    padded = np.pad(samples, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    # NumPy keeps single precision, which its type hints do not know.
    return cast("Spectrogram", np.fft.rfft(frames * _window(n_fft)))


def inverse(spectra: Spectrogram, n_fft: int, hop_length: int, samples: int) -> Samples:
    """Transform (frames, bins) back into samples of the former number."""
    frames = cast("Samples", np.fft.irfft(spectra, n=n_fft))
    frames *= _window(n_fft)
    start = n_fft // 2
    signal = _overlapped(frames, hop_length)[start : start + samples]
    signal /= _weights(len(frames), n_fft, hop_length)[start : start + samples]
    return signal


@functools.cache
def _window(n_fft: int) -> Samples:
    phases = np.arange(n_fft) * (2 * np.pi / n_fft)
    window: Samples = (0.5 - 0.5 * np.cos(phases)).astype(np.float32)
    return window


@functools.lru_cache(4)
def _weights(frames: int, n_fft: int, hop_length: int) -> Samples:
    """Return what overlapping windows, squared, add up to at each sample."""
    squares = np.broadcast_to(np.square(_window(n_fft)), (frames, n_fft))
    return _overlapped(squares, hop_length)


def _overlapped(frames: Samples, hop_length: int) -> Samples:
    """Add up frames, shape (frames, n), each a hop later than the one before."""
    count, size = frames.shape
    hops = -(-size // hop_length)
    total = np.zeros((count + hops - 1, hop_length), np.float32)
    for hop in range(hops):
        part = frames[:, hop * hop_length : (hop + 1) * hop_length]
        total[hop : hop + count, : part.shape[1]] += part
    return total.reshape(-1)
