"""Audio in and out: files, arrays, tensors and sample rates.

Everywhere inside songsplit audio is a float32 NumPy array of shape
``(channels, samples)`` with full scale at -1 and 1. This package brings files and
callers' arrays into that form and back again; it knows nothing of models.
"""

from __future__ import annotations

from songsplit.audio.access import Access
from songsplit.audio.arrays import ArrayInput, as_samples, check_sample_rate
from songsplit.audio.limits import LIMITS, Limits
from songsplit.audio.reading import (
    AudioInfo,
    AudioReader,
    open_audio,
    read_audio,
    read_streams,
)
from songsplit.audio.resampling import Resampler, resample, resampled_length
from songsplit.audio.stem_files import StemFilesWriter
from songsplit.audio.stretching import Stretcher
from songsplit.audio.tags import Tags, read_tags
from songsplit.audio.writing import WavStream, left_behind

__all__ = [
    "LIMITS",
    "Access",
    "ArrayInput",
    "AudioInfo",
    "AudioReader",
    "Limits",
    "Resampler",
    "StemFilesWriter",
    "Stretcher",
    "Tags",
    "WavStream",
    "as_samples",
    "check_sample_rate",
    "left_behind",
    "open_audio",
    "read_audio",
    "read_streams",
    "read_tags",
    "resample",
    "resampled_length",
]
