"""Moving average of the weights."""

from __future__ import annotations

import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from songsplit.errors import ConfigError


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and statistics, which is validated and saved.

    Averaged weights separate better than those of the last step (Polyak and Juditsky
    1992). With a fixed decay the average holds on to its random start for thousands of
    steps, and normalisation statistics with it; here the decay begins low and rises as
    ``(1 + n) / (10 + n)`` with the number ``n`` of steps averaged.

    Parameters
    ----------
    decay : float
        Highest share of the old average that a step leaves in place.
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"average.decay must be at least 0 and below 1, not {decay}")

        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            if not averaged.is_floating_point():
                return current
            # As a tensor: looking at the count would make the CPU wait for the GPU.
            steps = torch.as_tensor(count, device=averaged.device, dtype=averaged.dtype)
            share = ((1 + steps) / (10 + steps)).clamp_max(decay)
            return averaged.lerp(current, 1 - share)

        super().__init__(use_buffers=True, avg_fn=average)
