"""Short-time Fourier transform and its inverse as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class STFT(nn.Module):
    """STFT with a periodic Hann window, and its weighted overlap-add inverse.

    The inverse is the least-squares estimate of Griffin and Lim (1984), "Signal estimation from
    modified short-time Fourier transform". Everything is computed in float32, even under autocast,
    because half precision has neither complex numbers nor the dynamic range of music. Signals are
    padded with ``n_fft // 2`` zeros on both sides, so frame ``t`` is centred on sample
    ``t * hop_length``. The hop length is at most ``n_fft // 4``, so that the last samples of a
    signal lie well inside a window and a signal of any length is reconstructed in full.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        if n_fft < 2 or n_fft % 2 or not 0 < hop_length <= n_fft // 4:
            raise ValueError(
                f"n_fft must be even and hop_length at most n_fft / 4, not {n_fft} and {hop_length}"
            )
        self.n_fft = n_fft
        self.hop_length = hop_length
        window = torch.hann_window(n_fft, periodic=True, dtype=torch.float32)
        self.register_buffer("window", window, persistent=False)

    @property
    def bins(self) -> int:
        """Number of frequency bins, ``n_fft // 2 + 1``."""
        return self.n_fft // 2 + 1

    def forward(self, samples: Tensor) -> Tensor:
        """Transform at least one sample (..., samples) into complex64 (..., bins, frames)."""
        with torch.autocast(samples.device.type, enabled=False):
            spectrogram = torch.stft(
                samples.float().reshape(-1, samples.shape[-1]),
                self.n_fft,
                self.hop_length,
                window=self.window,
                center=True,
                pad_mode="constant",
                return_complex=True,
            )
        return spectrogram.reshape(*samples.shape[:-1], *spectrogram.shape[-2:])

    def inverse(self, spectrogram: Tensor, samples: int) -> Tensor:
        """Transform (..., bins, frames) back into float32 (..., samples)."""
        with torch.autocast(spectrogram.device.type, enabled=False):
            signal = torch.istft(
                spectrogram.reshape(-1, *spectrogram.shape[-2:]),
                self.n_fft,
                self.hop_length,
                window=self.window,
                center=True,
                length=samples,
            )
        return signal.reshape(*spectrogram.shape[:-2], samples)
