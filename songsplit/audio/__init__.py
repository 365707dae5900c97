"""Audio in and out: files, arrays, tensors and sample rates.

Inside songsplit, audio is always a float32 NumPy array of shape ``(channels, samples)`` with full
scale at -1 and 1. This package converts files and callers' arrays to that form and back. It does
not depend on the models.
"""

from __future__ import annotations

from songsplit.audio.arrays import ArrayInput, as_samples, check_sample_rate
from songsplit.audio.encoders import WavStream
from songsplit.audio.formats import (
    AUDIO_SUFFIXES,
    BitDepth,
    FormatName,
    OutputFormat,
    audio_files,
    is_audio_name,
)
from songsplit.audio.opening import AudioInfo
from songsplit.audio.reading import AudioReader, open_audio, read_audio, read_streams
from songsplit.audio.resampling import Resampler, Stretcher, resample, resampled_length
from songsplit.audio.stem_files import StemFilesWriter
from songsplit.audio.tags import Tags, read_tags
from songsplit.files import clear_stale_parts

__all__ = [
    "AUDIO_SUFFIXES",
    "ArrayInput",
    "AudioInfo",
    "AudioReader",
    "BitDepth",
    "FormatName",
    "OutputFormat",
    "Resampler",
    "StemFilesWriter",
    "Stretcher",
    "Tags",
    "WavStream",
    "as_samples",
    "audio_files",
    "check_sample_rate",
    "clear_stale_parts",
    "is_audio_name",
    "open_audio",
    "read_audio",
    "read_streams",
    "read_tags",
    "resample",
    "resampled_length",
]
