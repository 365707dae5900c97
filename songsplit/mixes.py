"""New mixes of the stems of a song: karaoke, a remix, something to practise with."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, TypeAlias

from songsplit.errors import AudioInputError, ConfigError

_MAX_GAIN = 200.0  # dB; float32 would overflow soon after
_TEMPOS = 0.25, 4.0
_MAX_KEY = 24.0

MixName: TypeAlias = Literal["karaoke", "acapella", "remix", "practice"]
"""What the command line calls its mixes."""

MUTE = -math.inf
"""The gain in dB of what is left out."""


@dataclass(frozen=True)
class Mix:
    """A mix of the stems of a song, for :meth:`songsplit.Separator.separate_to_files`.

    Attributes
    ----------
    name : str
        What it is called: ``"karaoke"``, for example.
    gains : mapping of str to float
        Gain of each stem in dB; ``-inf`` leaves a stem out, and stems that are not named
        keep their level.
    tempo : float
        Speed as a share of the song's, 0.25 to 4: at 0.5 it lasts twice as long.
    key : float
        Semitones to go up, or down if negative, at most 24.

    Raises
    ------
    ConfigError
        If a number is none or out of range.

    Examples
    --------
    >>> Mix("karaoke", {"vocals": -18})  # with a guide vocal
    Mix(name='karaoke', gains={'vocals': -18}, tempo=1.0, key=0.0)
    """

    name: str
    gains: Mapping[str, float] = field(default_factory=dict)
    tempo: float = 1.0
    key: float = 0.0

    def __post_init__(self) -> None:
        try:
            check_gains(self.gains, self.gains)
        except AudioInputError as error:
            raise ConfigError(str(error)) from error
        lowest, highest = _TEMPOS
        if not lowest <= self.tempo <= highest:
            raise ConfigError(f"the tempo cannot be {self.tempo}: use {lowest:g} to {highest:g}")
        if not abs(self.key) <= _MAX_KEY:
            raise ConfigError(
                f"the key cannot change by {self.key} semitones: {_MAX_KEY:g} at most"
            )

    @property
    def is_stretched(self) -> bool:
        """Whether tempo or key change."""
        return self.tempo != 1 or self.key != 0


def check_gains(gains: Mapping[str, Any], stems: Collection[str]) -> None:
    """Refuse gains that stems cannot be mixed with.

    Raises
    ------
    AudioInputError
        If there is no such stem, or a gain is no number or above 200 dB.
    """
    for name, gain in gains.items():
        if name not in stems:
            raise AudioInputError(f"there is no stem {name!r}, only {', '.join(stems)}")
        if isinstance(gain, bool) or not isinstance(gain, Real):
            raise AudioInputError(f"the gain of {name} must be a number in dB, not {gain!r}")
        if math.isnan(float(gain)) or float(gain) > _MAX_GAIN:
            raise AudioInputError(
                f"the gain of {name} cannot be {gain} dB: give at most {_MAX_GAIN:g}"
            )


def mix_stems(stems: Mapping[str, Any], gains: Mapping[str, float]) -> Any:
    """Add up stems, each at a level of its own.

    Parameters
    ----------
    stems : mapping of str to ndarray or Tensor
        All of the same kind and shape.
    gains : mapping of str to float
        As :func:`check_gains` takes them. Stems that are not named keep their level.

    Returns
    -------
    ndarray or Tensor
        Of the kind and shape of the stems. Nothing is clipped.
    """
    parts = [stem * 10 ** (float(gains.get(name, 0.0)) / 20) for name, stem in stems.items()]
    return sum(parts[1:], start=parts[0])
