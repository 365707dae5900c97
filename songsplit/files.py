"""Writing small files so that they are there in full or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from songsplit.errors import OutputError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file.

    Parameters
    ----------
    path : Path
        The file, in folders that are made where they are missing.
    content : bytes

    Raises
    ------
    OutputError
        If it cannot be written. An older file of that name is then unchanged.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=".", suffix=".tmp", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Temporary files are private; results are to be read by whoever may read the folder.
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}): choose another output folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8.

    Parameters
    ----------
    path : Path
        The file, in folders that are made where they are missing.
    text : str
        Names of files may hold characters that UTF-8 lacks: they become escapes, which in
        JSON stand for the same characters.

    Raises
    ------
    OutputError
        If it cannot be written. An older file of that name is then unchanged.
    """
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file.

    Parameters
    ----------
    path : Path
        The file, in folders that are made where they are missing.
    content : mapping
        What to write.

    Raises
    ------
    OutputError
        If it cannot be written. An older file of that name is then unchanged.
    """
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
