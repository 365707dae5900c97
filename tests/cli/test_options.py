"""Karaoke, remixes and other commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from songsplit.cli import app
from songsplit.cli.options import level, tempo
from songsplit.models.weights import load_weights
from tests.cli.conftest import ROOT, run
from tests.training.test_export import checkpoint


def test_names_do_not_steer_the_terminal(song):
    steering = song.with_name("\x1b]0;title\x07\nsong \u202egnos.flac")
    steering.write_bytes(song.read_bytes()[:2000])
    for arguments in ((steering, "-d", "cpu"), ("info", steering)):
        result = run(*arguments, code=1)
        assert r"\x1b]0;title\x07\nsong \u202egnos.flac: " in result.stderr
        assert not set(result.stderr) & set("\x1b\x07\u202e")


def test_levels_and_tempos():
    for text, value in {"-18dB": -18, "+3 DB": 3, "0": 0, ".5db": 0.5, "off": -np.inf}.items():
        assert level(text) == value
    assert tempo("80%") == pytest.approx(0.8)
    assert tempo(" 1.25") == 1.25


def test_completion(monkeypatch):
    monkeypatch.setenv("_SONGSPLIT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "songsplit word --format fl")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert CliRunner().invoke(app, [], prog_name="songsplit").stdout.split() == ["flac"]


def test_export(tmp_path):
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"name": "from the card", "who": "me"}))
    out, last = tmp_path / "my model.safetensors", checkpoint(tmp_path / "last.ckpt")
    result = run("export", last, out, "--card", card, "--licence", "CC0", "--name", "mine")
    own = {"name": "mine", "licence": "CC0", "who": "me"}
    assert load_weights(out).card.items() >= own.items()
    assert f"songsplit song.mp3 --model '{out}'" in result.stdout
    assert "already exists" in run("export", last, out, code=1).stderr
    run("export", last, out, "--overwrite")


def test_what_needs_no_torch_imports_none_and_help_nothing_slow(song):
    code = (
        "import sys; from songsplit.cli import app\n"
        "assert 'numpy' not in sys.modules and 'rich.table' not in sys.modules\n"
        "try: app(['karaoke', '--dry-run', 'song.flac'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)


def test_verbose(song):
    result = run(song, "missing.wav", "--verbose", "-d", "cpu", code=1)
    assert "model default, quality balanced, device cpu" in result.stderr
    assert "\nTraceback (most recent call last):\n" in result.stderr
    assert "AudioFileError" in result.stderr
    assert "1 done, 1 failed in " in result.stderr


def test_info(song):
    soundfile.write("silence.wav", np.zeros((100, 1)), 8000)
    run(song, "-d", "cpu", "-f", "m4a", "-b", "128")
    told = run("info", song, "silence.wav", "song/vocals.m4a").stdout
    assert "FLAC (16 bits), 44.1 kHz stereo, 0:0" in told
    assert "WAV (16 bits), 8 kHz mono, 0:00" in told
    assert re.search(r"  M4A \(AAC\), \d+ kbit/s, 44.1 kHz stereo, 0:0", told)
    assert told.count("peak") == 2
    assert "  artist: AC/DC\n" in told
    facts = json.loads(run("info", "silence.wav", "--json").stdout)
    assert facts["peak_db"] is facts["kilobits"] is None


@pytest.mark.slow
def test_tempo_and_key(song, monkeypatch):
    pytest.importorskip("librosa")
    # A scale of A major with its chord, two notes per second.
    seconds = np.arange(22050 // 2) / 22050
    decay = np.exp(-6 * seconds)
    steps = [0, 4, 7, 12, 0, 2, 4, 5, 7, 9, 11, 12] * 4
    notes = [np.sin(2 * np.pi * 220 * 2 ** (step / 12) * seconds) * decay for step in steps]
    soundfile.write("scale.wav", np.concatenate(notes) / 2, 22050)
    told = run("info", "scale.wav", "--music").stdout
    assert re.search(r"music: (60|120|12\d|11\d) beats per minute, A major \(estimates\)", told)
    monkeypatch.setitem(sys.modules, "librosa", None)
    assert "songsplit[plots]" in run("info", "scale.wav", "--music", code=1).stderr


def test_what_is_not_installed_is_missed_before_the_work(song, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("practice", song, "--tempo", "0.8", "--dry-run", code=1)
    assert result.stderr.count("songsplit[practice]") == 1
    assert "songsplit[plots]" in run(song, "--plot", "--dry-run", code=1).stderr
    run("practice", song, "--dry-run")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_on_a_terminal_bars_move_evenly_and_results_are_told_once(song):
    Path("second.flac").write_bytes(song.read_bytes())
    noise = np.random.default_rng(0).normal(size=(44100 * 20, 2)) / 10
    soundfile.write("song.flac", noise, 44100)
    deep = "o" * 100
    command = [sys.executable, "-m", "songsplit", "song.flac", "second.flac", "a song gone.flac"]
    code = f"import pty; pty.spawn({[*command, '-f', 'mp3', '-d', 'cpu', '-o', deep]!r})"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=env, check=False, text=True
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "\n", text).splitlines()
    for track in ("song", "second"):
        for stem in ("vocals", "instrumental"):
            assert lines.count(f"{deep}/{track}/{stem}.mp3") == 1
    assert "2 done, 1 failed in" in done.stdout
    assert re.search(r"[01] of 3 songs .* \d+:\d\d left", text)
    for name in ("of 3 songs", "song.flac"):
        bars = [line for line in lines if name in line and "%" in line]
        shares = [int(re.search(r"(\d+)%", bar)[1]) for bar in bars]
        assert shares == sorted(shares)
        assert len(set(shares)) > 5  # more than the number of blocks
        assert len({bar.index("%") for bar in bars}) == 1  # columns do not move
    assert re.search(r"song.flac .* [4-9]\d% writing, \d+:\d\d left", text)
