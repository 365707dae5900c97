"""Separation of mixtures of any length with a trained network; no files."""

from __future__ import annotations

import os
from typing import Literal, TypeAlias, get_args

# From version 1.29 on, ONNX Runtime reports to its makers over the network what it runs and where.
# It reads this when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

Quality: TypeAlias = Literal["balanced", "best"]
"""How much computing time is spent on quality: the network once, or at three speeds."""

QUALITIES: tuple[Quality, ...] = get_args(Quality)
