"""A folder of short songs."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile

RATE = 22050


def write_songs(folder, count, damaged=0):
    """Write songs of half a second, the last ones of which are no audio."""
    folder.mkdir(exist_ok=True, parents=True)
    noise = np.random.default_rng(0).normal(size=(count, RATE // 2, 2)) / 10
    for number in range(count):
        path = folder / f"song {number:02}.wav"
        if number < count - damaged:
            soundfile.write(path, noise[number], RATE)
        else:
            path.write_bytes(b"RIFF" + os.urandom(2000))
    return folder


@pytest.fixture
def songs(tmp_path):
    """Four songs, of which the last is damaged."""
    return write_songs(tmp_path / "songs", 4, damaged=1)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("songsplit.catalogue.worker.sleep", lambda seconds: None)
