"""Checks that all settings of the augmentation share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from songsplit.errors import ConfigError

Range = tuple[float, float]
"""Lowest and highest value of something drawn at random."""


@dataclass(frozen=True)
class Settings:
    """Base of the settings dataclasses: checks that name the key at fault.

    A dataclass itself although it has no fields: jsonargparse parses those with other
    bases in a more roundabout way.

    Attributes
    ----------
    section : str
        Name of the settings within those of the whole augmentation.
    """

    section: ClassVar[str]

    def _require(self, key: str, holds: bool, needed: str) -> None:
        if not holds:
            raise ConfigError(
                f"augment setting {self.section}.{key} cannot be {getattr(self, key)!r}: "
                f"it must {needed}"
            )

    def _require_within(self, key: str, low: float, high: float) -> None:
        """Check a number against its bounds, which are both allowed."""
        holds = low <= getattr(self, key) <= high
        self._require(key, holds, f"lie between {low:g} and {high:g}")

    def _require_range(self, key: str, low: float, high: float) -> None:
        """Check a lowest and a highest value against their bounds."""
        values = getattr(self, key)
        holds = len(values) == 2 and low <= values[0] <= values[1] <= high
        needed = f"be a lowest and a highest value between {low:g} and {high:g}"
        self._require(key, holds, needed)


@dataclass(frozen=True)
class EffectSettings(Settings):
    """Base of the settings of one effect.

    Attributes
    ----------
    share : float
        Share of the items that are changed, from 0, which switches the effect off, to 1.

    Raises
    ------
    ConfigError
        If a setting is impossible. The message names it.
    """

    share: float = 0.0

    def __post_init__(self) -> None:
        self._require_within("share", 0, 1)
