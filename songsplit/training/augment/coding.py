"""What lossy coding at low bitrates does to a mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from songsplit.training.augment import draws
from songsplit.training.augment.effects import Effect
from songsplit.training.augment.settings import EffectSettings, Range

_BANDS = 28
# Set by comparison with LAME on one song: from 64 to 192 kbit/s and up to 16 kHz, the
# error in each octave comes within 5 dB of the encoder's.
_REFERENCE = 128.0  # kbit/s that the constants below hold for
_LOW_STEP, _HIGH_STEP = -22.0, 4.0  # dB above the band's level, at 0 Hz and at the top
_STEP_PER_OCTAVE = 9.0  # dB by which steps grow when the bitrate is halved
_CUTOFF, _CUTOFF_PER_OCTAVE = 16_000.0, 4500.0  # Hz
_FLOOR, _FLOOR_PER_OCTAVE = -75.0, 8.0  # dB below the loudest band of a frame
_LEFT_OVER = 0.25  # smallest gain of bins that are neither hidden nor above the cutoff
_ROUNDING = 0.4054  # of MPEG-1 layer III's quantiser: less than a half favours zeros


@dataclass(frozen=True)
class LossyCodingConfig(EffectSettings):
    """Settings of :class:`LossyCoding`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    bitrate : tuple of float
        Range in kbit/s of the bitrates, of stereo MP3 files, that are imitated.
    """

    section: ClassVar[str] = "coding"
    share: float = 0.08
    bitrate: Range = (64.0, 256.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range("bitrate", 16, 512)


class LossyCoding(Effect):
    """Quantise the magnitudes of a mixture as MP3 and AAC encoders do.

    In every frame and band, about one Bark wide, magnitudes are raised to the power 3/4,
    rounded, and raised back, as in ISO/IEC 11172-3. Steps lie at a distance from the
    band's own level that depends on the bitrate, which stands in for a psychoacoustic
    model. Bins below half a step are lowered by 12 dB; bands that the loudest one of the
    frame would hide become holes, and so does all above a cutoff frequency.

    The real gain that this amounts to, bin by bin, is applied to every target, so the
    targets still add up to the mixture.

    Parameters
    ----------
    config : LossyCodingConfig
    sample_rate : int
        Rate in Hz of the audio.
    bins : int
        Number of frequency bins from 0 Hz to half the sample rate.
    """

    def __init__(self, config: LossyCodingConfig, sample_rate: int, bins: int) -> None:
        super().__init__(config.share)
        self.config = config
        self.frequency = torch.linspace(0, sample_rate / 2, bins)
        bark = 6 * torch.asinh(self.frequency / 600)  # Wang, Sekey and Gersho (1992)
        bands = (bark / bark[-1] * _BANDS).long().clamp_max(_BANDS - 1)
        # Low bands may hold no bin of a short transform; the others are numbered anew.
        self.band, self.widths = torch.unique_consecutive(
            bands, return_inverse=True, return_counts=True
        )[1:]

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw bitrates in kbit/s."""
        return (draws.log_uniform(items, self.config.bitrate, generator),)

    def change(self, items: Tensor, amounts: tuple[Tensor, ...]) -> Tensor:
        """Code mixtures of complex64 spectrograms (items, targets, 2, bins, frames)."""
        gain = self.gains(items.sum(dim=1).abs(), amounts[0])
        return torch.view_as_complex(torch.view_as_real(items) * gain[:, None, ..., None])

    def gains(self, magnitude: Tensor, bitrate: Tensor) -> Tensor:
        """Return what the quantised magnitudes are, divided by what they were.

        Parameters
        ----------
        magnitude : Tensor of float32, shape (items, 2, bins, frames)
        bitrate : Tensor, shape (items,)
            In kbit/s, on the CPU.

        Returns
        -------
        Tensor of float32, shape (items, 2, bins, frames)
            From 0 to 2.
        """
        device = magnitude.device
        octaves = draws.move((bitrate / _REFERENCE).log2(), device)[:, None, None, None]
        bands = torch.split(magnitude.square(), self.widths.tolist(), dim=2)
        level = torch.stack([band.mean(dim=2) for band in bands], dim=2).sqrt()
        height = torch.linspace(0, 1, level.shape[2], device=device)[:, None]
        above_level = _LOW_STEP + (_HIGH_STEP - _LOW_STEP) * height - _STEP_PER_OCTAVE * octaves
        step = level * draws.gain(above_level)
        loudest = level.amax(dim=2, keepdim=True)
        hidden = level <= loudest * draws.gain(_FLOOR - _FLOOR_PER_OCTAVE * octaves)
        # An infinite step leaves nothing; so does the first one, where all is silent.
        step = step.masked_fill_(hidden, math.inf)
        steps = magnitude / step.index_select(2, draws.move(self.band, device))
        quantised = (steps.sqrt() * steps.sqrt().sqrt()).add_(_ROUNDING).floor_()
        gain = quantised.pow_(4 / 3) / steps.clamp_min_(1e-3)
        # A frame here is as long as several of the coder's, of which seldom all lose a bin.
        audible = draws.move(self.band, device)
        gain = torch.maximum(gain, _LEFT_OVER * (~hidden).index_select(2, audible))
        cutoff = _CUTOFF + _CUTOFF_PER_OCTAVE * octaves
        return gain * (draws.move(self.frequency, device)[:, None] <= cutoff)
