"""Pages and pictures that the program writes are those of the program as it is."""

from __future__ import annotations

import pytest

from tests.docs.markdown import read

import pages  # isort: skip  # of docs/gen, where tests.docs.markdown looks


@pytest.mark.parametrize("page", [*pages.PAGES, *pages.PICTURES])
def test_is_up_to_date(page):
    make = {**pages.PAGES, **pages.PICTURES}[page]
    assert read(page) == make(), "run: python docs/gen/pages.py"


def test_all_options_are_there():
    page = read("docs/reference/commands.md")
    for option in ("--quality", "--skip-existing", "--tempo", "--sharpness", "--kind"):
        assert f"`{option}`" in page
    assert "## songsplit data check" in page
