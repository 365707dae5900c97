"""Effects that mix the two channels anew: gain, place, channel swap, polarity, stereo width.

Each is one 2 x 2 matrix for an item. Because the mixer is linear as well, it can apply
the product of all of them without a further pass over the audio.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from songsplit.training.augment import draws
from songsplit.training.augment.effects import Effect
from songsplit.training.augment.settings import EffectSettings, Range


class StereoEffect(Effect):
    """An effect that is a 2 x 2 matrix applied to left and right."""

    @abstractmethod
    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Draw matrices of shape (items, 2, 2), from input to output channel."""

    def matrices(
        self, items: int, generator: torch.Generator, eligible: Tensor | None = None
    ) -> Tensor:
        """Draw the matrices without applying them, with the decisions of a call.

        Returns
        -------
        Tensor of float32, shape (items, 2, 2)
            Output channel by input channel, on the CPU; unchanged items have the identity.
        """
        index, (chosen,) = self.decide(items, generator, eligible)
        return torch.eye(2).repeat(items, 1, 1).index_copy(0, index, chosen)

    def change(self, items: Tensor, amounts: tuple[Tensor, ...]) -> Tensor:
        """Apply the matrices to audio of shape (items, 2, samples)."""
        matrices = draws.move(amounts[0], items.device)
        # A product of matrices would be rounded to TF32 where that is switched on.
        changed = matrices[:, :, :1] * items[:, :1]
        return changed.addcmul_(matrices[:, :, 1:], items[:, 1:])


@dataclass(frozen=True)
class GainConfig(EffectSettings):
    """Settings of :class:`Gain`, off by default because the mixer sets levels anyway.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    mean : float
        Mean of the gain in dB.
    spread : float
        Standard deviation in dB of a normal distribution, or half the width of a
        uniform one.
    distribution : {"normal", "uniform"}
    """

    section: ClassVar[str] = "gain"
    mean: float = 0.0
    spread: float = 6.0
    distribution: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_within("mean", -60, 60)
        self._require_within("spread", 0, 60)
        known = self.distribution in ("normal", "uniform")
        self._require("distribution", known, "be normal or uniform")


class Gain(StereoEffect):
    """Make items louder or quieter."""

    def __init__(self, config: GainConfig) -> None:
        super().__init__(config.share)
        self.config = config

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Draw multiples of the identity."""
        mean, spread = self.config.mean, self.config.spread
        if self.config.distribution == "normal":
            decibels = draws.normal(items, mean, spread, generator)
        else:
            decibels = draws.uniform(items, (mean - spread, mean + spread), generator)
        return (draws.gain(decibels)[:, None, None] * torch.eye(2),)


@dataclass(frozen=True)
class PanConfig(EffectSettings):
    """Settings of :class:`Pan`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    """

    section: ClassVar[str] = "pan"
    share: float = 0.0


class Pan(StereoEffect):
    """Move items to another place between left and right, at constant power.

    Solo singers are recorded in the middle, the voices behind a song's singer mostly are not.
    """

    def __init__(self, config: PanConfig) -> None:
        super().__init__(config.share)

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Draw diagonal matrices; the middle has the identity."""
        place = draws.uniform(items, (0.0, math.pi / 2), generator)
        return (torch.diag_embed(torch.stack([place.cos(), place.sin()], dim=1) * 2**0.5),)


@dataclass(frozen=True)
class ChannelSwapConfig(EffectSettings):
    """Settings of :class:`ChannelSwap`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    """

    section: ClassVar[str] = "channel_swap"
    share: float = 0.5


class ChannelSwap(StereoEffect):
    """Exchange left and right."""

    def __init__(self, config: ChannelSwapConfig) -> None:
        super().__init__(config.share)

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Return the same matrix for every item."""
        return (torch.eye(2).flip(0).repeat(items, 1, 1),)


@dataclass(frozen=True)
class PolarityConfig(EffectSettings):
    """Settings of :class:`Polarity`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    """

    section: ClassVar[str] = "polarity"
    share: float = 0.5


class Polarity(StereoEffect):
    """Change the sign of every sample."""

    def __init__(self, config: PolarityConfig) -> None:
        super().__init__(config.share)

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Return the same matrix for every item."""
        return (-torch.eye(2).repeat(items, 1, 1),)


@dataclass(frozen=True)
class StereoWidthConfig(EffectSettings):
    """Settings of :class:`StereoWidth`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    width : tuple of float
        Range of the factor of the side signal; 0 is mono, 1 changes nothing.
    mono : float
        Share of the changed items that become mono altogether.
    """

    section: ClassVar[str] = "stereo_width"
    share: float = 0.1
    width: Range = (0.0, 1.5)
    mono: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range("width", 0, 4)
        self._require_within("mono", 0, 1)


class StereoWidth(StereoEffect):
    """Scale the side signal, (L - R) / 2, and leave the mid signal, (L + R) / 2."""

    def __init__(self, config: StereoWidthConfig) -> None:
        super().__init__(config.share)
        self.config = config

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Draw matrices that are symmetrical in the channels."""
        width = draws.uniform(items, self.config.width, generator)
        width[draws.choose(self.config.mono, items, generator)] = 0.0
        same, across = (1 + width) / 2, (1 - width) / 2
        return (torch.stack([same, across, across, same], dim=1).reshape(items, 2, 2),)
