"""Effects that mix the two channels anew: gain, place, channel swap, polarity, stereo width.

Each is one 2 x 2 matrix for an item, from input to output channel. Because the mixer is linear
as well, it applies the product of all of them without a further pass over the audio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from songsplit.augmentation.effect import (
    Effect,
    Range,
    amplitude,
    choose,
    normal,
    some_factors,
    uniform,
)


@dataclass(frozen=True)
class StereoEffect(Effect):
    """Base of effects that are matrices."""

    def factors(
        self, items: int, generator: torch.Generator, eligible: Tensor | None = None
    ) -> Tensor:
        """Draw matrices (items, 2, 2) on the CPU, the identity for unchanged items."""
        return some_factors(
            self._draw(items, generator), torch.eye(2), self.share, generator, eligible
        )

    def _draw(self, items: int, generator: torch.Generator) -> Tensor:
        """Draw matrices of shape (items, 2, 2) for all items."""
        raise NotImplementedError


@dataclass(frozen=True)
class Gain(StereoEffect):
    """Make items louder or quieter.

    Is off by default because the mixer sets levels anyway.

    Attributes
    ----------
    mean, spread : float
        Mean and standard deviation in dB of the gain, which is normally distributed.
    """

    section: ClassVar[str] = "gain"
    bounds: ClassVar[dict[str, Range]] = {"mean": (-60, 60), "spread": (0, 60)}
    mean: float = 0.0
    spread: float = 6.0

    def _draw(self, items: int, generator: torch.Generator) -> Tensor:
        decibels = normal(items, self.mean, self.spread, generator)
        return amplitude(decibels)[:, None, None] * torch.eye(2)


@dataclass(frozen=True)
class Pan(StereoEffect):
    """Move items to another place between left and right, at constant power.

    Solo singers are recorded in the middle, the voices behind a song's singer mostly are not.
    """

    section: ClassVar[str] = "pan"

    def _draw(self, items: int, generator: torch.Generator) -> Tensor:
        place = uniform(items, (0.0, math.pi / 2), generator)
        return torch.diag_embed(torch.stack([place.cos(), place.sin()], dim=1) * 2**0.5)


@dataclass(frozen=True)
class ChannelSwap(StereoEffect):
    """Exchange left and right."""

    section: ClassVar[str] = "channel_swap"
    share: float = 0.5

    def _draw(self, items: int, generator: torch.Generator) -> Tensor:
        return torch.eye(2).flip(0).repeat(items, 1, 1)


@dataclass(frozen=True)
class Polarity(StereoEffect):
    """Change the sign of every sample."""

    section: ClassVar[str] = "polarity"
    share: float = 0.5

    def _draw(self, items: int, generator: torch.Generator) -> Tensor:
        return -torch.eye(2).repeat(items, 1, 1)


@dataclass(frozen=True)
class StereoWidth(StereoEffect):
    """Scale the side signal, (L - R) / 2, and leave the mid signal, (L + R) / 2.

    Attributes
    ----------
    width : tuple of float
        Range of the factor of the side signal; 0 is mono, 1 changes nothing.
    mono : float
        Share of the changed items that become mono altogether.
    """

    section: ClassVar[str] = "stereo_width"
    bounds: ClassVar[dict[str, Range]] = {"width": (0, 4), "mono": (0, 1)}
    share: float = 0.1
    width: Range = (0.0, 1.5)
    mono: float = 0.2

    def _draw(self, items: int, generator: torch.Generator) -> Tensor:
        width = uniform(items, self.width, generator)
        width[choose(self.mono, items, generator)] = 0.0
        same, across = (1 + width) / 2, (1 - width) / 2
        return torch.stack([same, across, across, same], dim=1).reshape(items, 2, 2)
