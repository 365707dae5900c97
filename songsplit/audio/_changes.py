"""Files that change while they are read: what comes of them is neither old nor new."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from songsplit.errors import AudioFileError


def watch(source: object, name: str) -> Callable[[], None]:
    """Return what raises an AudioFileError if a file has changed since now.

    Parameters
    ----------
    source : object
        Only files named by a path are watched.
    name : str
        The file's name for messages.
    """
    if not isinstance(source, str | os.PathLike):
        return lambda: None
    before = _state(source)

    def check() -> None:
        now = _state(source)
        # Removed: what was opened can be read to its end all the same.
        if now is not None and now != before:
            raise AudioFileError(
                f"{name}: the file changed while it was being read; wait until whatever writes "
                "it is done, and try again"
            )

    return check


def _state(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns
