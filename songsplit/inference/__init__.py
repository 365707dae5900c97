"""Separation of mixtures of any length with a trained network; no files."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Quality: TypeAlias = Literal["balanced", "best"]
"""How much computing time is spent on quality: the network once, or at three speeds."""

QUALITIES: tuple[Quality, ...] = get_args(Quality)
