"""Playing a signal faster or slower."""

from __future__ import annotations

import torch
from torch import Tensor


def resample_to(samples: Tensor, length: int) -> Tensor:
    """Spread a signal over another number of samples, which changes pitch and tempo.

    Parameters
    ----------
    samples : Tensor, shape (..., n)
        At least one sample. Taken as periodic: fade or pad the ends, or throw away what
        comes from there.
    length : int
        Number of samples wanted, at least one.

    Returns
    -------
    Tensor of float32, shape (..., length)
        The signal that has the same Fourier series, up to the lower of the two Nyquist
        frequencies. There and back gives the same signal, save what lies above that.
    """
    given = samples.shape[-1]
    with torch.autocast(samples.device.type, enabled=False):
        spectrum = torch.fft.rfft(samples.float())
        # At the lower Nyquist frequency itself, phase is lost: leave that line out.
        kept = spectrum[..., : (min(given, length) + 1) // 2]
        resampled: Tensor = torch.fft.irfft(kept, n=length) * (length / given)
    return resampled
