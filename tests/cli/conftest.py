"""A song in a folder of its own, and the command in this process."""

from __future__ import annotations

from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from songsplit.cli import app

ROOT = Path(__file__).parents[2]


@pytest.fixture
def song(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "song.flac"
    noise = np.random.default_rng(0).normal(size=(22050, 2)) / 10
    soundfile.write(path, noise, 44100)
    tagged = mutagen.File(path)
    tagged["artist"], tagged["title"] = "AC/DC", "T.N.T."
    tagged.save()
    return path


def run(*arguments, code=0) -> Result:
    result = CliRunner().invoke(app, [*(str(a) for a in arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output or "--verbose" in arguments
    return result
