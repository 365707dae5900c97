"""From floating point to integers, such that stems still add up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from songsplit.audio._types import FloatArray


class Quantizer:
    """Turns blocks of stems into integers, with dither that cancels in their sum.

    Rounding alone makes soft sounds rough; triangular noise of one step, added before,
    turns that into steady, much softer hiss (Lipshitz, Wannamaker and Vanderkooy 1992,
    "Quantization and dither: a theoretical survey"). The difference of two uniform draws
    has that distribution. Stem ``k`` gets draw ``k`` less draw ``k + 1``, the last stem
    its draw less the first: all together add up to nothing, so the sum of the stems is
    the sum of the songs within half a step for each stem.

    Parameters
    ----------
    bits : {16, 24}
        Bits per sample.
    """

    def __init__(self, bits: int) -> None:
        self._scale = 2.0 ** (bits - 1)
        # The same song gives the same bytes.
        self._rng = np.random.default_rng(0)

    @property
    def highest(self) -> float:
        """Largest absolute value, as a share of full scale, that no dither makes clip."""
        return (self._scale - 2) / self._scale

    def __call__(self, blocks: Sequence[FloatArray]) -> list[NDArray[np.int32]]:
        """Quantize one block of every stem.

        Parameters
        ----------
        blocks : sequence of ndarray, shape (channels, n)
            All of the same shape. What is beyond full scale is clipped.

        Returns
        -------
        list of ndarray of int32
            From ``-2 ** (bits - 1)`` to ``2 ** (bits - 1) - 1``.
        """
        draws = self._rng.random((len(blocks), *blocks[0].shape), dtype=np.float32)
        if len(blocks) == 1:
            following = self._rng.random(draws.shape, dtype=np.float32)
        else:
            following = np.roll(draws, -1, axis=0)
        steps = np.stack(blocks) * self._scale + (draws - following).astype(np.float64)
        return list(np.rint(steps).clip(-self._scale, self._scale - 1).astype(np.int32))
