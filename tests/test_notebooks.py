"""Every notebook runs from top to bottom, and is saved with its pictures and sounds."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the dev extra")
pytest.importorskip("nbclient", reason="needs the dev extra")
pytest.importorskip("PIL", reason="needs the dev extra")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 1_500_000  # bytes

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def run() -> ModuleType:
    """The program that executes notebooks, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_there_are_five():
    assert [path.name[:3] for path in NOTEBOOKS] == ["01-", "02-", "03-", "04-", "05-"]


@each_notebook
def test_is_saved_as_it_was_executed_in_order(path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each_notebook
def test_is_saved_with_pictures_and_players(path, run):
    saved = [output.get("data", {}) for output in run.outputs(read(path))]
    assert sum("image/png" in data for data in saved) >= 2
    assert any("<audio controls" in data.get("text/html", "") for data in saved)


@each_notebook
def test_is_saved_without_warnings_and_without_paths_of_a_machine(path, run):
    assert run.faults(read(path)) == []


@each_notebook
def test_is_small(path):
    assert path.stat().st_size < LARGEST


@each_notebook
def test_links_lead_somewhere(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert links
    assert not [link for link in links if "://" not in link and not (path.parent / link).is_file()]


def test_what_must_not_be_saved_is_found(run):
    def notebook(**output: Any) -> Any:
        cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output(**output)])
        return nbformat.v4.new_notebook(cells=[cell])

    def printed(text: str) -> Any:
        return notebook(output_type="stream", name="stdout", text=text)

    sound = {"text/html": '<audio src="data:audio/mpeg;base64,AA/bb/cc//home/dd"></audio>'}
    assert run.faults(printed("stored in runs/benchmark/fast")) == []
    assert run.faults(printed("see https://example.org/a/b")) == []
    assert run.faults(notebook(output_type="display_data", data=sound)) == []
    assert run.faults(printed("stored in /home/somebody/runs"))
    assert run.faults(printed("DeprecationWarning: old"))
    assert run.faults(notebook(output_type="stream", name="stderr", text="hm"))
    assert run.faults(notebook(output_type="error", ename="ValueError", evalue="", traceback=[]))


@pytest.mark.slow
@each_notebook
def test_runs(path, run):
    assert run.faults(run.execute(path)) == []
