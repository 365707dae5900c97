"""Effects on spectrograms: filters, band limits and lossy coding."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from songsplit.augmentation.effect import (
    Effect,
    ItemEffect,
    Range,
    amplitude,
    log_uniform,
    move,
    uniform,
    within,
)

_LOWEST = 30.0  # Hz; start of the equaliser's curves
_KNOTS = 8  # of these curves, evenly spaced in log frequency up to half the sample rate
_DEVIATION = 4.0  # standard deviation in dB of the gain at each knot

# Frequencies in Hz of a gain of -3 dB, or of the middle of a shelf's slope.
_HIGH_PASS, _LOW_PASS = (40.0, 400.0), (2500.0, 14000.0)
_LOW_SHELF, _HIGH_SHELF = (80.0, 500.0), (2000.0, 8000.0)
_ORDERS = (1, 4)  # of high-pass and low-pass; 6 dB per octave and order
_SHELF_GAIN = (-10.0, 10.0)  # dB

_HIGHEST = (4000.0, 16000.0)  # Hz; cutoff of a band limit
_BITRATE = (64.0, 256.0)  # kbit/s of the imitated stereo MP3 files
_BANDS = 28
# Fitted to LAME on one song: from 64 to 192 kbit/s and up to 16 kHz, the error in each octave is
# within 5 dB of the encoder's.
_REFERENCE = 128.0  # kbit/s of the constants below
_LOW_STEP, _HIGH_STEP = -22.0, 4.0  # dB above the band's level, at 0 Hz and at the top
_STEP_PER_OCTAVE = 9.0  # dB of growth of steps per halved bit rate
_CUTOFF, _CUTOFF_PER_OCTAVE = 16_000.0, 4500.0  # Hz
_FLOOR, _FLOOR_PER_OCTAVE = -75.0, 8.0  # dB below the loudest band of a frame
_LEFT_OVER = 0.25  # minimum gain of bins that are neither masked nor above the cutoff
_ROUNDING = 0.4054  # of the quantiser of MPEG-1 layer III; below 0.5 favours zeros


@dataclass(frozen=True)
class CurveEffect(Effect):
    """Base of zero-phase filters with one gain for each item and bin."""

    def factors(self, items: int, hertz: Tensor, generator: Generator) -> Tensor:
        """Draw gains (items, bins) at these frequencies on the CPU; 1 for unchanged items."""
        curves = self._draw(items, hertz, generator)
        return self._some(curves, torch.ones(len(hertz)), generator)

    def _draw(self, items: int, hertz: Tensor, generator: Generator) -> Tensor:
        raise NotImplementedError


def filtered(spectrograms: Tensor, curves: Tensor) -> Tensor:
    """Multiply complex64 (..., bins, frames) by real curves (..., bins)."""
    # A product of complex and real tensors takes three times as long.
    real = torch.view_as_real(spectrograms) * curves[..., None, None]
    return torch.view_as_complex(real)


def band_curves(highest: Tensor, hertz: Tensor) -> Tensor:
    """Return gains (items, bins): 1 up to the item's highest frequency in Hz and 0 above."""
    return (hertz <= highest[:, None]).float()


@dataclass(frozen=True)
class Equalizer(CurveEffect):
    """Random gain curves, linear between knots in log frequency."""

    share: float = field(default=0.5, metadata=within(0, 1))

    def _draw(self, items: int, hertz: Tensor, generator: Generator) -> Tensor:
        octaves = (hertz.clamp_min(_LOWEST) / _LOWEST).log2()
        position = octaves / octaves[-1] * (_KNOTS - 1)
        hats = (1 - (position - torch.arange(_KNOTS)[:, None]).abs()).relu()  # (knots, bins)
        knots = torch.randn(items, _KNOTS, generator=generator) * _DEVIATION
        return amplitude((knots[:, :, None] * hats).sum(dim=1))


