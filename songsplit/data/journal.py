"""What is done of filling a cache folder, kept from one attempt to the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from songsplit.data.cache import CachedStem, CacheIndex, SeenFile
from songsplit.data.decoding import PARTIAL_SUFFIX, FolderError
from songsplit.errors import DataError

JOURNAL_NAME = "journal.jsonl"

# Names that the cache gives its audio, see Recipe.file.
_AUDIO_NAME = re.compile(r"[0-9a-f]{32}\.npy")
_PARTIAL_NAME = re.compile(r"[0-9a-f]{32}\.npy\.[0-9a-f]{8}" + re.escape(PARTIAL_SUFFIX))
_HEADER_BYTES = 128  # of a .npy file
_BYTES_PER_SAMPLE = 4  # of both channels together


class Journal:
    """Stems and source files that are done, known from the index or added since.

    Every addition is written at once to a file of JSON lines, which the next attempt reads
    if this one does not come to its end. Methods may be called from several threads. Use
    in a ``with`` statement.

    Parameters
    ----------
    folder : Path
        The cache folder.
    index : CacheIndex or None
        What the folder held before.

    Raises
    ------
    FolderError
        If the folder cannot be written to.
    """

    def __init__(self, folder: Path, index: CacheIndex | None) -> None:
        self._folder = folder
        self._path = folder / JOURNAL_NAME
        self._stems: dict[str, CachedStem] = {}
        self._files: dict[str, SeenFile] = {}
        self._lock = threading.Lock()
        if index is not None:
            for clip in (clip for clips in index.sources.values() for clip in clips):
                self._stems.update((stem.file, stem) for stem in clip.stems.values())
            self._files.update(index.files)
        try:
            self._read()
            sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
            self._stream = self._path.open("a", encoding="utf-8")
            # Where an earlier attempt was cut off in the middle of a line.
            self._stream.write("\n")
        except OSError as error:
            raise FolderError(f"{folder} cannot be filled ({error})") from error
        # A copy of a cache folder may be incomplete.
        self._stems = {
            file: stem
            for file, stem in self._stems.items()
            if sizes.get(file) == _HEADER_BYTES + _BYTES_PER_SAMPLE * stem.samples
        }

    def _read(self) -> None:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            # A line that was cut off, or written by another version, is of something that
            # will be done again.
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                if "stem" in entry:
                    stem = CachedStem(**entry["stem"])
                    self._stems[stem.file] = stem
                else:
                    self._files[entry["path"]] = SeenFile(*entry["seen"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing writes what is buffered, which on a full disk fails once more.
        with contextlib.suppress(OSError):
            self._stream.close()

    @property
    def files(self) -> dict[str, SeenFile]:
        """Source files by absolute path, as they were when they were hashed."""
        with self._lock:
            return dict(self._files)

    def stem(self, file: str) -> CachedStem | None:
        """Return the stem stored in a file, if it is there in full."""
        return self._stems.get(file)

    def add_stem(self, stem: CachedStem) -> None:
        """Record that a stem has been stored."""
        with self._lock:
            self._write({"stem": asdict(stem)})
            self._stems[stem.file] = stem

    def known_sha256(self, path: Path) -> str | None:
        """Return the hash of a source file if that is known without reading the file.

        Parameters
        ----------
        path : Path

        Returns
        -------
        str or None
            None if the file is new, or its size or time of modification are not those it
            had when it was hashed.

        Raises
        ------
        DataError
            If there is no such file.
        """
        seen = self._files.get(str(path.absolute()))
        return seen.sha256 if seen is not None and seen[:2] == _state(path) else None

    def sha256(self, path: Path) -> str:
        """Return the hash over the bytes of a source file.

        Parameters
        ----------
        path : Path

        Returns
        -------
        str

        Raises
        ------
        DataError
            If the file is missing or cannot be read.
        """
        known = self.known_sha256(path)
        if known is not None:
            return known
        # Taken before reading, so that a change meanwhile is noticed next time.
        state = _state(path)
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(path, error) from error
        name = str(path.absolute())
        with self._lock:
            self._files[name] = SeenFile(*state, digest)
            self._write({"path": name, "seen": self._files[name]})
        return digest

    def _write(self, entry: dict[str, object]) -> None:
        try:
            self._stream.write(json.dumps(entry) + "\n")
            self._stream.flush()
        except OSError as error:
            raise FolderError(
                f"{self._folder} cannot be filled ({error}): make room and start again; what is "
                "decoded so far is kept"
            ) from error


def _state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of modification in nanoseconds."""
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_size, status.st_mtime_ns


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path}: the file cannot be read ({error.strerror or error}): check its name and "
        "permissions"
    )


def remove_partial(folder: Path) -> None:
    """Remove audio that an attempt which was killed left unfinished."""
    for path in folder.iterdir():
        if _PARTIAL_NAME.fullmatch(path.name):
            path.unlink()
