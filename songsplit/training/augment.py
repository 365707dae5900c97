"""Augmentation of batches of spectrograms, on the device that trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RandomEqualizer(nn.Module):
    """Smooth random gain curves over log frequency, one for each item.

    Parameters
    ----------
    sample_rate : int
        Rate in Hz of the audio.
    bins : int
        Number of frequency bins from 0 Hz to half the sample rate.
    share : float
        Share of the items that are changed.
    deviation : float
        Standard deviation of the gain in dB at each of the curve's eight knots, which
        lie evenly between 30 Hz and half the sample rate on a logarithmic scale.
    """

    position: Tensor

    def __init__(self, sample_rate: int, bins: int, share: float, deviation: float) -> None:
        super().__init__()
        self.share = share
        self.deviation = deviation
        self.knots = 8
        frequency = torch.linspace(0, sample_rate / 2, bins).clamp_min(30.0)
        octaves = torch.log2(frequency / 30.0)
        self.register_buffer("position", octaves / octaves[-1] * 2 - 1, persistent=False)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Filter complex spectrograms of shape (batch, channels, bins, frames)."""
        batch = spectrogram.shape[0]
        device = spectrogram.device
        knots = torch.randn(batch, 1, 1, self.knots, device=device) * self.deviation
        knots = knots * (torch.rand(batch, 1, 1, 1, device=device) < self.share)
        grid = torch.stack([self.position, torch.zeros_like(self.position)], dim=-1)
        grid = grid.expand(batch, 1, -1, -1)
        gain = functional.grid_sample(knots, grid, align_corners=True)
        factor: Tensor = 10 ** (gain / 20)
        return spectrogram * factor.reshape(batch, 1, -1, 1)


def limit_band(spectrogram: Tensor, bandwidth: Tensor, sample_rate: int) -> Tensor:
    """Silence everything above a frequency, given per item.

    Singing that was recorded at a low rate has no highs. Limiting its backing as well
    keeps the network from learning that highs are never singing.

    Parameters
    ----------
    spectrogram : Tensor of complex64, shape (batch, channels, bins, frames)
    bandwidth : Tensor, shape (batch,)
        Highest frequency in Hz, may be infinite.
    sample_rate : int
        Rate in Hz of the audio.

    Returns
    -------
    Tensor of complex64, shape (batch, channels, bins, frames)
    """
    bins = spectrogram.shape[2]
    frequency = torch.linspace(0, sample_rate / 2, bins, device=spectrogram.device)
    keep = frequency[None, :] <= bandwidth[:, None]
    return spectrogram * keep[:, None, :, None]
