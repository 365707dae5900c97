"""Short-time Fourier transform and its inverse on NumPy arrays, without PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Spectrogram = NDArray[np.complex64]

_BLOCK = 64  # frames


def spectrogram(samples: Samples, n_fft: int, hop_length: int) -> Spectrogram:
    """Transform samples (n,) into (frames, bins), as :class:`songsplit.dsp.stft.STFT` does."""
    padded, window = np.pad(samples, n_fft // 2), _window(n_fft)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    # NumPy keeps single precision, but its type hints do not show that.
    spectra: NDArray[Any] = np.empty((len(frames), n_fft // 2 + 1), np.complex64)
    for block in blocks(len(frames)):
        np.fft.rfft(frames[block] * window, out=spectra[block])
    return spectra


def inverse(spectra: Iterable[Spectrogram], n_fft: int, hop_length: int, samples: int) -> Samples:
    """Transform blocks of frames, each (frames, bins), back into `samples` samples."""
    frames, start = 1 + samples // hop_length, n_fft // 2
    signal, window, done = _no_signal(frames, n_fft, hop_length), _window(n_fft), 0
    for block in spectra:
        part = cast("Samples", np.fft.irfft(block, n=n_fft))
        part *= window
        _overlap(signal[done:], part)
        done += len(part)
    whole = signal.reshape(-1)[start : start + samples]
    whole /= _weights(frames, n_fft, hop_length)[start : start + samples]
    return whole


def blocks(frames: int) -> list[slice]:
    """Return slices of frames whose blocks fit into the cache of a processor."""
    return [slice(start, start + _BLOCK) for start in range(0, frames, _BLOCK)]


@functools.cache
def _window(n_fft: int) -> Samples:
    phases = np.arange(n_fft) * (2 * np.pi / n_fft)
    window: Samples = (0.5 - 0.5 * np.cos(phases)).astype(np.float32)
    return window


@functools.lru_cache(4)
def _weights(frames: int, n_fft: int, hop_length: int) -> Samples:
    """Return the sum of the overlapping squared windows at each sample."""
    signal = _no_signal(frames, n_fft, hop_length)
    _overlap(signal, np.broadcast_to(np.square(_window(n_fft)), (frames, n_fft)))
    return signal.reshape(-1)


def _no_signal(frames: int, n_fft: int, hop_length: int) -> Samples:
    """Return zeros, one row for each hop, that hold all overlapping frames."""
    return np.zeros((frames - 1 + -(-n_fft // hop_length), hop_length), np.float32)


def _overlap(signal: Samples, frames: Samples) -> None:
    """Add frames (frames, n), each one hop after the last, to a signal in rows of one hop."""
    hop_length = signal.shape[1]
    for row, start in enumerate(range(0, frames.shape[1], hop_length)):
        part = frames[:, start : start + hop_length]
        signal[row : row + len(part), : part.shape[1]] += part
