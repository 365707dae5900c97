"""What all effects share: checked settings, random decisions, and which items are changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from songsplit.errors import ConfigError

Range = tuple[float, float]
"""Lowest and highest value of something drawn at random."""

SILENCE = 1e-8
"""Root mean square below which levels are not measured."""


@dataclass(frozen=True)
class Settings:
    """Base of the settings dataclasses, which checks numbers and ranges against `bounds`.

    A dataclass itself although it has no fields: jsonargparse parses those with other
    bases in a more roundabout way.
    """

    section: ClassVar[str]  # name of the settings within those of the whole augmentation
    bounds: ClassVar[dict[str, Range]] = {}  # lowest and highest allowed value of each setting

    def __post_init__(self) -> None:
        for key, (low, high) in self.bounds.items():
            self._require_within(key, low, high)

    def _require(self, key: str, holds: bool, needed: str) -> None:
        if not holds:
            raise ConfigError(
                f"augment setting {self.section}.{key} cannot be {getattr(self, key)!r}: "
                f"it must {needed}"
            )

    def _require_within(self, key: str, low: float, high: float) -> None:
        value = getattr(self, key)
        if isinstance(value, tuple | list):
            holds = len(value) == 2 and low <= value[0] <= value[1] <= high
            needed = f"be a lowest and a highest value between {low:g} and {high:g}"
        else:
            holds, needed = low <= value <= high, f"lie between {low:g} and {high:g}"
        self._require(key, holds, needed)


@dataclass(frozen=True)
class Effect(Settings):
    """Base of effects, each with its settings, that change a random share of a batch's items.

    Decisions are drawn from a generator on the CPU, so that every device takes the same
    ones: always as many, whatever the items hold and whichever are chosen.

    Attributes
    ----------
    share : float
        Share of the items that are changed, from 0, which switches the effect off, to 1.

    Raises
    ------
    ConfigError
        If a setting is impossible. The message names it.
    """

    share: float = 0.0

    def __post_init__(self) -> None:
        self._require_within("share", 0, 1)
        super().__post_init__()


@dataclass(frozen=True)
class ItemEffect(Effect):
    """Base of effects that compute the chosen items anew, on their own device."""

    def apply(
        self,
        items: Tensor,
        sample_rate: int,
        generator: torch.Generator,
        eligible: Tensor | None = None,
    ) -> None:
        """Change a random share of the eligible items, shape (items, ...), in place."""
        amounts = self._draw(len(items), generator)
        index = choose(self.share, len(items), generator, eligible)
        if len(index):
            chosen = [amount[index] for amount in amounts]
            put(items, index, self._change(take(items, index), sample_rate, *chosen))

    def _draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw amounts for all items, each of shape (items, ...) on the CPU."""
        raise NotImplementedError

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        """Return all of the items changed by their amounts, which are on the CPU."""
        raise NotImplementedError


def some_factors(
    factors: Tensor,
    neutral: Tensor,
    share: float,
    generator: torch.Generator,
    eligible: Tensor | None = None,
) -> Tensor:
    """Keep a random share of the eligible items' factors, and give neutral ones to the others."""
    index = choose(share, len(factors), generator, eligible)
    return neutral.expand_as(factors).index_copy(0, index, factors[index])


def uniform(items: int, bounds: Range, generator: torch.Generator) -> Tensor:
    """Draw evenly distributed numbers of shape (items,), float32 on the CPU."""
    low, high = bounds
    return torch.rand(items, generator=generator) * (high - low) + low


def log_uniform(items: int, bounds: Range, generator: torch.Generator) -> Tensor:
    """Draw positive numbers whose logarithm is evenly distributed, shape (items,)."""
    low, high = bounds
    return uniform(items, (math.log(low), math.log(high)), generator).exp()


def normal(items: int, mean: float, deviation: float, generator: torch.Generator) -> Tensor:
    """Draw normally distributed numbers of shape (items,), float32 on the CPU."""
    return torch.randn(items, generator=generator) * deviation + mean


def choose(
    share: float, items: int, generator: torch.Generator, eligible: Tensor | None = None
) -> Tensor:
    """Return the numbers of a random share of the eligible items, rising, on the CPU."""
    chosen = torch.rand(items, generator=generator) < share
    if eligible is not None:
        chosen &= eligible
    return chosen.nonzero().squeeze(1)


def move(values: Tensor, device: torch.device) -> Tensor:
    """Copy decisions to the device that carries them out, without waiting for it."""
    return values.to(device, non_blocking=device.type == "cuda")


def take(items: Tensor, index: Tensor) -> Tensor:
    """Copy the items with these numbers, which are on the CPU."""
    return items.index_select(0, move(index, items.device))


def put(items: Tensor, index: Tensor, changed: Tensor) -> None:
    """Write items to these numbers, which are on the CPU, in place."""
    items.index_copy_(0, move(index, items.device), changed)


def per_item(values: Tensor, like: Tensor) -> Tensor:
    """Move numbers, one for each item, to where they multiply ``(items, ...)``."""
    return move(values, like.device).reshape(-1, *[1] * (like.ndim - 1))


def amplitude(decibels: Tensor) -> Tensor:
    """Convert dB to factors of amplitude."""
    return 10 ** (decibels / 20)


def root_mean_square(audio: Tensor) -> Tensor:
    """Measure the level of audio (items, 2, samples), shape (items, 1, 1)."""
    norm: Tensor = torch.linalg.vector_norm(audio, dim=(1, 2), keepdim=True)
    return norm / math.sqrt(audio.shape[1] * audio.shape[2])


def with_level(audio: Tensor, level: Tensor) -> Tensor:
    """Scale audio, in place, to a root mean square of shape (items, 1, 1)."""
    return audio.mul_(level / root_mean_square(audio).clamp_min(SILENCE))
