"""From spectrograms back to audio without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor

_OVERLAP = 4


def synthesize(spectrogram: Tensor, samples: int) -> Tensor:
    """Invert a centred STFT with a periodic Hann window and a hop of a quarter of it.

    Like :func:`torch.istft`, and least squares in the sense of Griffin and Lim (1984), but
    that function looks at the sum of the windows, for which the CPU has to wait until a
    GPU has caught up.

    Parameters
    ----------
    spectrogram : Tensor of complex64, shape (..., bins, frames)
        ``2 * bins - 2`` is the length of the window.
    samples : int
        Length of the result, at most ``(frames - 1) * hop``, or that of a signal whose
        STFT has so many frames.

    Returns
    -------
    Tensor of float32, shape (..., samples)
        Its first sample is the centre of the first frame.
    """
    length = 2 * spectrogram.shape[-2] - 2
    window = torch.hann_window(length, device=spectrogram.device)
    frames = torch.fft.irfft(spectrogram.transpose(-1, -2), length) * window
    envelope = _overlap_add(window.square().expand(frames.shape[-2], length))
    kept = slice(length // 2, length // 2 + samples)
    return _overlap_add(frames)[..., kept] / envelope[kept].clamp_min(1e-6)


def _overlap_add(frames: Tensor) -> Tensor:
    """Add frames of shape (..., frames, length) that start a quarter of a frame apart."""
    *rest, count, length = frames.shape
    hop = length // _OVERLAP
    quarters = frames.reshape(*rest, count, _OVERLAP, hop)
    total = frames.new_zeros(*rest, count + _OVERLAP - 1, hop)
    for quarter in range(_OVERLAP):
        total[..., quarter : quarter + count, :] += quarters[..., quarter, :]
    return total.flatten(-2)
