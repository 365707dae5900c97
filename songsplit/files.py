"""Writing files so that they are there in full, and together, or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from songsplit.errors import OutputError

TEMPORARY_PREFIX = ".songsplit-"
_STALE_SECONDS = 24 * 3600
_TRIES = 5


class WholeFiles:
    """Files that take their places together when a ``with`` block ends well.

    They grow under hidden temporary names in their final folders, which are made where they
    are missing. If the block raises, or a file cannot be placed, temporary files and new folders
    are removed and older files of the same names stay as they were.
    """

    def __init__(self) -> None:
        self._handles: dict[Path, int | None] = {}
        self._targets: dict[Path, Path] = {}
        self._made_folders: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def temporary(self, path: Path) -> Path:
        """Make an empty temporary file beside `path`; it is removed at the end unless placed."""
        with output_errors(path):
            for attempt in range(_TRIES):
                temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
                try:
                    self._make_folder(path.parent)
                    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
                except FileNotFoundError:
                    # Another writer made the folder, gave up, and removed it just now.
                    if attempt == _TRIES - 1:
                        raise
                    continue
                self._handles[temporary] = handle
                if sys.platform == "win32":  # open files cannot be renamed there
                    os.close(handle)
                    self._handles[temporary] = None
                    return temporary
                # Whoever clears stale files may have come before the lock.
                if _lock(handle) and temporary.exists():
                    return temporary
        raise OutputError(f"{path}: cannot be written; try again")

    def place(self, temporary: Path, path: Path) -> None:
        """Let a temporary file become `path` at the end."""
        self._targets[temporary] = path

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        placed = False
        try:
            if error is None:
                self._place_all()
                placed = True
        finally:
            for temporary, handle in self._handles.items():
                if handle is not None:
                    os.close(handle)
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
            if not placed:
                for folder in reversed(self._made_folders):
                    with contextlib.suppress(OSError):
                        folder.rmdir()

    def _place_all(self) -> None:
        # Older files are kept aside until all new ones are in their places.
        aside: dict[Path, Path] = {}
        placed: dict[Path, Path] = {}
        try:
            for temporary, path in self._targets.items():
                with output_errors(path):
                    with temporary.open("rb+") as file:
                        os.fsync(file.fileno())
                    if path.is_file():
                        temporary.chmod(path.stat().st_mode & 0o777)
                        aside[path] = self.temporary(path)
                        path.replace(aside[path])
                    placed[path] = temporary
                    temporary.replace(path)
        except BaseException:
            for path, temporary in placed.items():
                if not temporary.exists():
                    path.unlink(missing_ok=True)
            for path, old in aside.items():
                if not path.exists():
                    old.replace(path)
            raise

    def _make_folder(self, folder: Path) -> None:
        missing: list[Path] = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            # Another process may make it first; then it is not ours to remove.
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                self._made_folders.append(folder)


def clear_stale_parts(folder: Path) -> None:
    """Remove temporary files in a folder that nobody writes any more.

    A file is in use while its writer holds a lock on it. Where the file system has no locks, or on
    Windows, a file is stale a day after it was last written.
    """
    with contextlib.suppress(OSError):
        for part in folder.glob(f"{TEMPORARY_PREFIX}*"):
            with contextlib.suppress(OSError):
                if _is_stale(part):
                    part.unlink()


def _is_stale(part: Path) -> bool:
    if time.time() - part.stat().st_mtime > _STALE_SECONDS:
        return True
    if sys.platform == "win32" or not part.is_file():
        return False
    handle = os.open(part, os.O_RDWR)
    try:
        # The lock ends with the handle; nobody waits for it (see WholeFiles.temporary).
        return _lock(handle, unknown=False)
    finally:
        os.close(handle)


def _lock(handle: int, *, unknown: bool = True) -> bool:
    """Lock an open file and say whether that worked; `unknown` where files have no locks."""
    if sys.platform == "win32":
        return unknown
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unknown
    return True


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors into an OutputError that names the file and the remedy."""
    try:
        yield
    except PermissionError as error:
        raise OutputError(
            f"{path}: no permission to write there; choose another output folder"
        ) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(
            f"{path}: a file is in the way where a folder is needed; choose another output folder"
        ) from error
    except OSError as error:
        remedy = "check the name and the disk"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "free some space or choose another output folder"
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); {remedy}"
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give an empty temporary file that becomes `path` when the block ends well."""
    with WholeFiles() as files, output_errors(path):
        temporary = files.temporary(path)
        files.place(temporary, path)
        yield temporary


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, as :func:`whole_file` does."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; what UTF-8 lacks, as in names of files, becomes an escape."""
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
