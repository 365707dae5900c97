"""Separation of mixtures of any length with a trained network, without files."""

from __future__ import annotations

import os
from typing import Literal, TypeAlias, get_args

# From version 1.29 on, ONNX Runtime sends usage data to its makers. It reads this setting when it
# is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

Quality: TypeAlias = Literal["balanced", "best"]
"""Whether the network runs once ("balanced") or at three speeds ("best")."""

QUALITIES: tuple[Quality, ...] = get_args(Quality)
