"""Folders for the results of a batch."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class Folders:
    """Folders that a batch makes; leaving the ``with`` statement removes those without files.

    Songs that are in work at once share folders: neither knows whether the other still needs
    one, nor who made it. So one place makes them, before a song begins, and removes those that
    nothing came into, after all songs.
    """

    def __init__(self) -> None:
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._made:
            # What has files in it stays.
            with suppress(OSError):
                self._made.pop().rmdir()

    def make(self, folders: Iterable[Path]) -> None:
        """Make folders that are missing, and what they lie in.

        Where that is not possible, nothing happens: who writes there says it better.
        """
        for folder in folders:
            with suppress(OSError, ValueError):
                for place in (*reversed(folder.parents), folder):
                    if not place.exists():
                        place.mkdir()
                        self._made.append(place)
