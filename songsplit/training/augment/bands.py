"""Limits of the band, known from the data or random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from songsplit.training.augment import draws
from songsplit.training.augment.curves import CurveEffect, filtered
from songsplit.training.augment.settings import EffectSettings, Range


@dataclass(frozen=True)
class BandLimitConfig(EffectSettings):
    """Settings of :class:`BandLimit`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    frequency : tuple of float
        Range in Hz of the highest frequency that is kept.
    """

    section: ClassVar[str] = "band_limit"
    share: float = 0.05
    frequency: Range = (4000.0, 16000.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range("frequency", 1, 100_000)


class BandLimit(CurveEffect):
    """Silence everything above a random frequency, as a low sample rate does."""

    def __init__(self, config: BandLimitConfig, sample_rate: int, bins: int) -> None:
        super().__init__(config.share, sample_rate, bins)
        self.config = config

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Draw frequencies and return gains of 0 and 1."""
        highest = draws.log_uniform(items, self.config.frequency, generator)
        return (band_curves(highest, self.nyquist, len(self.frequency)),)


def band_curves(highest: Tensor, nyquist: float, bins: int) -> Tensor:
    """Gains, 1 up to a frequency given per item and 0 above.

    Parameters
    ----------
    highest : Tensor, shape (items,)
        In Hz, may be infinite.
    nyquist : float
        Frequency in Hz of the last bin.
    bins : int

    Returns
    -------
    Tensor of float32, shape (items, bins)
        On the device of `highest`.
    """
    frequency = torch.linspace(0, nyquist, bins, device=highest.device)
    return (frequency <= highest[:, None]).float()


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
    curves = band_curves(bandwidth, sample_rate / 2, spectrogram.shape[2])
    return filtered(spectrogram, draws.move(curves, spectrogram.device)[:, None])
