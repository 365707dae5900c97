"""Links in pages, read as pages of the repository, lead somewhere."""

from __future__ import annotations

import json

import pytest

from tests.docs.markdown import PAGES, ROOT, anchors, read

import links  # isort: skip  # of docs/gen, where tests.docs.markdown looks

NOTEBOOKS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*.ipynb"))


def text(page):
    if not page.endswith(".ipynb"):
        return read(page)
    cells = json.loads(read(page))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS])
def test_links_lead_somewhere(page):
    wrong = []
    for target in links.links(text(page)):
        if links.is_elsewhere(target) or (target.startswith("#") and page in NOTEBOOKS):
            continue
        path, anchor = links.in_repository(target, page)
        if (
            not (ROOT / path).exists()
            or path.startswith("..")
            or (anchor and path.endswith(".md") and anchor.removeprefix("#") not in anchors(path))
        ):
            wrong.append(target)
    assert not wrong


def test_links_in_code_are_none():
    page = "[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```\n[`g`](h.md#i)"
    assert list(links.links(page)) == ["b.md", "h.md#i"]


def test_the_same_page_from_elsewhere():
    assert links.in_repository("../SECURITY.md#reporting", "docs/a.md") == (
        "SECURITY.md",
        "#reporting",
    )
    assert links.relative(links.on_site("SECURITY.md"), "guides/musicians.md") == (
        "../project/security.md"
    )
