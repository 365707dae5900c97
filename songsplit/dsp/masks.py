"""From spectrograms to the network's input, and from its masks back to spectrograms."""

from __future__ import annotations

import torch
from torch import Tensor

EDGE_BINS = 16
"""Number of highest masked bins whose mean continues the mask upwards."""


def input_magnitudes(spectrogram: Tensor, *, mid_side: bool) -> Tensor:
    """Magnitudes that the network sees.

    Parameters
    ----------
    spectrogram : Tensor of complex64, shape (batch, 2, bins, frames)
        Left and right.
    mid_side : bool
        Whether to add the magnitudes of mid, (L + R) / 2, and side, (L - R) / 2.

    Returns
    -------
    Tensor of float32, shape (batch, 2 or 4, bins, frames)
    """
    if not mid_side:
        return spectrogram.abs()
    left, right = spectrogram[:, 0], spectrogram[:, 1]
    return torch.stack([left, right, (left + right) / 2, (left - right) / 2], dim=1).abs()


def continue_masks(masks: Tensor, bins: int) -> Tensor:
    """Extend masks to all frequency bins.

    Bins above the network's band take the mean of its highest ones, frame by frame, so
    that the highs of a voice follow the voice instead of being cut off.

    Parameters
    ----------
    masks : Tensor, shape (..., masked bins, frames)
    bins : int
        Number of bins wanted, at least as many as there are.

    Returns
    -------
    Tensor, shape (..., bins, frames)
    """
    missing = bins - masks.shape[-2]
    if missing == 0:
        return masks
    edge = masks[..., -EDGE_BINS:, :].mean(dim=-2, keepdim=True)
    return torch.cat([masks, edge.expand(*masks.shape[:-2], missing, -1)], dim=-2)
