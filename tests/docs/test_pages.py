"""Links lead somewhere, commands and Python on pages run, the site is made, notebooks run."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.contract.material import command as run_command
from tests.docs.pages import PAGES, ROOT, anchors, blocks, commands, links, put_songs, read

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.glob("songsplit/**/*.py")
    if re.search(r"(?m)^ *>>> ", path.read_text(encoding="utf-8"))
)
NOTEBOOKS = {
    path: json.loads(path.read_text("utf-8"))["cells"]
    for path in sorted(ROOT.glob("notebooks/*.ipynb"))
}
GUIDES = [page for page in PAGES if page.startswith("docs/guides/")]
# What a command looks like that is not run, and why. The first that fits holds.
NOT_RUN = {
    r"^songsplit app": "does not end; tests/web uses the page",
    r"^pip install|^python3? -m venv|^source ": "installs from the network; .ci/run does so",
    r"^(pytest|ruff|mypy|mkdocs|git)\b|\.ci/run|tests": "checks of the whole repository",
    r"musdb|runs/|^c=configs|train.py": "needs data sets or hours; .ci/run trains smoke",
    r"evaluate.py --(references (my|path)|compare)|songsplit export ": "needs results of a run",
    r"s3://|^ray |SLURM": "needs a cluster or a store; tests/catalogue has both",
    r"^tensorboard|^docker|^python (benchmarks|tools)/|jupyter": "takes long or does not end",
}
PROGRAMS = {
    "songsplit": f'"{sys.executable}" -m songsplit "$@"',
    "python": f'"{sys.executable}" "$@"',
    # Stand for any that send and play sound.
    "curl": "cat song.mp3",
    "radio": "cat song.mp3",
    "player": "cat > /dev/null",
}
# What pages leave to the reader.
NOISE = np.random.default_rng(0).normal(size=(2, 2, 3 * 8000))
GIVEN = {
    "references": {"vocals": NOISE[0], "accompaniment": NOISE[1]},
    "estimates": {"vocals": NOISE[0] + NOISE[1] / 10, "accompaniment": NOISE[1]},
    "systems": [{"vocals": NOISE[0], "accompaniment": NOISE[1] / 2}],
    "sample_rate": 8000,
}


def check_links(text: str, page: str) -> None:
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert ROOT in target.resolve().parents, link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.resolve().relative_to(ROOT).as_posix()), link


def run(command: list[str], **options: Any) -> None:
    options |= {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    check_links(read(page), page)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_saved_as_they_ran_without_errors(path):
    text = "\n".join("".join(c["source"]) for c in NOTEBOOKS[path] if c["cell_type"] == "markdown")
    check_links(text, path.relative_to(ROOT).as_posix())
    code = [cell for cell in NOTEBOOKS[path] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not re.search(
        r"/(home|root|work|Users)/\w", json.dumps([o.get("text") for o in outputs])
    )


# The others take minutes, and are run by .ci/run.
@pytest.mark.slow
@pytest.mark.parametrize("path", list(NOTEBOOKS)[:2], ids=lambda path: path.stem)
def test_notebooks_run(path):
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package, reason="needs the dev extra")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run(["jupyter", "execute", str(path)], cwd=ROOT, env=environment)


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert doctest.testmod(importlib.import_module(module)).failed == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_on_pages(page, tmp_path, monkeypatch):
    put_songs(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = dict(GIVEN)
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Make a folder with what pages speak of; guides keep theirs from top to bottom."""
    given = tmp_path_factory.mktemp("given")
    put_songs(given)
    for name in ("home/path/to/my-stems", "home/stems", "path/to/my-stems"):
        shutil.copytree(ROOT / "examples" / "stems", given / name)
    shutil.copy(ROOT / "songsplit" / "weights" / "open.safetensors", given / "my.safetensors")
    (given / "programs").mkdir()
    for name, call in PROGRAMS.items():
        (given / "programs" / name).write_text(f"#!/bin/sh\nexec {call}\n")
        (given / "programs" / name).chmod(0o755)
    for name in ("configs", "evaluate.py", "docs", "songsplit", "notebooks"):
        (given / name).symlink_to(ROOT / name)
    made = {}

    def folder(page):
        if page not in made or page not in GUIDES:
            made[page] = tmp_path_factory.mktemp("page") / "work"
            shutil.copytree(given, made[page], symlinks=True)
        return made[page]

    return folder


def cases():
    known = set()
    for page in [*GUIDES, *PAGES]:
        for number, command in enumerate(commands(page)):
            if command not in known:
                known.add(command)
                why = next((why for form, why in NOT_RUN.items() if re.search(form, command)), None)
                mark = pytest.mark.skip(reason=why) if why else pytest.mark.slow
                yield pytest.param(page, command, id=f"{page}-{number}", marks=[mark])


@pytest.mark.parametrize(("page", "command"), list(cases()))
def test_commands_on_pages(page, command, folders, monkeypatch):
    folder = folders(page)
    monkeypatch.chdir(folder)
    if command.startswith("songsplit ") and not set("|<>&;~$") & set(command):
        # As a program it would take seconds to import torch, each time.
        done = run_command(*shlex.split(command)[1:])
        assert done.code == 0, done
        return
    path = f"{folder / 'programs'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if "~" in command:
        environment["HOME"] = str(folder / "home")
    run(["bash", "-o", "pipefail", "-c", command], env=environment)


@pytest.mark.slow
def test_the_site_is_made_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="needs the docs extra")
    # mkdocs-material tells in red letters, each time, that it has a successor.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    run(build, cwd=ROOT, env=environment)
    for page in PAGES:
        if page.startswith("docs/"):
            assert (tmp_path / page.removeprefix("docs/")).with_suffix(".html").is_file()
    loading = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=.?(\w+:)?//")
    for path in tmp_path.rglob("*.html"):
        text = re.sub(r'<link rel="?canonical"?[^>]*>', "", path.read_text(encoding="utf-8"))
        assert not loading.search(text), path
    player = tmp_path / "listen"
    assert 'src="listen/index.html"' in (tmp_path / "index.html").read_text(encoding="utf-8")
    for stem in ("vocals", "instrumental"):
        assert (player / f"{stem}.mp3").is_file()
    for path in player.glob("*.js"):
        imported = re.findall(r'^import .* from "(.+)";$', path.read_text(encoding="utf-8"), re.M)
        assert all((player / name).is_file() for name in imported), path
