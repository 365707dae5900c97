"""Shared fixtures and settings."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from songsplit import Separator

# The first example of a test also loads code and starts threads, so times have no meaning.
settings.register_profile("songsplit", deadline=None)
settings.load_profile("songsplit")

# Background jobs of a shell ignore Ctrl-C, and so do the programs they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

EXAMPLE = Path(__file__).parents[1] / "examples" / "lithium.ogg"


@pytest.fixture(scope="session")
def separator() -> Separator:
    """The default model on the CPU."""
    return Separator(device="cpu")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--musdb", help="folder of MUSDB18 or its 7-second excerpts")


@pytest.fixture
def musdb_root(request: pytest.FixtureRequest) -> Path:
    """Folder of MUSDB18; skips the test if none is given."""
    given = request.config.getoption("--musdb") or os.environ.get("SONGSPLIT_MUSDB")
    if not given:
        pytest.skip("no MUSDB18: set SONGSPLIT_MUSDB to its folder")
    return Path(given)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
