"""Separation at several speeds, whose mean is better than each alone."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import count

import numpy as np
from numpy.typing import NDArray

from songsplit.dsp.varispeed import resample_to
from songsplit.inference.engine import Engine

Samples = NDArray[np.float32]

SPEEDS = (Fraction(21, 20), Fraction(11, 10))
"""Speeds besides the original. Faster speeds cost less than slower ones and help more, because the
harmonics of higher voices are further apart (docs/experiments.md)."""
_EDGE = 2048  # zeros on either side, so that the ends do not ring into each other


class SpeedAverage:
    """Mean of an engine's stems at the original speed and at others.

    A voice at a higher speed occupies other bins of the spectrogram. That changes the network's
    errors but not the voice, so the mean is closer to the voice.
    """

    chunk_seconds = 16.0  # several speeds need more memory per second

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.config = engine.config

    @property
    def device(self) -> str:
        """Name of the compute device."""
        return self._engine.device

    @property
    def items(self) -> int:
        """Best number of stereo chunks per call."""
        return self._engine.items

    def foreground(self, pairs: Samples) -> tuple[Samples, Samples]:
        """Separate all targets but the last, as :meth:`Engine.foreground` does."""
        samples = pairs.shape[-1]
        stems, highs = self._engine.foreground(pairs)
        # At this length, every speed gives an integer length with small prime factors.
        unit = math.lcm(*(speed.numerator for speed in SPEEDS))
        length = _smooth(math.ceil((samples + 2 * _EDGE) / unit)) * unit
        edges = (_EDGE, length - samples - _EDGE)
        padded = np.pad(pairs, [(0, 0)] * 2 + [edges])
        own = np.pad(stems, [(0, 0)] * 3 + [edges])
        total = own
        for speed in SPEEDS:
            shorter = int(length / speed)
            played, _ = self._engine.foreground(resample_to(padded, shorter))
            # The highest frequencies are lost at a higher speed: use those of the original speed.
            total = total + own + resample_to(played - resample_to(own, shorter), length)
        return total[..., _EDGE : _EDGE + samples] / np.float32(1 + len(SPEEDS)), highs


def _smooth(number: int) -> int:
    """Return the next number without prime factors above 5, which divides a power of 30."""
    return next(candidate for candidate in count(number) if pow(30, 64, candidate) == 0)
