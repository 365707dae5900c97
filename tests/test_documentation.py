"""What docstrings and pages show in Python works as shown."""

from __future__ import annotations

import doctest
import importlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.docs.markdown import PAGES, ROOT, blocks

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.glob("songsplit/**/*.py")
    if re.search(r"(?m)^ *>>> ", path.read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module, monkeypatch):
    monkeypatch.chdir(ROOT)
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0


def test_the_public_modules_have_examples():
    assert {"songsplit", "songsplit.separator", "songsplit.stems", "songsplit.mixes"} <= set(
        MODULES
    )


# What pages leave to the reader.
NOISE = np.random.default_rng(0).normal(size=(2, 2, 3 * 8000))
GIVEN = {
    "docs/benchmark.md": {
        "references": {"vocals": NOISE[0], "accompaniment": NOISE[1]},
        "estimates": {"vocals": NOISE[0] + NOISE[1] / 10, "accompaniment": NOISE[1]},
        "systems": [{"vocals": NOISE[0], "accompaniment": NOISE[1] / 2}],
        "sample_rate": 8000,
    }
}


def put_songs(folder: Path) -> None:
    """Put what the pages speak of into a folder: a song of three seconds, folders of songs."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    song, rate = soundfile.read(
        ROOT / "examples" / "lithium.ogg", frames=3 * 44100, start=12 * 44100
    )
    soundfile.write(folder / "song.mp3", song, rate)
    for name in ("Music/one.mp3", "Music/live two.mp3", "CD1/three.mp3", "CD2/four.mp3"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, song[: rate // 2], rate)
    soundfile.write(folder / "Music" / "a live one.flac", song[: rate // 2], rate)
    (folder / "setlist.m3u").write_text("Music/one.mp3\nsong.mp3\n")


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_on_pages(page, tmp_path, monkeypatch):
    put_songs(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {**GIVEN.get(page, {})}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
    if page in ("README.md", "docs/index.md"):
        stems = (tmp_path / "lithium-stems").iterdir()
        assert {path.name for path in stems} == {"vocals.wav", "instrumental.wav"}
