"""A running server of the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from songsplit.web.server import PageServer

EXAMPLE = Path(__file__).parents[2] / "examples" / "lithium.ogg"


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    """A server that was started with one song."""
    with PageServer([EXAMPLE], device="cpu") as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
