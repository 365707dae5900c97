"""Signals and small helpers for the tests of the augmentation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
