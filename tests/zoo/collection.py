"""All files of the zoo."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import (
    bombs,
    containers,
    damage,
    lying,
    names,
    not_audio,
    samples,
    streams,
    structure,
)
from .entries import Entry, Refused

THEMES = (containers, samples, structure, streams, lying, damage, bombs, not_audio, names)
ENTRIES: list[Entry] = [entry for theme in THEMES for entry in theme.ENTRIES]


def write_all(folder: Path) -> None:
    """Write all files into a folder, which is made, and ``index.json`` about them beside it.

    Parameters
    ----------
    folder : Path
        The files go into a folder ``files`` in it, so that none can be in the way of the
        index.
    """
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    index = []
    for entry in ENTRIES:
        # As bytes: not all names are text.
        Path(os.fsdecode(os.fsencode(files / entry.name))).write_bytes(entry.make())
        index.append({"name": entry.name, **_told(entry)})
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _told(entry: Entry) -> dict[str, Any]:
    if isinstance(entry.expected, Refused):
        return {"expected": "refused", **asdict(entry.expected)}
    told = asdict(entry.expected)
    # Too much for an index; that they are known is said by their tolerance.
    if told.pop("samples") is None:
        del told["tolerance"]
    return {"expected": "stems", **told}
