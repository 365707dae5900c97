"""What is to be said of a file or a song: the vocabulary of scanning and checking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """Something that was noticed about a file or a song.

    Attributes
    ----------
    path : Path
        File, or folder of a song.
    text : str
        What was noticed and, where something is wrong, what to do.
    severity : {"error", "warning", "info"}
        ``"error"`` if it keeps a song from being used.
    """

    path: Path
    text: str
    severity: Severity = "warning"
