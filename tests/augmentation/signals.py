"""Signals and small helpers for the tests of the augmentation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from songsplit.augmentation.effect import Effect, ItemEffect
from songsplit.augmentation.samples import StereoEffect
from songsplit.augmentation.spectral import CurveEffect, filtered

RATE = 44100


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(shape, generator=seeded(seed))


def spectra(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=seeded(seed))


def tone(frequency: float, samples: int) -> Tensor:
    """A sine of both channels, shape (2, samples)."""
    time = torch.arange(samples, dtype=torch.float64) / RATE
    return (2 * math.pi * frequency * time).sin().float().expand(2, -1).contiguous()


def decibels(factor: Tensor) -> Tensor:
    return 20 * factor.clamp_min(1e-12).log10()


def rms(audio: Tensor) -> Tensor:
    """Root mean square over channels and samples, shape (...)."""
    return audio.double().square().mean(dim=(-2, -1)).sqrt()


def applied(
    effect: Effect, items: Tensor, generator: torch.Generator, eligible: Tensor | None = None
) -> Tensor:
    """Return a changed copy of the items."""
    if isinstance(effect, ItemEffect):
        result = items.clone()
        effect.apply(result, RATE, generator, eligible)
        return result
    if isinstance(effect, StereoEffect):
        if eligible is None:
            eligible = torch.ones(len(items), dtype=torch.bool)
        return effect.factors(len(items), generator, eligible) @ items
    assert isinstance(effect, CurveEffect)
    hertz = torch.linspace(0, RATE / 2, items.shape[-2])
    return filtered(items, effect.factors(len(items), hertz, generator)[:, None])
