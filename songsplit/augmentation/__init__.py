"""Augmentation of training examples in batches, on the device that trains."""

from songsplit.augmentation.chain import Augmentation, AugmentConfig
from songsplit.augmentation.dynamics import Compression, Saturation
from songsplit.augmentation.mixing import MixConfig, Mixer
from songsplit.augmentation.pitch import Harmony, PitchTempo, PitchTempoConfig
from songsplit.augmentation.reverb import Reverb
from songsplit.augmentation.spectral import BandLimit, Equalizer, FilterCurve, LossyCoding
from songsplit.augmentation.stereo import ChannelSwap, Gain, Pan, Polarity, StereoWidth

__all__ = [
    "AugmentConfig",
    "Augmentation",
    "BandLimit",
    "ChannelSwap",
    "Compression",
    "Equalizer",
    "FilterCurve",
    "Gain",
    "Harmony",
    "LossyCoding",
    "MixConfig",
    "Mixer",
    "Pan",
    "PitchTempo",
    "PitchTempoConfig",
    "Polarity",
    "Reverb",
    "Saturation",
    "StereoWidth",
]
