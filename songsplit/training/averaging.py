"""Moving average of the weights."""

from __future__ import annotations

from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


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
        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            share = min(decay, (1 + int(count)) / (10 + int(count)))
            if not averaged.is_floating_point():
                return current
            return averaged.lerp(current, 1 - share)

        super().__init__(use_buffers=True, avg_fn=average)
