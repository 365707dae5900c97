"""What several test packages share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from songsplit import Separator

EXAMPLE = Path(__file__).parents[1] / "examples" / "lithium.ogg"


@pytest.fixture(scope="session")
def separator() -> Separator:
    """The default model on the CPU."""
    return Separator(device="cpu")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
