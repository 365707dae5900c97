"""Recognise audio files by name, and describe the output formats and their limits."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

from songsplit.audio.arrays import MAX_CHANNELS, MAX_SAMPLE_RATE
from songsplit.errors import ConfigError, OutputError
from songsplit.files import TEMPORARY_PREFIX

# Copy-protected formats are included so that an error can state why they cannot be read.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".flac"}
    | {".ape", ".wv", ".tta", ".ogg", ".oga", ".spx", ".opus", ".mp2", ".mp3", ".m4a", ".m4b"}
    | {".m4p", ".aax", ".aac", ".alac", ".wma", ".asf", ".mka", ".ac3", ".dts", ".amr", ".mp4"}
    | {".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".3gp", ".3g2", ".ogv", ".mpg"}
    | {".mpeg", ".vob", ".ts", ".mts", ".m2ts"}
)
# Names of songs and albums may begin with a dot (".38 Special"). This matches only files that
# operating systems and programs hide or have deleted.
_HIDDEN = re.compile(
    r"\._|\.(trash|pending-|spotlight-|documentrevisions-)"
    r"|\.(appledouble|fseventsd|temporaryitems|thumbnails|snapshots?|zfs|st(folder|versions))$"
    r"|\.(git|svn|venv|cache|config|local)$|" + re.escape(TEMPORARY_PREFIX),
    re.IGNORECASE,
)

FormatName: TypeAlias = Literal["wav", "flac", "mp3", "m4a", "ogg", "opus", "stem.mp4"]
BitDepth: TypeAlias = Literal["16", "24", "32f"]

FORMATS: tuple[FormatName, ...] = get_args(FormatName)
MAX_STEMS = 4
"""Maximum number of stems in a stem.mp4 file."""

_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (*_MP3_RATES, 64000, 88200, 96000)


class _Limits(NamedTuple):
    """Limits of a format; bit rates are in kbit/s for stereo, sample rates in Hz."""

    depths: tuple[BitDepth, ...] = ()  # the default first
    rates: tuple[int, ...] | None = None
    highest_rate: int = MAX_SAMPLE_RATE
    channels: int = MAX_CHANNELS
    bitrate: int = 0
    bitrates: tuple[int, int] = (1, 0)


_LIMITS: dict[FormatName, _Limits] = {
    "wav": _Limits(depths=("24", "16", "32f")),
    "flac": _Limits(depths=("24", "16"), highest_rate=655_350),
    "mp3": _Limits(rates=_MP3_RATES, channels=2, bitrate=320, bitrates=(8, 320)),
    "m4a": _Limits(rates=_AAC_RATES, bitrate=256, bitrates=(16, 512)),
    "ogg": _Limits(highest_rate=200_000, channels=2, bitrate=256, bitrates=(48, 500)),
    "opus": _Limits(rates=_OPUS_RATES, channels=2, bitrate=192, bitrates=(8, 510)),
    "stem.mp4": _Limits(rates=_AAC_RATES, channels=2, bitrate=256, bitrates=(16, 512)),
}


@dataclass(frozen=True)
class OutputFormat:
    """Format of output files, which have the channels of the song and, if possible, its rate.

    Attributes
    ----------
    name : {"wav", "flac", "mp3", "m4a", "ogg", "opus", "stem.mp4"}
        File format. M4A holds AAC, OGG holds Vorbis; ``"stem.mp4"`` holds the song and all stems
        in one file, for DJ programs.
    bit_depth : {"16", "24", "32f"} or None
        Bits per sample of WAV and FLAC; only WAV supports ``"32f"`` (floating point). By default
        24, or 16 for WAV if the song has 16 and no stem would clip.
    bitrate : int or None
        Bit rate of the other formats in kbit/s for stereo. Each format has its own default.

    Raises
    ------
    ConfigError
        If the format is unknown or does not support the bit depth or bit rate.

    Examples
    --------
    >>> OutputFormat("flac", bit_depth="16").bits
    16
    >>> OutputFormat("opus").sample_rate(44100)
    48000
    """

    name: FormatName = "wav"
    bit_depth: BitDepth | None = None
    bitrate: int | None = None

    def __post_init__(self) -> None:
        if self.name not in FORMATS:
            raise ConfigError(f"unknown format {self.name!r}: use {', '.join(FORMATS)}")
        depths, (lowest, highest) = _LIMITS[self.name].depths, _LIMITS[self.name].bitrates
        if self.bit_depth is not None and self.bit_depth not in depths:
            remedy = f"use {' or '.join(depths)}" if depths else "give a bit rate instead"
            raise ConfigError(f"{self.name} has no bit depth {self.bit_depth}: {remedy}")
        if self.bitrate is not None and not lowest <= self.bitrate <= highest:
            remedy = "give a bit depth instead" if depths else f"use {lowest} to {highest}"
            raise ConfigError(f"{self.name} has no bit rate of {self.bitrate} kbit/s: {remedy}")

    @property
    def depth(self) -> BitDepth | None:
        """Bits per sample, or None for formats with a bit rate."""
        depths = _LIMITS[self.name].depths
        return self.bit_depth or (depths[0] if depths else None)

    @property
    def kilobits(self) -> int:
        """Bit rate in kbit/s for stereo."""
        return self.bitrate or _LIMITS[self.name].bitrate

    @property
    def holds_all(self) -> bool:
        """Whether all stems go into one file."""
        return self.name == "stem.mp4"

    @property
    def is_float(self) -> bool:
        """Whether samples are floating point, which may exceed full scale."""
        return self.depth == "32f"

    @property
    def bits(self) -> int | None:
        """Bits of integer samples, or None for other formats."""
        return int(self.depth) if self.depth in ("16", "24") else None

    def sample_rate(self, song: int) -> int:
        """Return the output rate in Hz: the song's, or the next one that the format supports."""
        limits = _LIMITS[self.name]
        if limits.rates is not None:
            # Prefer the next higher rate, which loses nothing; otherwise use the highest.
            return min((rate for rate in limits.rates if rate >= song), default=limits.rates[-1])
        if self.name == "flac" and song > 65_535:
            song = -(-song // 10) * 10  # FLAC stores high rates in units of 10 Hz
        return min(song, limits.highest_rate)

    def check_channels(self, channels: int) -> None:
        """Raise an OutputError if the format does not support this many channels."""
        most = _LIMITS[self.name].channels
        if channels > most:
            able = [name for name in FORMATS if _LIMITS[name].channels >= channels]
            raise OutputError(
                f"{self.name} files have at most {most} channels, not {channels}: "
                f"use {', '.join(able)}"
            )


def audio_files(folder: Path, on_error: Callable[[OSError], None] | None = None) -> list[Path]:
    """List the audio and video files below a folder, by extension, sorted by path.

    Links are followed, and each folder is visited once. Hidden system files, named pipes and other
    special files are left out. `on_error` receives the error of each folder that cannot be read;
    without it, the first error is raised.
    """

    def refuse(error: OSError) -> None:
        raise error

    visited: set[str] = set()
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=on_error or refuse, followlinks=True):
        if (here := os.path.realpath(place)) in visited:
            folders.clear()
            continue
        visited.add(here)
        folders[:] = [name for name in folders if not _HIDDEN.match(name)]
        paths = (Path(place, name) for name in names if is_audio_name(name))
        found.extend(path for path in paths if path.is_file())
    return sorted(found)


def is_audio_name(name: str) -> bool:
    """Return whether a name is that of an audio or video file."""
    return Path(name).suffix.lower() in AUDIO_SUFFIXES and not _HIDDEN.match(name)
