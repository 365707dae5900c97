"""Levels of whole items."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SILENCE = 1e-8
"""Root mean square below which levels are not measured."""


def root_mean_square(audio: Tensor) -> Tensor:
    """Measure the level of both channels together.

    Parameters
    ----------
    audio : Tensor of float32, shape (items, 2, samples)

    Returns
    -------
    Tensor of float32, shape (items, 1, 1)
    """
    count = audio.shape[1] * audio.shape[2]
    norm: Tensor = torch.linalg.vector_norm(audio, dim=(1, 2), keepdim=True)
    return norm / math.sqrt(count)


def with_level(audio: Tensor, level: Tensor) -> Tensor:
    """Scale audio, in place, to a level.

    Parameters
    ----------
    audio : Tensor of float32, shape (items, 2, samples)
    level : Tensor, shape (items, 1, 1)
        Root mean square.

    Returns
    -------
    Tensor of float32, shape (items, 2, samples)
        The same tensor; silence stays silent.
    """
    return audio.mul_(level / root_mean_square(audio).clamp_min(SILENCE))
