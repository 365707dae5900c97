"""Links in Markdown pages: where they are, and what they stand for on the site.

Pages are written to be read in the repository: they link to files anywhere in it. The site has
only what lies in ``docs``, so that pages and files that are linked from there are added to it.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = "docs/"

# Pages of the repository that lie elsewhere, with their places on the site.
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "songsplit/weights/TERMS.md": "project/terms.md",
    "examples/README.md": "project/example-song.md",
    "README.md": "index.md",
}

_FENCE = re.compile(r" *(```|~~~)")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_CODE = re.compile(r"(`+)[^`]+\1")
_ELSEWHERE = ("http:", "https:", "mailto:", "data:")


def map_links(markdown: str, change: Callable[[str], str]) -> str:
    """Return a page with each of its links changed; code is left as it is.

    Parameters
    ----------
    markdown : str
        Text of the page.
    change : callable
        Gets what a link leads to and returns what it is to lead to.

    Returns
    -------
    str
        The page.
    """
    lines, fenced = [], False
    for line in markdown.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            # Code between backticks holds no links, but may be the text of one.
            code = [span.span() for span in _CODE.finditer(line)]

            def changed(match: re.Match[str], code: list[tuple[int, int]] = code) -> str:
                if any(start < match.start() < end for start, end in code):
                    return match[0]
                return match[1] + change(match[2]) + match[3]

            line = _LINK.sub(changed, line)
        lines.append(line)
    return "\n".join(lines)


def links(markdown: str) -> Iterator[str]:
    """List what the links of a page lead to."""
    found: list[str] = []

    def note(target: str) -> str:
        found.append(target)
        return target

    map_links(markdown, note)
    yield from found


def is_elsewhere(target: str) -> bool:
    """Tell whether a link leaves the repository."""
    return target.startswith(_ELSEWHERE)


def in_repository(target: str, page: str) -> tuple[str, str]:
    """Resolve a link.

    Parameters
    ----------
    target : str
        What the link says.
    page : str
        The page that it is on, as a path in the repository.

    Returns
    -------
    path : str
        Of the file in the repository, the page itself for an anchor alone.
    anchor : str
        With its ``#``, or empty.
    """
    path, hash_, anchor = target.partition("#")
    if not path:
        return page, hash_ + anchor
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)), hash_ + anchor


def on_site(path: str) -> str:
    """Return where a file of the repository is on the site."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    if path.endswith(".ipynb"):
        return f"notebooks/{posixpath.basename(path).removesuffix('.ipynb')}.md"
    return f"files/{path}"


def relative(target: str, page: str) -> str:
    """Return the way from one page of the site to another."""
    return Path(os.path.relpath(target, posixpath.dirname(page) or ".")).as_posix()
