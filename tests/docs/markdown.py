"""What is in the pages of the documentation."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "gen"))

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*.md"),
        *ROOT.glob("songsplit/**/*.md"),
    )
)

_FENCED = re.compile(r"(?ms)^( *)```(\w+)\n(.*?)^\1```")
_HEADING = re.compile(r"(?m)^#{1,6} +(.+?)\s*$")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The code of one language on a page, block by block."""
    return [
        re.sub(rf"(?m)^{indent}", "", code)
        for indent, found, code in _FENCED.findall(read(page))
        if found == language
    ]


def commands(page: str) -> Iterator[str]:
    """Each command on a page, on one line unless a string in it has more; without comments."""
    for block in blocks(page, "sh"):
        lines = iter(block.splitlines())
        for line in lines:
            while line.endswith("\\"):
                line = line[:-1] + next(lines).strip()
            while not _complete(line):
                line += "\n" + next(lines)
            line = re.sub(r"(^|\s+)#.*$", "", line) if "\n" not in line else line
            if line.strip():
                yield line.strip()


def anchors(page: str) -> set[str]:
    """What links can lead to on a page, as repository pages name its headings."""
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", read(page))
    found: set[str] = set()
    for heading in _HEADING.findall(text):
        plain = re.sub(r"\[(.*?)\]\(.*?\)|`|\*", lambda m: m[1] or "", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        while (unique := name if number == 1 else f"{name}-{number - 1}") in found:
            number += 1
        found.add(unique)
    return found


def _complete(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True
