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


def let_threads_sleep() -> None:
    """Let PyTorch's threads sleep while they wait, unless the user has chosen otherwise.

    Threads that spin take time from other programs. Call this before PyTorch is loaded.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
