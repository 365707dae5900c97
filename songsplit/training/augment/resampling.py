"""Resampling by simple ratios with the fast Fourier transform, on any device."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

MARGIN = 2048
"""Samples of the output's rate that are read before and after a signal, and faded there.

The transform takes the signal for periodic; without the fade, the jump from its end to
its start would be heard as ringing at both.
"""

_LARGEST_TERM = 200  # leaves no gap above half a semitone between neighbouring rates


@cache
def smooth_length(at_least: int) -> int:
    """Return the smallest number from `at_least` up with no prime factors above 5.

    Fourier transforms of such lengths are fast everywhere.
    """
    length = max(at_least, 1)
    while not _is_smooth(length):
        length += 1
    return length


def _is_smooth(number: int) -> bool:
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number == 1


@cache
def smooth_rates(lowest: float, highest: float) -> tuple[Fraction, ...]:
    """Return the rates between two bounds that :func:`resample` is fast at.

    Parameters
    ----------
    lowest, highest : float
        Bounds, around 1.

    Returns
    -------
    tuple of Fraction
        In rising order, always with 1. Between a third and three, neighbours are at most
        half a semitone apart.
    """
    terms = [number for number in range(1, _LARGEST_TERM + 1) if _is_smooth(number)]
    rates = {Fraction(a, b) for a in terms for b in terms}
    return tuple(sorted(rate for rate in rates if lowest <= rate <= highest or rate == 1))


def nearest_rate(rate: float, rates: tuple[Fraction, ...]) -> Fraction:
    """Return the one of the rates whose pitch is nearest."""
    return min(rates, key=lambda candidate: abs(math.log(candidate / rate)))


def samples_needed(samples: int, rate: float) -> int:
    """Return how many samples are read for that many at another rate, with margins."""
    return math.ceil((samples + 2 * MARGIN) * rate)


def resample(audio: Tensor, rate: Fraction, samples: int) -> Tensor:
    """Play audio faster or slower, pitch and tempo together.

    Sample ``n`` of the result is the input at ``(n + MARGIN) * rate``, with all
    frequencies that both rates can hold kept as they are, and none besides.

    Parameters
    ----------
    audio : Tensor of float32, shape (..., n)
        At least ``samples_needed(samples, rate)`` samples.
    rate : Fraction
        Speed; numerator and denominator have no prime factors above 5.
    samples : int
        Length of the result.

    Returns
    -------
    Tensor of float32, shape (..., samples)
    """
    source = audio[..., : samples_needed(samples, float(rate))].clone()
    fade = math.floor(MARGIN * rate)
    ramp = torch.hann_window(2 * fade, device=audio.device)
    source[..., :fade] *= ramp[:fade]
    source[..., -fade:] *= ramp[fade:]
    unit = smooth_length(math.ceil((samples + 2 * MARGIN) / rate.denominator))
    before, after = unit * rate.numerator, unit * rate.denominator
    spectrum = torch.fft.rfft(source, before)
    played: Tensor = torch.fft.irfft(spectrum, after)[..., MARGIN : MARGIN + samples]
    return played * (after / before)
