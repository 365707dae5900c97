"""Complete description of a separation network."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from songsplit.errors import ConfigError

StereoInput = Literal["left-right", "left-right-mid-side"]

_STEREO_INPUTS = ("left-right", "left-right-mid-side")


@dataclass(frozen=True)
class MaskUNetConfig:
    """Settings of :class:`songsplit.models.unet.MaskUNet` and its front end.

    Attributes
    ----------
    targets : tuple of str
        Names of the stems, at least two. Their masks add up to one.
    sample_rate : int
        Rate in Hz of the audio that the network works on.
    n_fft, hop_length : int
        STFT window and hop in samples; the hop is at most a quarter of the window.
    bins : int
        Number of frequency bins, from 0 Hz up, that the network sees; a multiple of
        ``subbands * 2 ** (len(widths) - 1)``. Above them the masks are continued.
    stereo_input : {"left-right", "left-right-mid-side"}
        Magnitudes that the network gets. Mid and side magnitudes tell it about the
        phase between the channels, hence about what stands in the middle.
    compression : float
        Exponent in (0, 1] that magnitudes are raised to.
    level_seconds : float
        Length of the window over which the level of the input is measured and
        divided out.
    subbands : int
        Number of equal frequency bands that are folded onto channels.
    widths : tuple of int
        Channels per scale, from full resolution down.
    bottleneck : int
        Factor by which the frequency-wise linear blocks reduce the frequency axis.
    """

    targets: tuple[str, ...] = ("vocals", "instrumental")
    sample_rate: int = 44100
    n_fft: int = 4096
    hop_length: int = 1024
    bins: int = 1536
    stereo_input: StereoInput = "left-right-mid-side"
    compression: float = 0.4
    level_seconds: float = 4.0
    subbands: int = 8
    widths: tuple[int, ...] = (48, 80, 112, 160, 224)
    bottleneck: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        object.__setattr__(self, "widths", tuple(self.widths))
        self._require("targets", len(set(self.targets)) == len(self.targets) >= 2)
        self._require("sample_rate", self.sample_rate > 0)
        self._require("n_fft", self.n_fft >= 2 and self.n_fft % 2 == 0)
        self._require("hop_length", 0 < self.hop_length <= self.n_fft // 4)
        self._require("widths", len(self.widths) >= 1 and min(self.widths) > 0)
        self._require("subbands", self.subbands > 0)
        folded = self.subbands * self.frame_multiple
        self._require("bins", 0 < self.bins <= self.n_fft // 2 + 1 and self.bins % folded == 0)
        self._require("stereo_input", self.stereo_input in _STEREO_INPUTS)
        self._require("compression", 0 < self.compression <= 1)
        self._require("level_seconds", self.level_seconds > 0)
        lowest = self.bins // folded
        self._require("bottleneck", 1 <= self.bottleneck <= lowest)

    def _require(self, name: str, holds: bool) -> None:
        if not holds:
            raise ConfigError(f"model setting {name} cannot be {getattr(self, name)!r}")

    @property
    def frame_multiple(self) -> int:
        """The network works on numbers of frames that are multiples of this."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def input_channels(self) -> int:
        """Number of magnitude spectrograms that go in."""
        return 2 if self.stereo_input == "left-right" else 4

    @property
    def level_frames(self) -> int:
        """Length of the level window in frames, odd."""
        return 2 * int(self.level_seconds * self.sample_rate / self.hop_length / 2) + 1

    def to_json(self) -> str:
        """Write the configuration as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> MaskUNetConfig:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ConfigError
            If a setting is unknown or impossible, or the text is no JSON object.
        """
        try:
            values: dict[str, Any] = dict(json.loads(text))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the model's configuration is not valid JSON: {error}") from error
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(f"unknown model setting {unknown[0]!r}: update songsplit")
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"a model setting has the wrong type: {error}") from error
