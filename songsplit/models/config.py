"""Configuration of a separation network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from songsplit.errors import ConfigError

# Former settings of version 0.1, each with the only value that is still supported.
_FORMER = {"stereo_input": "left-right-mid-side", "skip": "sum", "mask": "soft", "context": "none"}
# Weights files may come from strangers. Within these bounds, a second of audio takes at most two
# gigabytes and two seconds, if the network is not too wide.
_INTEGERS = {
    "sample_rate": (1000, 768_000),
    "n_fft": (16, 1 << 16),
    "hop_length": (1, 1 << 14),
    "subbands": (1, 1024),
    "bottleneck": (0, 1 << 15),
    "narrowest": (1, 1 << 15),
}
_MAX_LEVEL_FRAMES = 10_000
_MAX_FRAMES_PER_SECOND = 1000
_MAX_MASK_VALUES_PER_SECOND = 1e6
_MAX_STEP_SECONDS = 4.0
# Targets become names of files and arguments.
_TARGET = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_MAX_TARGETS = 32


@dataclass(frozen=True)
class MaskUNetConfig:
    """Settings of :class:`songsplit.models.unet.MaskUNet` and its front end.

    Attributes
    ----------
    targets : tuple of str
        Names of the stems, at least two. Their masks add up to one.
    sample_rate : int
        Sample rate of the network in Hz.
    n_fft, hop_length : int
        STFT window and hop length in samples; the hop length is at most a quarter of the window.
    bands : tuple of (int, int)
        Pairs (stop bin, width): up to bin ``stop``, counted from 0 Hz, each band is the mean of
        ``width`` bins. The number of bands must be a multiple of
        ``subbands * 2 ** (len(widths) - 1)``. Masks are extended above the last stop.
    compression : float
        Exponent of magnitudes, in (0, 1].
    level_seconds : float
        Length of the window over which the level of the input is normalised.
    subbands : int
        Number of equal ranges of bands that are folded into channels.
    widths : tuple of int
        Channels of each scale, from full resolution down.
    bottleneck : int
        Factor by which the frequency-wise linear blocks reduce the frequency axis; 0 removes
        these blocks.
    narrowest : int
        Minimum number of rows to which these blocks reduce the frequency axis.
    """

    targets: tuple[str, ...] = ("vocals", "instrumental")
    sample_rate: int = 44100
    n_fft: int = 4096
    hop_length: int = 1024
    bands: tuple[tuple[int, int], ...] = ((1536, 1),)
    compression: float = 0.4
    level_seconds: float = 4.0
    subbands: int = 8
    widths: tuple[int, ...] = (48, 80, 112, 160, 224)
    bottleneck: int = 8
    narrowest: int = 1

    def __post_init__(self) -> None:
        for name in ("targets", "widths", "bands"):
            self._require(name, isinstance(getattr(self, name), list | tuple))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._require("bands", all(isinstance(band, list | tuple) for band in self.bands))
        object.__setattr__(self, "bands", tuple(tuple(band) for band in self.bands))
        names = {
            name.lower()
            for name in self.targets
            if isinstance(name, str) and _TARGET.fullmatch(name)
        }
        self._require("targets", 2 <= len(names) == len(self.targets) <= _MAX_TARGETS)
        for name, (least, most) in _INTEGERS.items():
            self._require(name, _is_integer(getattr(self, name), least, most))
        self._require("n_fft", self.n_fft % 2 == 0)
        self._require("hop_length", self.n_fft // 64 <= self.hop_length <= self.n_fft // 4)
        self._require("widths", 1 <= len(self.widths) <= 12)
        self._require("widths", all(_is_integer(width, 1, 4096) for width in self.widths))
        self._require("bands", self._bands_fit())
        for name, limit in (("compression", 1.0), ("level_seconds", 1e6)):
            value = getattr(self, name)
            self._require(name, isinstance(value, int | float) and 0 < value <= limit)
        self._require("hop_length", self.frames_per_second <= _MAX_FRAMES_PER_SECOND)
        values = len(self.targets) * (self.n_fft // 2 + 1) * self.frames_per_second
        self._require("hop_length", values <= _MAX_MASK_VALUES_PER_SECOND)
        self._require("level_seconds", self.level_frames <= _MAX_LEVEL_FRAMES)
        step = self.hop_length * self.frame_multiple / self.sample_rate
        self._require("widths", step <= _MAX_STEP_SECONDS)
        lowest = self.rows // self.frame_multiple
        self._require("bottleneck", 0 <= self.bottleneck <= max(lowest, self.narrowest))

    def _bands_fit(self) -> bool:
        if not all(_is_integer(edge, 1, self.n_fft) for band in self.bands for edge in band):
            return False
        if not self.bands or any(len(band) != 2 for band in self.bands):
            return False
        if any(bins <= 0 or bins % width for bins, width in self._ranges()):
            return False
        folded = self.subbands * self.frame_multiple
        return self.bins <= self.n_fft // 2 + 1 and self.band_count % folded == 0

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the number of bins and the band width of each range."""
        start = 0
        for stop, width in self.bands:
            yield stop - start, width
            start = stop

    def _require(self, name: str, holds: bool) -> None:
        if not holds:
            raise ConfigError(f"model setting {name} cannot be {getattr(self, name)!r}")

    @property
    def bins(self) -> int:
        """Number of frequency bins, from 0 Hz up, for which masks are predicted."""
        return self.bands[-1][0]

    @property
    def band_count(self) -> int:
        """Number of frequency bands."""
        return sum(bins // width for bins, width in self._ranges())

    @property
    def band_widths(self) -> list[int]:
        """Number of bins in each band."""
        return [width for bins, width in self._ranges() for _ in range(bins // width)]

    @property
    def rows(self) -> int:
        """Length of the frequency axis after folding."""
        return self.band_count // self.subbands

    @property
    def frames_per_second(self) -> float:
        """Number of spectrogram frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def frame_multiple(self) -> int:
        """Factor of which the network's number of frames must be a multiple."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def level_frames(self) -> int:
        """Length of the level window in frames, an odd number."""
        return 2 * int(self.level_seconds * self.frames_per_second / 2) + 1

    def to_json(self) -> str:
        """Return the configuration as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> MaskUNetConfig:
        """Read the output of :meth:`to_json`, or raise ConfigError."""
        try:
            values: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"the model's configuration is not valid JSON: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError("the model's configuration is not a JSON object")
        for name, remaining in _FORMER.items():
            if (value := values.pop(name, remaining)) != remaining:
                raise ConfigError(
                    f"model setting {name} {value!r} is no longer supported, only {remaining!r}: "
                    "use the model with songsplit 0.1"
                )
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(f"unknown model setting {unknown[0]!r}: update songsplit")
        return cls(**values)


def _is_integer(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
