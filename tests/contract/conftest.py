from __future__ import annotations

import numpy as np
import pytest

from tests.contract.material import music, tagged_flac


@pytest.fixture
def song(tmp_path, monkeypatch):
    """A song of half a second with tags and a cover, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return tagged_flac(tmp_path / "song.flac", music(0.5))


@pytest.fixture
def mixture(song):
    """The samples of the song, read from 16 bits."""
    return (np.rint(music(0.5).astype(np.float64) * 2**15) / 2**15).astype(np.float32)
