"""Frequency bands: groups of neighbouring bins, finest where voices have their harmonics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

Bands = Sequence[tuple[int, int]]
"""Pairs (stop bin, width): bins up to ``stop`` form bands of ``width`` bins each."""


def pool_bands(powers: Tensor, bands: Bands) -> Tensor:
    """Average powers, shape (..., bins, frames), over each band: (..., bands, frames)."""
    parts = []
    for start, stop, width in _ranges(bands):
        part = powers[..., start:stop, :]
        if width > 1:
            part = part.reshape(*part.shape[:-2], -1, width, part.shape[-1]).mean(dim=-2)
        parts.append(part)
    return torch.cat(parts, dim=-2) if len(parts) > 1 else parts[0]


def expand_bands(values: Tensor, bands: Bands) -> Tensor:
    """Give every bin the value of its band: (..., bands, frames) to (..., bins, frames)."""
    parts, row = [], 0
    for start, stop, width in _ranges(bands):
        rows = (stop - start) // width
        part = values[..., row : row + rows, :]
        parts.append(part.repeat_interleave(width, dim=-2) if width > 1 else part)
        row += rows
    return torch.cat(parts, dim=-2) if len(parts) > 1 else parts[0]


def _ranges(bands: Bands) -> Iterator[tuple[int, int, int]]:
    start = 0
    for stop, width in bands:
        yield start, stop, width
        start = stop
