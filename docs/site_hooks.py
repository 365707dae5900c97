"""Hooks of the site: additional pages and converted links (``hooks`` in ``mkdocs.yml``).

Pages link to files in the repository. On the site, links to its pages are converted, and links to
other files become plain text.

The home page plays the example song. It contains the player of ``songsplit app`` in a frame, with
stems that are made when the site is built.
"""

from __future__ import annotations

import posixpath
import re
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for builds without an installed songsplit
# Pages outside docs, with their paths on the site.
ELSEWHERE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "songsplit/weights/TERMS.md": "project/terms.md",
}
COMMANDS = "reference/commands.md"
PAGE = ROOT / "songsplit" / "web" / "page"
PLAYER = ["index.html", "style.css", "icon.svg", "manifest.webmanifest", "app.js", "player.js"]
PLAYER += ["song.js", "waveform.js", "vendor/signalsmith-stretch.mjs"]
_LISTEN = re.compile(r"## Listen\n\n(?:.+\n)+")  # with the paragraph that leads to the player
FRAME = '\n<iframe class="player" src="listen/index.html" title="Player" loading="lazy"></iframe>\n'
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add pages outside docs, the page of commands that typer writes, and the player."""
    for path, uri in ELSEWHERE.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    files.append(File.generated(config, COMMANDS, content=_commands()))
    player = {name: (PAGE / name).read_bytes() for name in PLAYER} | _example_stems()
    player["engine.js"] = (ROOT / "docs" / "site_player.js").read_bytes()
    for name, content in player.items():
        files.append(File.generated(config, f"listen/{name}", content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: Any) -> str:
    """Convert links between files of the repository to links between pages of the site."""
    uri = page.file.src_uri
    if uri == COMMANDS:
        return markdown
    sources = {place: path for path, place in ELSEWHERE.items()}
    folder = posixpath.dirname(sources.get(uri, f"docs/{uri}"))

    def on_site(match: re.Match[str]) -> str:
        text, target = match.groups()
        if "://" in target or target.startswith(("#", "mailto:")):
            return match[0]
        path, hash_sign, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        place = (
            "index.md" if path == "README.md" else ELSEWHERE.get(path, path.removeprefix("docs/"))
        )
        if files.get_file_from_path(place) is None:
            return str(text)
        return f"[{text}]({posixpath.relpath(place, posixpath.dirname(uri))}{hash_sign}{anchor})"

    if uri == "index.md":
        markdown, found = _LISTEN.subn(lambda match: match[0] + FRAME, markdown)
        if not found:
            raise PluginError("index.md lacks the heading that the player belongs under: Listen")
    return _LINK.sub(on_site, markdown)


def _commands() -> str:
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from songsplit.cli.app import app

    command = get_command(app)
    context = command.context_class(command, info_name="songsplit")
    return str(get_docs_for_click(obj=command, ctx=context, name="songsplit"))


@cache  # `mkdocs serve` makes the site again and again
def _example_stems() -> dict[str, bytes]:
    import songsplit

    stems = songsplit.separate(ROOT / "examples" / "lithium.ogg", device="cpu")
    with TemporaryDirectory() as folder:
        files = stems.save(folder, output=songsplit.OutputFormat("mp3", bitrate=128))
        return {f"{name}.mp3": path.read_bytes() for name, path in files.items()}
