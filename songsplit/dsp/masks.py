"""Compute the network's input from spectrograms, and apply its masks.

The network works on frequency bands, which are groups of neighbouring bins. They are narrowest
where voices have their harmonics.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from songsplit.dsp import EDGE_BINS

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
    """Expand the values of bands (..., bands, frames) to bins (..., bins, frames)."""
    widths = [width for _, width in bands]
    counts = [size // width for size, width in zip(_sizes(bands), widths, strict=True)]
    parts = zip(torch.split(values, counts, dim=-2), widths, strict=True)
    return torch.cat([part.repeat_interleave(width, dim=-2) for part, width in parts], dim=-2)


def _sizes(bands: Bands) -> list[int]:
    return [stop - start for start, stop in pairwise([0, *(stop for stop, _ in bands)])]


def input_powers(spectrogram: Tensor) -> Tensor:
    """Compute the squared magnitudes of left, right, mid and side.

    From complex64 (batch, 2, bins, frames) to float32 (batch, 4, bins, frames). Mid is (L + R) / 2
    and side is (L - R) / 2. They show the network the phase between the channels, and so which
    sources are in the centre.
    """
    real, imaginary = spectrogram.real, spectrogram.imag
    parts = [real.square().addcmul_(imaginary, imaginary)]
    for sign in (1, -1):
        # Add before squaring, which is exact for nearly equal or opposite channels.
        both = [torch.add(part[:, :1], part[:, 1:], alpha=sign) for part in (real, imaginary)]
        parts.append(both[0].square_().addcmul_(both[1], both[1]) / 4)
    return torch.cat(parts, dim=1)


def apply_masks(masks: Tensor, spectrogram: Tensor) -> Tensor:
    """Multiply a spectrogram (batch, channels, bins, frames) by masks (batch, n, ...)."""
    # A product with complex numbers would first convert the masks to complex.
    parts = torch.view_as_real(spectrogram).unsqueeze(1) * masks.unsqueeze(-1)
    return torch.view_as_complex(parts)


def continue_masks(masks: Tensor, bins: int) -> Tensor:
    """Extend masks (..., masked bins, frames) to `bins` bins with the mean of the highest ones.

    High frequencies of a voice thus follow the voice instead of being cut off.
    """
    missing = bins - masks.shape[-2]
    if missing == 0:
        return masks
    edge = masks[..., -EDGE_BINS:, :].mean(dim=-2, keepdim=True)
    return torch.cat([masks, edge.expand(*masks.shape[:-2], missing, -1)], dim=-2)


def between_frames(values: Tensor, hop_length: int, samples: int) -> Tensor:
    """Interpolate values of frames (..., frames) linearly for every sample (..., samples).

    There are ``1 + samples // hop_length`` frames, the first of which is centred on sample 0.
    """
    frames = values.shape[-1]
    padded = torch.cat([values, values[..., -1:]], dim=-1).reshape(1, -1, frames + 1)
    between = functional.interpolate(
        padded, size=frames * hop_length + 1, mode="linear", align_corners=True
    )
    return between[..., :samples].reshape(*values.shape[:-1], samples)
