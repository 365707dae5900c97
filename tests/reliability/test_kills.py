"""A batch that is killed: a short version of kills.py."""

from __future__ import annotations

import os

import pytest

from tests.reliability.kills import kill


@pytest.mark.skipif(os.name != "posix", reason="signals are others elsewhere")
def test_a_batch_that_is_killed_is_completed_by_a_rerun() -> None:
    killer, figures = kill(6, songs=6, options=("--jobs", "2"), seed=0)
    assert figures.faults == []
    assert len(killer.reference) == 12
    assert figures.checked > 0
    assert figures.completed > 0
