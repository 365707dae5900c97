"""Frequency bands: groups of neighbouring bins, finest where voices have their harmonics."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

Bands = Sequence[tuple[int, int]]
"""Pairs (stop bin, width): bins up to ``stop`` form bands of ``width`` bins each."""


def pool_bands(powers: Tensor, bands: Bands) -> Tensor:
    """Average powers, shape (..., bins, frames), over each band: (..., bands, frames)."""
    parts = torch.split(powers[..., : bands[-1][0], :], _sizes(bands), dim=-2)
    pooled = [
        torch.unflatten(part, -2, (-1, width)).mean(dim=-2) if width > 1 else part
        for part, (_, width) in zip(parts, bands, strict=True)
    ]
    return torch.cat(pooled, dim=-2)


def expand_bands(values: Tensor, bands: Bands) -> Tensor:
    """Give every bin the value of its band: (..., bands, frames) to (..., bins, frames)."""
    widths = [width for _, width in bands]
    counts = [size // width for size, width in zip(_sizes(bands), widths, strict=True)]
    parts = zip(torch.split(values, counts, dim=-2), widths, strict=True)
    return torch.cat([part.repeat_interleave(width, dim=-2) for part, width in parts], dim=-2)


def _sizes(bands: Bands) -> list[int]:
    return [stop - start for start, stop in pairwise([0, *(stop for stop, _ in bands)])]
