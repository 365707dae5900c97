"""Losses between complex spectrograms."""

from __future__ import annotations

import torch
from torch import Tensor


def complex_l1(estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
    r"""Mean magnitude of the complex error, relative to that of the mixture.

    .. math:: \frac1B \sum_b \frac{\sum |\hat S_b - S_b|}{\sum |X_b|}

    Dividing by the mixture makes loud and quiet songs count alike. Because the phase
    is part of the error, a mask learns to leave out bins where the mixture's phase is
    not the target's.

    Parameters
    ----------
    estimate, target, mixture : Tensor of complex64, shape (batch, channels, bins, frames)

    Returns
    -------
    Tensor, shape ()
    """
    axes = (1, 2, 3)
    error = (estimate - target).abs().sum(dim=axes)
    scale = mixture.abs().sum(dim=axes)
    # A silent mixture has no error either; the constant only keeps 0 / 0 away.
    return torch.mean(error / (scale + 1e-3))
