"""A network that hears everything at several speeds."""

from __future__ import annotations

import math
from fractions import Fraction

from torch import Tensor, nn
from torch.nn import functional

from songsplit.dsp.speed import resample_to
from songsplit.models.separation import Foreground, SeparationModel

SPEEDS = (Fraction(21, 20), Fraction(11, 10))
"""Speeds besides the true one. Faster ones cost less than slower ones and help more: higher
voices have their harmonics further apart (docs/experiments.md)."""

_EDGE = 2048  # zeros on either side, so that the ends do not ring into each other


class SpeedAverage(nn.Module):
    """Mean of a network's stems at the song's own speed and at others.

    A voice that is heard a little higher falls on other bins of the spectrogram; the
    network's mistakes change with that, the voice does not, so the mean is nearer to it.

    Parameters
    ----------
    model : SeparationModel

    Attributes
    ----------
    config : MaskUNetConfig
        That of the network.
    """

    def __init__(self, model: SeparationModel) -> None:
        super().__init__()
        self.model = model
        self.config = model.config

    def foreground(self, mixture: Tensor) -> Foreground:
        """Separate all targets but the last.

        Parameters
        ----------
        mixture : Tensor, shape (batch, 2, samples)
            At ``config.sample_rate``, at least one sample.

        Returns
        -------
        Foreground
        """
        samples = mixture.shape[-1]
        stems, highs = self.model.foreground(mixture)
        # Of a length from which all speeds lead to whole numbers of samples, and to fast
        # Fourier transforms.
        unit = math.lcm(*(speed.numerator for speed in SPEEDS))
        length = _smooth(math.ceil((samples + 2 * _EDGE) / unit)) * unit
        padded = functional.pad(mixture, (_EDGE, length - samples - _EDGE))
        own = functional.pad(stems, (_EDGE, length - samples - _EDGE))
        total = own
        for speed in SPEEDS:
            shorter = int(length / speed)
            played = self.model.foreground(resample_to(padded, shorter)).stems
            # Faster, there was no room for the highest frequencies: take one's own.
            total = total + own + resample_to(played - resample_to(own, shorter), length)
        return Foreground(total[..., _EDGE : _EDGE + samples] / (1 + len(SPEEDS)), highs)


def _smooth(number: int) -> int:
    """Return the next number that has no prime factor above 5."""
    while True:
        rest = number
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1
