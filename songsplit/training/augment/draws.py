"""Random decisions, drawn on the CPU so that every device takes the same ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from songsplit.training.augment.settings import Range


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
    """Choose a random share of the items.

    Parameters
    ----------
    share : float
        Probability with which each item is chosen.
    items : int
    generator : torch.Generator
        On the CPU. One number is drawn for each item, whatever `eligible` says.
    eligible : Tensor of bool, shape (items,), optional
        Items that may be chosen, on the CPU; by default, all.

    Returns
    -------
    Tensor of int64, shape (chosen,)
        Numbers of the chosen items, rising, on the CPU.
    """
    chosen = torch.rand(items, generator=generator) < share
    if eligible is not None:
        chosen &= eligible
    return chosen.nonzero().squeeze(1)


def seeds(items: int, generator: torch.Generator) -> Tensor:
    """Draw seeds for other generators, int64 of shape (items,)."""
    return torch.randint(2**31, (items,), generator=generator)


def gain(decibels: Tensor) -> Tensor:
    """Convert dB to factors of amplitude."""
    return 10 ** (decibels / 20)


def move(values: Tensor, device: torch.device) -> Tensor:
    """Copy decisions to the device that carries them out, without waiting for it."""
    return values.to(device, non_blocking=device.type == "cuda")


def per_item(values: Tensor, like: Tensor) -> Tensor:
    """Move numbers, one for each item, to where they multiply ``(items, ...)``."""
    return move(values, like.device).reshape(-1, *[1] * (like.ndim - 1))
