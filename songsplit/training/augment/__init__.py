"""Augmentation of training examples in batches, on the device that trains."""

from songsplit.training.augment.bands import BandLimit, BandLimitConfig, limit_band
from songsplit.training.augment.chain import Augmentation
from songsplit.training.augment.coding import LossyCoding, LossyCodingConfig
from songsplit.training.augment.config import AugmentConfig
from songsplit.training.augment.dynamics import (
    Compression,
    CompressionConfig,
    Saturation,
    SaturationConfig,
)
from songsplit.training.augment.filters import (
    Equalizer,
    EqualizerConfig,
    FilterCurve,
    FilterCurveConfig,
)
from songsplit.training.augment.harmony import Harmony, HarmonyConfig
from songsplit.training.augment.levels import (
    ChannelSwap,
    ChannelSwapConfig,
    Gain,
    GainConfig,
    Pan,
    PanConfig,
    Polarity,
    PolarityConfig,
    StereoWidth,
    StereoWidthConfig,
)
from songsplit.training.augment.mixing import MixConfig, Mixer
from songsplit.training.augment.pitch_tempo import PitchTempo, PitchTempoConfig
from songsplit.training.augment.reverb import Reverb, ReverbConfig

__all__ = [
    "AugmentConfig",
    "Augmentation",
    "BandLimit",
    "BandLimitConfig",
    "ChannelSwap",
    "ChannelSwapConfig",
    "Compression",
    "CompressionConfig",
    "Equalizer",
    "EqualizerConfig",
    "FilterCurve",
    "FilterCurveConfig",
    "Gain",
    "GainConfig",
    "Harmony",
    "HarmonyConfig",
    "LossyCoding",
    "LossyCodingConfig",
    "MixConfig",
    "Mixer",
    "Pan",
    "PanConfig",
    "PitchTempo",
    "PitchTempoConfig",
    "Polarity",
    "PolarityConfig",
    "Reverb",
    "ReverbConfig",
    "Saturation",
    "SaturationConfig",
    "StereoWidth",
    "StereoWidthConfig",
    "limit_band",
]
