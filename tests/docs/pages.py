"""What is on the pages of the documentation, and the files that they speak of."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import soundfile

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "songsplit/**/*.md")
    for path in ROOT.glob(pattern)
)

_FENCED = re.compile(r"(?ms)^( *)```(\w*)\n(.*?)^\1```")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


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
    """Each command on a page, without comments, on one line unless a string in it has more."""
    for block in blocks(page, "sh"):
        lines = iter(block.replace("\\\n", " ").splitlines())
        for line in lines:
            while True:
                try:
                    shlex.split(line, comments=True)
                    break
                except ValueError:
                    line += "\n" + next(lines)
            if "\n" not in line:
                line = re.sub(r"(^|\s+)#.*$", "", line)
            if line.strip():
                yield re.sub(r" +", " ", line.strip())


def links(text: str) -> list[str]:
    """What links lead to, without those to other sites and those in code."""
    text = re.sub(r"(?<!\[)(`+)[^`]+\1", "", _FENCED.sub("", text))
    return [link for link in _LINK.findall(text) if not re.match(r"(https?|mailto|data):", link)]


def anchors(page: str) -> set[str]:
    """What links can lead to on a page, as repositories name its headings."""
    headings = re.findall(r"(?m)^#{1,6} +(.+?)\s*$", _FENCED.sub("", read(page)))
    plain = (re.sub(r"\[(.*?)\]\(.*?\)|`|\*", lambda m: m[1] or "", text) for text in headings)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in plain}


def put_songs(folder: Path) -> None:
    """Put what the pages speak of into a folder: a song of three seconds, folders of songs."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    song, rate = soundfile.read(ROOT / "examples" / "lithium.ogg", frames=132300, start=529200)
    soundfile.write(folder / "song.mp3", song, rate)
    for name in ("Music/one.mp3", "Music/a live two.flac", "CD1/three.mp3", "CD2/four.mp3"):
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, song[: rate // 2], rate)
    (folder / "setlist.m3u").write_text("Music/one.mp3\nsong.mp3\n")
