"""Write files so that they appear complete and together, or not at all."""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from songsplit.errors import OutputError

TEMPORARY_PREFIX = ".songsplit-"
_STALE_SECONDS = 24 * 3600
_TRIES = 5


class GrowingFile(io.FileIO):
    """An open file under a hidden name beside `path`.

    Encoders drop write errors, so the first error is kept for :meth:`check`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.hidden = path, _hidden(path)
        self.error: OSError | None = None
        super().__init__(self.hidden, "x+")
        self._identity = os.fstat(self.fileno())

    def write(self, data: Any) -> int:
        """Write all data, or keep the error."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = self.error or error
        return size

    def check(self) -> None:
        """Raise the first write error, if there was one."""
        if self.error is not None:
            raise self.error

    def place(self) -> None:
        """Rename the file to `path`."""
        self.check()
        os.fsync(self.fileno())
        if self._is_at(self.hidden):
            if sys.platform == "win32":  # Windows cannot rename open files
                self.close()
            self.hidden.replace(self.path)
            if self._is_at(self.path):
                return
        raise OutputError(
            f"{self.path}: another program has removed or replaced the unfinished file; try again"
        )

    def _is_at(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(self._identity, path.lstat())
        return False


class WholeFiles:
    """Files that appear together when a ``with`` block ends without an error.

    If the block raises, or a file cannot be renamed, temporary files and new folders are removed
    and older files of the same names are kept.
    """

    def __init__(self) -> None:
        self._files: list[GrowingFile] = []
        self._made_folders: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def create(self, path: Path) -> GrowingFile:
        """Open an empty file that becomes `path` at the end."""
        folders = path.parent, *path.parent.parents
        for _ in range(_TRIES):
            # Another writer may create the folder, fail, and remove it at the same time.
            with output_errors(path), suppress(FileNotFoundError):
                if path.is_dir():  # fail now, not after hours of work
                    raise OutputError(f"{path}: this is a folder; choose another output name")
                self._made_folders += [folder for folder in folders if not folder.exists()]
                path.parent.mkdir(parents=True, exist_ok=True)
                file = GrowingFile(path)
                # Another process may have removed the file as stale before it was locked.
                if _lock(file.fileno()) and file.hidden.exists():
                    self._files.append(file)
                    return file
                file.close()
        raise OutputError(f"{path}: cannot be written; try again")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        made_folders = self._made_folders
        try:
            if error is None:
                self._place_all()
                made_folders = []
        finally:
            for file in self._files:
                file.close()
                with suppress(OSError):
                    file.hidden.unlink(missing_ok=True)
            for folder in sorted(made_folders, reverse=True):  # the deepest first
                with suppress(OSError):  # not empty: another writer uses it
                    folder.rmdir()

    def _place_all(self) -> None:
        aside: dict[Path, Path] = {}  # older files, kept until all new files are renamed
        placed: list[GrowingFile] = []
        try:
            for file in self._files:
                path = file.path
                with output_errors(path):
                    if path.is_file():
                        if sys.platform != "win32":
                            os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
                        aside[path] = _hidden(path)
                        path.replace(aside[path])
                    placed.append(file)
                    file.place()
        except BaseException:
            for file in placed:
                if not os.path.lexists(file.hidden):
                    file.path.unlink(missing_ok=True)
            for path, old in aside.items():
                if old.exists():
                    old.replace(path)
            raise
        for old in aside.values():
            with suppress(OSError):
                old.unlink()


def clear_stale_parts(folder: Path) -> None:
    """Remove temporary files in a folder whose writers have ended.

    A file is in use while its writer holds a lock on it. On Windows and on file systems without
    locks, a file is stale one day after the last write.
    """
    with suppress(OSError):
        for part in folder.glob(f"{TEMPORARY_PREFIX}*"):
            with suppress(OSError):
                is_stale = time.time() - part.lstat().st_mtime > _STALE_SECONDS
                if part.is_file():
                    with part.open("rb+") as file:
                        # Closing the file releases the lock; no process waits for it.
                        is_stale = _lock(file.fileno(), unknown=is_stale)
                if is_stale:
                    part.unlink()


def _lock(handle: int, *, unknown: bool = True) -> bool:
    """Lock an open file and return whether that worked, or `unknown` if locks do not exist."""
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


def _hidden(path: Path) -> Path:
    return path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Convert an OSError to an OutputError that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        what, remedy = f"cannot be written ({error.strerror or error})", "check name and disk"
        if isinstance(error, PermissionError):
            what, remedy = "no permission to write there", "choose another output folder"
        elif isinstance(error, FileExistsError | NotADirectoryError):
            what = "a file is in the way where a folder is needed"
            remedy = "choose another output folder"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "free some space or choose another output folder"
        raise OutputError(f"{path}: {what}; {remedy}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[GrowingFile]:
    """Open an empty file that becomes `path` when the block ends without an error."""
    with WholeFiles() as files, output_errors(path):
        yield files.create(path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; characters that UTF-8 lacks become escapes."""
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
