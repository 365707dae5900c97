"""No word of the documentation, of docstrings or of comments is a known misspelling."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.docs.markdown import PAGES, ROOT

pytest.importorskip("codespell_lib", reason="needs the docs extra")

_CODE = ("songsplit", "docs/gen", "configs", "benchmarks", "train.py", "evaluate.py", "mkdocs.yml")


def test_spelling():
    checked = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "-I", "tests/docs/words.txt", *_CODE, *PAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
