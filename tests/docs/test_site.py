"""The site is made without a warning, and can be read without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.docs.markdown import PAGES, ROOT

for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
    pytest.importorskip(package, reason="needs the docs extra")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # mkdocs-material tells in red letters, each time, that it has a successor.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING" not in made.stderr
    return folder


def test_every_page_is_there(site):
    for page in PAGES:
        if page.startswith("docs/"):
            assert (site / page.removeprefix("docs/")).with_suffix(".html").is_file()
    for page in ("changelog", "security", "contributing", "terms"):
        assert (site / "project" / f"{page}.html").is_file()
    for notebook in ROOT.glob("notebooks/*.ipynb"):
        assert (site / "notebooks" / f"{notebook.stem}.html").is_file()


def test_nothing_is_loaded_from_elsewhere(site):
    loading = re.compile(
        r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(\w+:)?//"
    )
    for page in site.rglob("*.html"):
        # What a page says of itself in links is not loaded.
        text = re.sub(r'<link rel="?canonical"?[^>]*>', "", page.read_text(encoding="utf-8"))
        assert not loading.search(text), page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_the_reference_has_signatures_and_descriptions(site):
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("separate", "Separator.stream", "Stems.karaoke", "Mix", "OutputFormat", "Limits"):
        assert f'id="songsplit.{name}"' in page
    assert "which add up to the mixture" in page
    assert ":class:" not in page
    assert ":meth:" not in page
