"""From spectrograms to the network's input, and from its masks back to spectrograms."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EDGE_BINS = 16
"""Number of highest masked bins whose mean continues the mask upwards."""


def input_powers(spectrogram: Tensor, *, mid_side: bool) -> Tensor:
    """Squared magnitudes, from which the network makes what it sees.

    Parameters
    ----------
    spectrogram : Tensor of complex64, shape (batch, 2, bins, frames)
        Left and right.
    mid_side : bool
        Whether to add the powers of mid, (L + R) / 2, and side, (L - R) / 2.

    Returns
    -------
    Tensor of float32, shape (batch, 2 or 4, bins, frames)
    """
    real, imaginary = spectrogram.real, spectrogram.imag
    powers = real.square().addcmul_(imaginary, imaginary)
    if not mid_side:
        return powers
    parts = [powers]
    for sign in (1, -1):
        # Not from powers and products: of nearly opposite or equal channels little is left.
        both = [torch.add(part[:, :1], part[:, 1:], alpha=sign) for part in (real, imaginary)]
        parts.append(both[0].square_().addcmul_(both[1], both[1]) / 4)
    return torch.cat(parts, dim=1)


def input_parts(spectrogram: Tensor) -> Tensor:
    """Real and imaginary parts of left and right, for networks that turn phases.

    Parameters
    ----------
    spectrogram : Tensor of complex64, shape (batch, 2, bins, frames)

    Returns
    -------
    Tensor of float32, shape (batch, 4, bins, frames)
    """
    return torch.cat([spectrogram.real, spectrogram.imag], dim=1)


def complex_masks(logits: Tensor) -> Tensor:
    """Turn a network's output into complex masks of magnitude 0 to 1.

    Parameters
    ----------
    logits : Tensor, shape (batch, 3 * n, bins, frames)
        Magnitudes before the sigmoid, then cosines less one and sines of the turn, up
        to a common factor.

    Returns
    -------
    Tensor of complex64, shape (batch, n, bins, frames)
    """
    magnitude, cosine, sine = logits.chunk(3, dim=1)
    turn = torch.complex(1 + cosine, sine)
    return magnitude.sigmoid() * turn / turn.abs().clamp_min(1e-4)


def apply_masks(masks: Tensor, spectrogram: Tensor) -> Tensor:
    """Multiply a spectrogram by masks.

    Parameters
    ----------
    masks : Tensor of float32 or complex64, shape (batch, n, channels, bins, frames)
    spectrogram : Tensor of complex64, shape (batch, channels, bins, frames)

    Returns
    -------
    Tensor of complex64, shape (batch, n, channels, bins, frames)
    """
    if masks.is_complex():
        return masks * spectrogram.unsqueeze(1)
    # Real times complex would turn the masks into complex numbers first.
    parts = torch.view_as_real(spectrogram).unsqueeze(1) * masks.unsqueeze(-1)
    return torch.view_as_complex(parts)


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


def between_frames(values: Tensor, hop_length: int, samples: int) -> Tensor:
    """Interpolate values of frames, which are centred a hop apart, for every sample.

    Parameters
    ----------
    values : Tensor, shape (..., frames)
        With ``1 + samples // hop_length`` frames, the first at sample 0.
    hop_length : int
    samples : int

    Returns
    -------
    Tensor, shape (..., samples)
    """
    frames = values.shape[-1]
    padded = torch.cat([values, values[..., -1:]], dim=-1).reshape(1, -1, frames + 1)
    between = functional.interpolate(
        padded, size=frames * hop_length + 1, mode="linear", align_corners=True
    )
    return between[..., :samples].reshape(*values.shape[:-1], samples)
