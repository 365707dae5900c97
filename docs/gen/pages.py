"""Pages, and parts of pages, that the program writes about itself.

``python docs/gen/pages.py`` writes them anew. A test tells when one is out of date, and the site
always has the newest.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]  # as a program, as a hook and from tests

import commands  # noqa: E402
import diagram  # noqa: E402
import notebook_pages  # noqa: E402
import tables  # noqa: E402

_PART = re.compile(r"(<!-- made by docs/gen/pages.py: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _notebooks() -> str:
    found = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return "\n".join(
        f"- [{notebook_pages.title(path)}](../notebooks/{path.name}): {notebook_pages.lead(path)}"
        for path in found
    )


_PARTS: dict[str, Callable[[], str]] = {
    "outputs": tables.outputs,
    "extensions": tables.extensions,
    "tags": tables.tags,
    "notebooks": _notebooks,
}


def _with_parts(path: str) -> str:
    """Return a page with the parts between marks written anew."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return _PART.sub(lambda m: f"{m[1]}\n{_PARTS[m[2]]()}\n\n{m[3]}", text)


PAGES: dict[str, Callable[[], str]] = {
    "docs/formats.md": lambda: _with_parts("docs/formats.md"),
    "docs/notebooks.md": lambda: _with_parts("docs/notebooks.md"),
    "docs/reference/commands.md": commands.page,
}
PICTURES: dict[str, Callable[[], str]] = {"docs/images/data-flow.svg": diagram.draw}


def main() -> None:
    """Write all of them."""
    for path, make in {**PAGES, **PICTURES}.items():
        (ROOT / path).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
