"""What the site has that MkDocs does not make by itself (``hooks`` in ``mkdocs.yml``).

Pages that the program writes about itself are written anew, pages and files that lie outside
``docs`` are added where a page links to them, and notebooks become pages with what they gave
when they were last run.
"""

from __future__ import annotations

import sys
from typing import Any

import links
import notebook_pages
import pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_written_from: dict[str, str] = {}  # page of the site: page of the repository


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let API pages be found without an installation."""
    if str(links.ROOT) not in sys.path:
        sys.path.insert(0, str(links.ROOT))
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what the repository has elsewhere, and what the program says about itself."""
    _written_from.clear()
    for path, make in pages.PAGES.items():
        uri = links.on_site(path)
        if (old := files.get_file_from_path(uri)) is not None:
            files.remove(old)
        files.append(File.generated(config, uri, content=make()))
    for file in files.documentation_pages():
        _written_from[file.src_uri] = links.DOCS + file.src_uri
    for path, uri in links.PAGES.items():
        if uri not in _written_from:
            text = (links.ROOT / path).read_text(encoding="utf-8")
            files.append(File.generated(config, uri, content=text))
            _written_from[uri] = path
    for uri, page in list(_written_from.items()):
        file = files.get_file_from_path(uri)
        assert file is not None
        for target in links.links(file.content_string):
            if not links.is_elsewhere(target):
                _add(files, config, links.in_repository(target, page)[0])
    return files


def _add(files: Files, config: MkDocsConfig, path: str) -> None:
    """Add a file that a page links to, if the site does not have it yet."""
    uri, source = links.on_site(path), links.ROOT / path
    if files.get_file_from_path(uri) is not None or not source.is_file():
        return  # MkDocs itself complains of links to nothing
    if path.endswith(".ipynb"):
        text, pictures = notebook_pages.as_markdown(source)
        for name, data in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=data))
        files.append(File.generated(config, uri, content=text))
        _written_from[uri] = path
        for target in links.links(text):
            if not links.is_elsewhere(target) and target not in pictures:
                _add(files, config, links.in_repository(target, path)[0])
    else:
        files.append(File.generated(config, uri, abs_src_path=str(source)))


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: Any) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    uri = page.file.src_uri
    written_from = _written_from[uri]

    def on_site(target: str) -> str:
        if links.is_elsewhere(target) or target.startswith("#"):
            return target
        path, anchor = links.in_repository(target, written_from)
        place = links.on_site(path)
        if files.get_file_from_path(place) is None:
            return target
        return links.relative(place, uri) + anchor

    return links.map_links(markdown, on_site)
