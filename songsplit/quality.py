"""Names of the quality settings, which say what computing time is spent on quality."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Quality: TypeAlias = Literal["fast", "balanced", "best"]

QUALITIES: tuple[Quality, ...] = get_args(Quality)
BALANCED: Quality = "balanced"
