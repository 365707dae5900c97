"""The kinds of files that stems can be written as, and what each can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from songsplit.errors import ConfigError, OutputError

FormatName: TypeAlias = Literal["wav", "flac", "mp3", "m4a", "ogg", "opus", "stem.mp4"]
BitDepth: TypeAlias = Literal["16", "24", "32f"]
Clip: TypeAlias = Literal["scale", "clamp"]

FORMATS: tuple[FormatName, ...] = get_args(FormatName)
CLIPS: tuple[Clip, ...] = get_args(Clip)

_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (*_MP3_RATES, 64000, 88200, 96000)


@dataclass(frozen=True)
class _Limits:
    """What a format can hold. Bit rates are in kbit/s, for stereo."""

    depths: tuple[BitDepth, ...] = ()
    rates: tuple[int, ...] | None = None
    channels: int = 8
    bitrate: int = 0
    bitrates: tuple[int, int] = (0, 0)


_LIMITS: dict[FormatName, _Limits] = {
    "wav": _Limits(depths=("32f", "24", "16")),
    "flac": _Limits(depths=("24", "16")),
    "mp3": _Limits(rates=_MP3_RATES, channels=2, bitrate=320, bitrates=(8, 320)),
    "m4a": _Limits(rates=_AAC_RATES, bitrate=256, bitrates=(16, 512)),
    "ogg": _Limits(channels=2, bitrate=256, bitrates=(48, 500)),
    "opus": _Limits(rates=_OPUS_RATES, channels=2, bitrate=192, bitrates=(8, 510)),
    "stem.mp4": _Limits(rates=_AAC_RATES, channels=2, bitrate=256, bitrates=(16, 512)),
}
_MAX_FLAC_RATE, _MAX_FINE_FLAC_RATE = 655_350, 65_535
_MAX_OGG_RATE = 200_000
MIN_RATE, MAX_RATE = 1000, 768_000
"""What sample rates can be asked for, in Hz."""


@dataclass(frozen=True)
class OutputFormat:
    """How stems are written.

    Attributes
    ----------
    name : {"wav", "flac", "mp3", "m4a", "ogg", "opus", "stem.mp4"}
        Kind of file. M4A holds AAC, OGG holds Vorbis; ``"stem.mp4"`` holds the song and
        all stems in one file, for DJ programs.
    bit_depth : {"16", "24", "32f"} or None
        Bits per sample of WAV and FLAC, ``"32f"`` being floating point, which only WAV
        has; by default the most there is.
    bitrate : int or None
        Of the others, in kbit/s for stereo; by default high.
    rate : int or None
        Sample rate in Hz; by default that of the song, or the next higher one that the
        format can have.
    channels : {1, 2} or None
        Mono or stereo; by default the channels of the song. More than two are mixed down
        (:func:`songsplit.audio.channels.mix_matrix`).

    Raises
    ------
    ConfigError
        If there is no such format, or it has no such bit depth, bit rate, sample rate or
        number of channels.
    """

    name: FormatName = "wav"
    bit_depth: BitDepth | None = None
    bitrate: int | None = None
    rate: int | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        if self.name not in FORMATS:
            raise ConfigError(f"unknown format {self.name!r}: use {', '.join(FORMATS)}")
        limits = _LIMITS[self.name]
        if self.bit_depth is not None and self.bit_depth not in limits.depths:
            known = " or ".join(limits.depths)
            raise ConfigError(
                f"{self.name} has no bit depth {self.bit_depth}: "
                + (f"use {known}" if known else "give a bit rate instead")
            )
        if self.bitrate is not None:
            lowest, highest = limits.bitrates
            if not lowest <= self.bitrate <= highest or not highest:
                raise ConfigError(
                    f"{self.name} has no bit rate of {self.bitrate} kbit/s: "
                    + (f"use {lowest} to {highest}" if highest else "give a bit depth instead")
                )

        if self.channels not in (None, 1, 2):
            raise ConfigError(
                f"results have 1 or 2 channels, or those of the song, not {self.channels}"
            )
        if self.rate is not None and not (
            MIN_RATE <= self.rate <= MAX_RATE and self._nearest(self.rate) == self.rate
        ):
            rates = limits.rates or (MIN_RATE, "to", self._nearest(MAX_RATE))
            raise ConfigError(
                f"{self.name} has no sample rate of {self.rate} Hz: use "
                + ("{} {} {}" if limits.rates is None else ", ".join(["{}"] * len(rates))).format(
                    *rates
                )
            )

    @property
    def depth(self) -> BitDepth | None:
        """Bits per sample, or None where there are none."""
        depths = _LIMITS[self.name].depths
        return self.bit_depth or (depths[0] if depths else None)

    @property
    def kilobits(self) -> int:
        """Bit rate in kbit/s, for stereo."""
        return self.bitrate or _LIMITS[self.name].bitrate

    @property
    def holds_all(self) -> bool:
        """Whether all stems go into one file."""
        return self.name == "stem.mp4"

    @property
    def is_float(self) -> bool:
        """Whether any number is kept as it is, also beyond full scale."""
        return self.depth == "32f"

    @property
    def bits(self) -> int | None:
        """Bits of samples that are whole numbers, or None where they are not."""
        return int(self.depth) if self.depth in ("16", "24") else None

    def sample_rate(self, source: int) -> int:
        """Return the rate of files of songs of a given rate: the same, if it can be had."""
        return self.rate or self._nearest(source)

    def _nearest(self, source: int) -> int:
        rates = _LIMITS[self.name].rates
        if rates is None:
            highest = {"flac": _MAX_FLAC_RATE, "ogg": _MAX_OGG_RATE}.get(self.name, source)
            # High rates are counted in tens of hertz.
            tens = self.name == "flac" and source > _MAX_FINE_FLAC_RATE
            return min(-(-source // 10) * 10 if tens else source, highest)
        if source in rates:
            return source
        # Nothing that can be heard is lost by going up; beyond the highest there is no up.
        return min((rate for rate in rates if rate > source), default=rates[-1])

    def output_channels(self, source: int) -> int:
        """Return how many channels files of songs with so many have.

        Raises
        ------
        OutputError
            If there are more than a file can have.
        """
        channels = self.channels or source
        if channels > (most := _LIMITS[self.name].channels):
            raise OutputError(
                f"{self.name} files have at most {most} channels, not {channels}: "
                "use wav, flac or m4a, or ask for stereo"
            )
        return channels
