"""What the effects that multiply spectrograms by a curve over frequency have in common."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from songsplit.training.augment import draws
from songsplit.training.augment.effects import Effect


class CurveEffect(Effect):
    """A filter without phase: one gain for each item and frequency bin.

    Parameters
    ----------
    share : float
        Share of the items that are changed.
    sample_rate : int
        Rate in Hz of the audio.
    bins : int
        Number of frequency bins from 0 Hz to half the sample rate.
    """

    def __init__(self, share: float, sample_rate: int, bins: int) -> None:
        super().__init__(share)
        self.nyquist = sample_rate / 2
        # No buffer: curves are small and made on the CPU, where they are drawn.
        self.frequency = torch.linspace(0, self.nyquist, bins)

    @abstractmethod
    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Draw gains of shape (items, bins)."""

    def curves(
        self, items: int, generator: torch.Generator, eligible: Tensor | None = None
    ) -> Tensor:
        """Draw the curves without applying them, with the decisions of a call.

        Returns
        -------
        Tensor of float32, shape (items, bins)
            Factors of the magnitude, on the CPU; those of unchanged items are 1.
        """
        index, (chosen,) = self.decide(items, generator, eligible)
        return torch.ones(items, len(self.frequency)).index_copy(0, index, chosen)

    def change(self, items: Tensor, amounts: tuple[Tensor, ...]) -> Tensor:
        """Filter spectrograms of shape (items, channels, bins, frames)."""
        return filtered(items, draws.move(amounts[0], items.device)[:, None])


def filtered(spectrograms: Tensor, curves: Tensor) -> Tensor:
    """Multiply complex64 of shape (..., bins, frames) by real curves of shape (..., bins)."""
    # Of real numbers, because a product with a complex one takes three times as long.
    real = torch.view_as_real(spectrograms) * curves[..., None, None]
    return torch.view_as_complex(real)
