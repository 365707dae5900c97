"""Every command on the pages is run here, or stands below with the reason why it is not."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from songsplit.cli import app
from tests.docs.markdown import PAGES, ROOT, commands
from tests.test_documentation import put_songs

# What a command looks like, and why it is not run. The first that fits holds.
NOT_RUN = {
    r"^pip install|^python -m venv|^source ": "installs from the network; .ci/run does so",
    r"^(pytest|ruff)\b": "checks of the whole repository; .ci/run does them",
    r"path/to/musdb|--musdb musdb18|musdb18hq": "needs MUSDB18, GPUs, or both",
    r"^python evaluate.py --references (my|path)": "needs songs; one on examples/stems is run",
    r"^tensorboard": "a service that does not end",
    r"^c=configs|train.py fit --config \$c|runs/experiments": "experiments take hours",
    r"^python benchmarks/|^python -c .from benchmarks": "takes minutes, and measures nothing here",
    r"^python train.py fit --config configs/smoke": ".ci/run trains smoke, as the README shows it",
    r"^songsplit export ": "needs a checkpoint of a training run; .ci/run exports one",
}
# What it takes to run the rest: files that pages speak of, beside those of put_songs.
STEMS = ("path/to/my-stems", "stems")
PROGRAMS = {
    "songsplit": f'"{sys.executable}" -m songsplit "$@"',
    "python": f'"{sys.executable}" "$@"',
    # Stand for any that send and play sound.
    "curl": "cat song.mp3",
    "radio": "cat song.mp3",
    "player": "cat > /dev/null",
}


def reason(command):
    return next((why for form, why in NOT_RUN.items() if re.search(form, command)), None)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    put_songs(folder)
    for name in STEMS:
        shutil.copytree(ROOT / "examples" / "stems", folder / "home" / name)
        if name != "stems":  # in pages, of the home folder; here a folder of results
            shutil.copytree(ROOT / "examples" / "stems", folder / name)
    weights = ROOT / "songsplit" / "weights" / "default-fast.safetensors"
    for name in ("my.safetensors", "smoke.safetensors"):
        shutil.copy(weights, folder / name)
    programs = folder / "programs"
    programs.mkdir()
    for name, call in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\nexec {call}\n")
        (programs / name).chmod(0o755)
    for name in ("configs", "evaluate.py", "train.py", "docs", "songsplit", "notebooks"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(autouse=True)
def one_thread():
    # Songs of seconds need no more, and on busy machines more threads wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# Followed to the letter, from top to bottom in one folder; elsewhere commands are examples, each
# by itself.
GUIDES = tuple(page for page in PAGES if page.startswith("docs/guides/"))


def cases():
    known = set()
    for page in [*GUIDES, *PAGES]:
        for number, command in enumerate(commands(page)):
            if command in known:
                continue
            known.add(command)
            why = reason(command)
            marks = [pytest.mark.skip(reason=why)] if why else [pytest.mark.slow]
            yield pytest.param(page, command, id=f"{page}-{number}", marks=marks)


@pytest.fixture(scope="module")
def folders(given, tmp_path_factory):
    """A folder for each guide."""
    made = {}

    def folder(page):
        if page not in made or page not in GUIDES:
            made[page] = tmp_path_factory.mktemp("page") / "work"
            shutil.copytree(given, made[page], symlinks=True)
        return made[page]

    return folder


@pytest.mark.parametrize(("page", "command"), list(cases()))
def test_command(page, command, folders, monkeypatch):
    folder = folders(page)
    monkeypatch.chdir(folder)
    if command.startswith("songsplit ") and not set("|<>&;~$") & set(command):
        # As a program it would take seconds to import torch, each time.
        result = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert "being there already" not in result.output
        return
    path = f"{folder / 'programs'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if "~" in command:
        environment["HOME"] = str(folder / "home")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reasons_are_needed():
    reasons = {reason(command) for page in PAGES for command in commands(page)}
    assert set(NOT_RUN.values()) <= reasons


def test_comments_and_continuations(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text('```sh\na b   # c\n# d\ne "#" \\\n    f\ng "h\ni"\n```\n')
    monkeypatch.setattr("tests.docs.markdown.ROOT", Path(tmp_path))
    assert list(commands("page.md")) == ["a b", 'e "#" f', 'g "h\ni"']
