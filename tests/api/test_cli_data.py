"""``songsplit data`` and ``songsplit export``."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from songsplit.cli import app
from songsplit.models.storage import load_weights
from tests.training.test_export import PROVENANCE, checkpoint

runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture
def songs(tmp_path):
    rng = np.random.default_rng(0)
    for stem in ("vocals", "instrumental"):
        path = tmp_path / "songs" / "[b]my song" / f"{stem}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.normal(size=(150_000, 2)), 22050)
    return tmp_path / "songs"


def test_good_data(songs):
    result = run("data", "check", songs)
    assert result.exit_code == 0, result.output
    for text in ("[b]my song", "vocals, instrumental", "0:06", "1 of 1 song can be used",
                 "0 errors, 0 warnings"):  # fmt: skip
        assert text in result.stdout


def test_bad_data(songs, tmp_path):
    (songs / "[b]my song" / "vocals.wav").write_bytes(b"nonsense")
    (songs / "alone").mkdir()
    (songs / "alone" / "vocals.wav").touch()
    report = tmp_path / "new" / "report.json"
    result = run("data", "check", songs, "--json", report)
    assert result.exit_code == 1
    assert "error [b]my song/vocals.wav: " in result.stdout
    assert "error alone: not used, vocals alone" in result.stdout
    assert "0 of 1 song can be used" in result.stdout
    assert json.loads(report.read_text())["totals"]["errors"] == 2


def test_warnings_are_no_failure(songs):
    folder = songs / "[b]my song"
    soundfile.write(folder / "instrumental.wav", np.zeros((150_000, 2)), 22050)
    result = run("data", "check", songs)
    assert result.exit_code == 0
    assert "warning [b]my song/instrumental.wav: silent" in result.stdout


def test_kinds(songs):
    result = run("data", "check", songs, "--kind", "vocals")
    assert result.exit_code == 0
    assert "2 of 2 songs can be used" in result.stdout
    wrong = run("data", "check", songs, "--kind", "voices")
    assert wrong.exit_code == 1
    assert "kind 'voices' is unknown" in wrong.stderr
    nothing = run("data", "check", songs / "nowhere")
    assert nothing.exit_code == 1
    assert nothing.stderr.startswith("songsplit: ")
    assert "nowhere" in nothing.stderr


def test_a_report_that_cannot_be_written(songs):
    result = run("data", "check", songs, "--json", songs)
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_export(tmp_path):
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"name": "from the card", "licence": "none", "who": "me"}))
    out = tmp_path / "my model.safetensors"
    last = checkpoint(tmp_path / "last.ckpt")
    result = run("export", last, out, "--card", card, "--licence", "CC0", "--name", "mine")
    assert result.exit_code == 0, result.output
    assert load_weights(out).card == {
        "name": "mine", "licence": "CC0", "who": "me", "steps": 1200, "provenance": PROVENANCE
    }  # fmt: skip
    assert " MB)" in result.stdout
    assert "SHA-256 " in result.stdout
    assert f"songsplit song.mp3 --model '{out}'" in result.stdout
    again = run("export", last, out)
    assert again.exit_code == 1
    assert "already there" in again.stderr
    assert run("export", last, out, "--overwrite").exit_code == 0


def test_export_errors_are_told(tmp_path):
    result = run("export", tmp_path / "gone.ckpt", tmp_path / "x.safetensors")
    assert result.exit_code == 1
    assert "no such checkpoint" in result.stderr
    assert "Traceback" not in result.output


def test_help_names_the_commands():
    shown = run("--help").stdout
    assert "export" in shown
    assert "data" in shown
    assert "--kind" in run("data", "check", "--help").stdout


def test_checking_imports_no_torch_and_help_nothing_slow(songs):
    code = (
        "import sys; from songsplit.cli import app\n"
        "assert 'numpy' not in sys.modules and 'rich.table' not in sys.modules\n"
        f"try: app(['data', 'check', {str(songs)!r}])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_export_needs_no_lightning():
    code = "import sys; sys.modules['pytorch_lightning'] = None; import songsplit.training.export"
    subprocess.run([sys.executable, "-c", code], check=True)
