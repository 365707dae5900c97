"""All settings of the augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field

from songsplit.training.augment.bands import BandLimitConfig
from songsplit.training.augment.coding import LossyCodingConfig
from songsplit.training.augment.dynamics import CompressionConfig, SaturationConfig
from songsplit.training.augment.filters import EqualizerConfig, FilterCurveConfig
from songsplit.training.augment.harmony import HarmonyConfig
from songsplit.training.augment.levels import (
    ChannelSwapConfig,
    GainConfig,
    PanConfig,
    PolarityConfig,
    StereoWidthConfig,
)
from songsplit.training.augment.mixing import MixConfig
from songsplit.training.augment.pitch_tempo import PitchTempoConfig
from songsplit.training.augment.reverb import ReverbConfig


@dataclass(frozen=True)
class AugmentConfig:
    """Settings of :class:`~songsplit.training.augment.chain.Augmentation`.

    An effect whose ``share`` is 0 is off.

    Attributes
    ----------
    pitch_tempo : PitchTempoConfig
        Of every part of remixed examples, of which drums only change their speed; of the
        others, the speed of all parts alike.
    saturation : SaturationConfig
        Of every part of remixed examples.
    compression : CompressionConfig
        Of every part of remixed examples.
    harmony : HarmonyConfig
        Of the singers of remixed examples.
    reverb : ReverbConfig
        Of the singers of remixed examples. It belongs to the vocals.
    gain : GainConfig
        Of every part of remixed examples, before the mixer's own levels.
    pan : PanConfig
        Of the singers of remixed examples.
    channel_swap : ChannelSwapConfig
        Of every part of remixed examples.
    polarity : PolarityConfig
        Of every part of remixed examples.
    stereo_width : StereoWidthConfig
        Of every part of remixed examples.
    mix : MixConfig
    equalizer : EqualizerConfig
        Of every target.
    filter_curve : FilterCurveConfig
        Of every target.
    band_limit : BandLimitConfig
        Of the mixture.
    coding : LossyCodingConfig
        Of the mixture.
    """

    pitch_tempo: PitchTempoConfig = field(default_factory=PitchTempoConfig)
    saturation: SaturationConfig = field(default_factory=SaturationConfig)
    compression: CompressionConfig = field(default_factory=CompressionConfig)
    harmony: HarmonyConfig = field(default_factory=HarmonyConfig)
    reverb: ReverbConfig = field(default_factory=ReverbConfig)
    gain: GainConfig = field(default_factory=GainConfig)
    pan: PanConfig = field(default_factory=PanConfig)
    channel_swap: ChannelSwapConfig = field(default_factory=ChannelSwapConfig)
    polarity: PolarityConfig = field(default_factory=PolarityConfig)
    stereo_width: StereoWidthConfig = field(default_factory=StereoWidthConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    equalizer: EqualizerConfig = field(default_factory=EqualizerConfig)
    filter_curve: FilterCurveConfig = field(default_factory=FilterCurveConfig)
    band_limit: BandLimitConfig = field(default_factory=BandLimitConfig)
    coding: LossyCodingConfig = field(default_factory=LossyCodingConfig)
