"""Filters that colour a stem: an equaliser and those of a mixing desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from songsplit.training.augment import draws
from songsplit.training.augment.curves import CurveEffect
from songsplit.training.augment.settings import EffectSettings, Range

_LOWEST = 30.0  # Hz; where the equaliser's curves begin


@dataclass(frozen=True)
class EqualizerConfig(EffectSettings):
    """Settings of :class:`Equalizer`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    deviation : float
        Standard deviation in dB of the gain at each of the curve's knots.
    knots : int
        Number of knots, evenly spaced between 30 Hz and half the sample rate on a
        logarithmic scale.
    """

    section: ClassVar[str] = "equalizer"
    share: float = 0.5
    deviation: float = 4.0
    knots: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_within("deviation", 0, 40)
        self._require_within("knots", 2, 64)


class Equalizer(CurveEffect):
    """Random gain curves: lines between knots over log frequency.

    Parameters
    ----------
    config : EqualizerConfig
    sample_rate : int
        Rate in Hz of the audio, above 60.
    bins : int
        Number of frequency bins from 0 Hz to half the sample rate.
    """

    def __init__(self, config: EqualizerConfig, sample_rate: int, bins: int) -> None:
        super().__init__(config.share, sample_rate, bins)
        self.config = config
        octaves = (self.frequency.clamp_min(_LOWEST) / _LOWEST).log2()
        position = octaves / octaves[-1] * (config.knots - 1)
        distance = (position - torch.arange(config.knots)[:, None]).abs()
        self.hats = (1 - distance).relu()  # (knots, bins)

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Draw the knots and join them."""
        shape = (items, self.config.knots)
        knots = torch.randn(shape, generator=generator) * self.config.deviation
        return (draws.gain((knots[:, :, None] * self.hats).sum(dim=1)),)


@dataclass(frozen=True)
class FilterCurveConfig(EffectSettings):
    """Settings of :class:`FilterCurve`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    high_pass, low_pass : tuple of float
        Ranges in Hz of the frequency at which the gain has fallen by 3 dB.
    order : tuple of int
        Lowest and highest order of these two; each order falls by 6 dB per octave.
    low_shelf, high_shelf : tuple of float
        Ranges in Hz of the frequency in the middle of a shelf's slope.
    shelf_gain : float
        Largest gain or loss in dB of a shelf.
    """

    section: ClassVar[str] = "filter_curve"
    share: float = 0.08
    high_pass: Range = (40.0, 400.0)
    low_pass: Range = (2500.0, 14000.0)
    order: tuple[int, int] = (1, 4)
    low_shelf: Range = (80.0, 500.0)
    high_shelf: Range = (2000.0, 8000.0)
    shelf_gain: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("high_pass", "low_pass", "low_shelf", "high_shelf"):
            self._require_range(key, 1, 100_000)
        self._require_range("order", 1, 16)
        self._require_within("shelf_gain", 0, 40)


class FilterCurve(CurveEffect):
    """One of the filters of a mixing desk, each as likely as the others.

    High-pass, low-pass, low shelf, high shelf, or the band of a telephone. The first
    two are Butterworth's, with the magnitude ``1 / sqrt(1 + (f / f0) ** (2 * order))``;
    shelves go from one gain to the other as the power of such a filter of the second
    order does. The telephone's band is 300 to 3400 Hz, give or take.
    """

    def __init__(self, config: FilterCurveConfig, sample_rate: int, bins: int) -> None:
        super().__init__(config.share, sample_rate, bins)
        self.config = config

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor]:
        """Draw a kind for each item, after one curve of every kind."""
        config = self.config
        low, high = config.order
        order = torch.randint(low, high + 1, (items,), generator=generator).float()
        decibels = draws.uniform(items, (-config.shelf_gain, config.shelf_gain), generator)
        shelf = torch.full((items,), 2.0)
        steep = torch.full((items,), 6.0)

        def below(bounds: Range, order: Tensor) -> Tensor:
            """Power of a low-pass, shape (items, bins)."""
            corner = draws.log_uniform(items, bounds, generator)
            return 1 / (1 + (self.frequency / corner[:, None]) ** (2 * order[:, None]))

        def shelved(power: Tensor) -> Tensor:
            return power * draws.gain(2 * decibels)[:, None] + 1 - power

        kinds = torch.stack(
            [
                1 - below(config.high_pass, order),
                below(config.low_pass, order),
                shelved(below(config.low_shelf, shelf)),
                shelved(1 - below(config.high_shelf, shelf)),
                (1 - below((250, 400), steep)) * below((2800, 4000), steep),
            ]
        )
        kind = torch.randint(len(kinds), (items,), generator=generator)
        return (kinds[kind, torch.arange(items)].sqrt(),)
