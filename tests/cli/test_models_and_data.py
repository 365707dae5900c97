"""``songsplit data`` and ``songsplit export``."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from songsplit.models.weights import load_weights
from tests.cli.conftest import run
from tests.training.test_export import PROVENANCE, checkpoint


@pytest.fixture
def songs(tmp_path):
    rng = np.random.default_rng(0)
    for stem in ("vocals", "instrumental"):
        path = tmp_path / "songs" / "[b]my song" / f"{stem}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.normal(size=(150_000, 2)), 22050)
    return tmp_path / "songs"


def test_what_is_in_a_folder_of_data(songs):
    result = run("data", "check", songs)
    assert "[b]my song" in result.stdout
    nothing = run("data", "check", songs / "nowhere", code=1)
    assert nothing.stderr.startswith("songsplit: ")
    assert "nowhere" in nothing.stderr


def test_export(tmp_path):
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"name": "from the card", "licence": "none", "who": "me"}))
    out = tmp_path / "my model.safetensors"
    last = checkpoint(tmp_path / "last.ckpt")
    result = run("export", last, out, "--card", card, "--licence", "CC0", "--name", "mine")
    assert load_weights(out).card == {
        "name": "mine", "licence": "CC0", "who": "me", "steps": 1200, "provenance": PROVENANCE
    }  # fmt: skip
    assert " MB)" in result.stdout
    assert "SHA-256 " in result.stdout
    assert f"songsplit song.mp3 --model '{out}'" in result.stdout
    assert "already there" in run("export", last, out, code=1).stderr
    run("export", last, out, "--overwrite")


def test_export_errors_are_told(tmp_path):
    result = run("export", tmp_path / "gone.ckpt", tmp_path / "x.safetensors", code=1)
    assert "no such checkpoint" in result.stderr


@pytest.mark.parametrize("command", ["data check", "karaoke --dry-run"])
def test_what_needs_no_torch_imports_none_and_help_nothing_slow(songs, command):
    code = (
        "import sys; from songsplit.cli import app\n"
        "assert 'numpy' not in sys.modules and 'rich.table' not in sys.modules\n"
        f"try: app([*{command.split()!r}, {str(songs)!r}])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