@dataclass(frozen=True)
class FilterCurve(CurveEffect):
    """One of the filters of a mixing desk, all equally likely.

    A high-pass, low-pass, low shelf, high shelf, or a telephone band of about 300 to 3400 Hz. All
    have Butterworth slopes; those of shelves are of second order.
    """

    share: float = field(default=0.08, metadata=within(0, 1))

    def _draw(self, items: int, hertz: Tensor, generator: Generator) -> Tensor:
        low, high = _ORDERS
        order = torch.randint(low, high + 1, (items,), generator=generator).float()
        decibels = uniform(items, _SHELF_GAIN, generator)
        shelf = torch.full((items,), 2.0)
        steep = torch.full((items,), 6.0)

        def below(bounds: Range, order: Tensor) -> Tensor:
            """Return the power response of a low-pass (items, bins)."""
            corner = log_uniform(items, bounds, generator)
            return 1 / (1 + (hertz / corner[:, None]) ** (2 * order[:, None]))

        def shelved(power: Tensor) -> Tensor:
            return power * amplitude(2 * decibels)[:, None] + 1 - power

        kinds = torch.stack(
            [
                1 - below(_HIGH_PASS, order),
                below(_LOW_PASS, order),
                shelved(below(_LOW_SHELF, shelf)),
                shelved(1 - below(_HIGH_SHELF, shelf)),
                (1 - below((250, 400), steep)) * below((2800, 4000), steep),
            ]
        )
        kind = torch.randint(len(kinds), (items,), generator=generator)
        return kinds[kind, torch.arange(items)].sqrt()


@dataclass(frozen=True)
class BandLimit(CurveEffect):
    """Remove frequencies above a random cutoff, as a low sample rate does."""

    share: float = field(default=0.05, metadata=within(0, 1))

    def _draw(self, items: int, hertz: Tensor, generator: Generator) -> Tensor:
        return band_curves(log_uniform(items, _HIGHEST, generator), hertz)


@dataclass(frozen=True)
class LossyCoding(ItemEffect):
    """Quantise the magnitudes of a mixture as MP3 and AAC encoders do.

    In every frame and band, about one Bark wide, magnitudes are raised to the power 3/4, rounded
    and raised back, as in ISO/IEC 11172-3. Steps depend on the level of the band and the bit rate
    instead of a psychoacoustic model. Bins below half a step are lowered by 12 dB. Bands masked by
    the loudest band of the frame, and frequencies above a cutoff, are removed. All targets get the
    same real gain in every bin, so they still add up to the mixture.
    """

    share: float = field(default=0.08, metadata=within(0, 1))

    def _draw(self, items: int, generator: Generator) -> tuple[Tensor, ...]:
        return (log_uniform(items, _BITRATE, generator),)

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        """Code the sum of complex64 spectrograms (items, targets, 2, bins, frames)."""
        gain = _coding_gains(items.sum(dim=1).abs(), sample_rate, amounts[0])
        return torch.view_as_complex(torch.view_as_real(items) * gain[:, None, ..., None])


def _coding_gains(magnitude: Tensor, sample_rate: int, bitrate: Tensor) -> Tensor:
    """Return the ratio of quantised to original magnitudes (items, 2, bins, frames)."""
    device = magnitude.device
    hertz = torch.linspace(0, sample_rate / 2, magnitude.shape[2])
    bark = 6 * torch.asinh(hertz / 600)  # Wang, Sekey and Gersho (1992)
    # Low bands may hold no bin of a short transform; the others are renumbered.
    _, number, widths = torch.unique_consecutive(
        (bark / bark[-1] * _BANDS).long().clamp_max(_BANDS - 1),
        return_inverse=True,
        return_counts=True,
    )
    band = move(number, device)
    octaves = move((bitrate / _REFERENCE).log2(), device)[:, None, None, None]
    bands = torch.split(magnitude.square(), widths.tolist(), dim=2)
    level = torch.stack([power.mean(dim=2) for power in bands], dim=2).sqrt()
    height = torch.linspace(0, 1, level.shape[2], device=device)[:, None]
    above_level = _LOW_STEP + (_HIGH_STEP - _LOW_STEP) * height - _STEP_PER_OCTAVE * octaves
    step = level * amplitude(above_level)
    loudest = level.amax(dim=2, keepdim=True)
    hidden = level <= loudest * amplitude(_FLOOR - _FLOOR_PER_OCTAVE * octaves)
    # An infinite step removes a band. In silence, all bands are masked.
    step = step.masked_fill_(hidden, math.inf)
    steps = magnitude / step.index_select(2, band)
    quantised = (steps.sqrt() * steps.sqrt().sqrt()).add_(_ROUNDING).floor_()
    gain = quantised.pow_(4 / 3) / steps.clamp_min_(1e-3)
    # A frame spans several frames of the encoder, which seldom all lose a bin.
    gain = torch.maximum(gain, _LEFT_OVER * (~hidden).index_select(2, band))
    cutoff = _CUTOFF + _CUTOFF_PER_OCTAVE * octaves
    return gain * (move(hertz, device)[:, None] <= cutoff)
