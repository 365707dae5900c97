"""Letting only one process at a time fill a folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from songsplit.errors import DataError

LOCK_NAME = "lock"
PATIENCE = 10.0
"""Seconds to wait for a process that may only be looking whether there is something to do."""


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Keep other processes from filling a folder.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    DataError
        If another process holds the folder, or it cannot be written to.
    """
    # SQLite locks a file by the means of the operating system, whichever that is, and the
    # system releases it when the process ends, however it ends. The file stays empty.
    try:
        connection = sqlite3.connect(folder / LOCK_NAME, timeout=PATIENCE, isolation_level=None)
        with closing(connection):
            connection.execute("BEGIN EXCLUSIVE")
            yield
    except sqlite3.OperationalError as error:
        # The low byte is the kind of error, the rest says more of it.
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise DataError(
                f"{folder} is being filled by another process: wait for its end, or choose "
                "another cache folder"
            ) from error
        raise DataError(
            f"{folder} cannot be filled ({error}): choose a folder that may be written to"
        ) from error
