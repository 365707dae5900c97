"""Base classes of effects: settings with bounds, random decisions and the choice of items."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Generator, Tensor

from songsplit.errors import ConfigError

Range = tuple[float, float]  # lowest and highest value of a random setting
SILENCE = 1e-8  # root mean square below which levels are not measured


def uniform(items: int, bounds: Range, generator: Generator) -> Tensor:
    """Draw uniformly distributed numbers (items,), float32 on the CPU."""
    low, high = bounds
    return torch.rand(items, generator=generator) * (high - low) + low


def log_uniform(items: int, bounds: Range, generator: Generator) -> Tensor:
    """Draw positive numbers (items,) whose logarithms are uniformly distributed."""
    low, high = bounds
    return uniform(items, (math.log(low), math.log(high)), generator).exp()


def within(low: float, high: float) -> dict[str, Any]:
    """Return field metadata with the bounds of a setting."""
    return {"bounds": (low, high)}


def check_settings(section: str, settings: Any) -> None:
    """Raise ConfigError, with the name of the setting, if a setting is out of bounds."""
    for known in fields(settings):
        low, high = known.metadata["bounds"]
        value = getattr(settings, known.name)
        values = value if isinstance(value, tuple | list) else (value,)
        holds = all(low <= number <= high for number in values)
        needed = f"lie between {low:g} and {high:g}"
        if isinstance(known.default, tuple):
            holds = holds and len(values) == 2 and values[0] <= values[1]
            needed = f"be a lowest and a highest value between {low:g} and {high:g}"
        if not holds:
            raise ConfigError(
                f"augment setting {section}.{known.name} cannot be {value!r}: it must {needed}"
            )


@dataclass(frozen=True)
class Effect:
    """Base of effects, with their settings, that change a random share of a batch's items.

    Decisions are drawn from a generator on the CPU, so that they are the same on every device. The
    number of draws does not depend on the items. An effect with a share of 0 is off.
    """

    share: float = field(default=0.0, metadata=within(0, 1))

    def _some(
        self, factors: Tensor, neutral: Tensor, generator: Generator, eligible: Tensor | None = None
    ) -> Tensor:
        """Keep the factors of a random share of eligible items; others become neutral."""
        index = choose(self.share, len(factors), generator, eligible)
        return neutral.expand_as(factors).index_copy(0, index, factors[index])


@dataclass(frozen=True)
class ItemEffect(Effect):
    """Base of effects that modify the chosen items on their device."""

    def apply(
        self, items: Tensor, sample_rate: int, generator: Generator, eligible: Tensor | None = None
    ) -> None:
        """Change a random share of the eligible items, shape (items, ...), in place."""
        amounts = self._draw(len(items), generator)
        index = choose(self.share, len(items), generator, eligible)
        if len(index):
            where = move(index, items.device)
            chosen = [amount[index] for amount in amounts]
            items[where] = self._change(items[where], sample_rate, *chosen)

    def _draw(self, items: int, generator: Generator) -> tuple[Tensor, ...]:
        """Draw amounts (items, ...) on the CPU."""
        raise NotImplementedError

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        """Return the items, changed by their amounts, which are on the CPU."""
        raise NotImplementedError


def choose(
    share: float, items: int, generator: Generator, eligible: Tensor | None = None
) -> Tensor:
    """Return the sorted indices of a random share of the eligible items, on the CPU."""
    chosen = torch.rand(items, generator=generator) < share
    if eligible is not None:
        chosen &= eligible
    return chosen.nonzero().squeeze(1)


def move(values: Tensor, device: torch.device) -> Tensor:
    """Copy values to a device without waiting for it."""
    return values.to(device, non_blocking=device.type == "cuda")


def amplitude(decibels: Tensor) -> Tensor:
    """Convert dB to amplitude factors."""
    return 10 ** (decibels / 20)


def root_mean_square(audio: Tensor) -> Tensor:
    """Return the level (items, 1, 1) of audio (items, 2, samples)."""
    norm: Tensor = torch.linalg.vector_norm(audio, dim=(1, 2), keepdim=True)
    return norm / math.sqrt(audio.shape[1] * audio.shape[2])


def with_level(audio: Tensor, level: Tensor) -> Tensor:
    """Scale audio in place to a root mean square (items, 1, 1)."""
    return audio.mul_(level / root_mean_square(audio).clamp_min(SILENCE))
