"""Notebooks as pages, with the outputs that are stored in them; nothing is run."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

_PLAYER = re.compile(r"<audio.*?</audio>", re.DOTALL)


def as_markdown(path: Path) -> tuple[str, dict[str, bytes]]:
    """Write a notebook as Markdown.

    Parameters
    ----------
    path : Path
        The ``.ipynb`` file.

    Returns
    -------
    markdown : str
    pictures : dict of str to bytes
        The files that it shows, which belong beside it.
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source.strip():
            parts.append(_fenced(source, "python"))
            for output in cell.get("outputs", []):
                parts.append(_output(output, path.stem, pictures))
    return "\n\n".join(part for part in parts if part) + "\n", pictures


def title(path: Path) -> str:
    """Return the heading of a notebook: its first line."""
    return _first_cell(path)[0].lstrip("# ")


def lead(path: Path) -> str:
    """Return the first sentence of a notebook below its heading, without links."""
    text = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", " ".join(_first_cell(path)[1:2]))
    return re.split(r"(?<=[.:]) ", text, maxsplit=1)[0].rstrip(".:")


def _first_cell(path: Path) -> list[str]:
    """Return the paragraphs of the first cell, each on one line."""
    cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    return [" ".join(part.split()) for part in "".join(cell["source"]).split("\n\n")]


def _output(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> str:
    if output["output_type"] == "stream":
        return _fenced("".join(output["text"]), "text")
    if output["output_type"] == "error":
        return _fenced(f"{output['ename']}: {output['evalue']}", "text")
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{stem}-{len(pictures) + 1}.png"
        pictures[name] = base64.b64decode("".join(data["image/png"]))
        return f"![What this cell draws]({name})"
    html = "".join(data.get("text/html", ""))
    if players := _PLAYER.findall(html):
        return "\n\n".join(re.sub(r"\s*\n\s*", " ", player) for player in players)
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    return _fenced("".join(data["text/plain"]), "text") if "text/plain" in data else ""


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
