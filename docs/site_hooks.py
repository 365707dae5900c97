"""Hooks of the site: additional pages and converted links (``hooks`` in ``mkdocs.yml``).

Pages link to files in the repository. On the site, links to its pages are converted, and links to
other files become plain text.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
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
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add pages outside docs, and the page of commands that typer writes."""
    for path, uri in ELSEWHERE.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    files.append(File.generated(config, COMMANDS, content=_commands()))
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

    return _LINK.sub(on_site, markdown)


def _commands() -> str:
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from songsplit.cli.app import app

    command = get_command(app)
    context = command.context_class(command, info_name="songsplit")
    return str(get_docs_for_click(obj=command, ctx=context, name="songsplit"))
