"""List the songs in the files, folders and playlists that a user names."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, TypeAlias
from urllib.parse import unquote, urlsplit

from songsplit.audio.formats import audio_files
from songsplit.errors import AudioFileError
from songsplit.naming import folded, is_plain, track_name

STANDARD_INPUT = "-"

_PLAYLISTS = frozenset([".m3u", ".m3u8"])
_OTHER_LISTS = frozenset([".txt", ".pls", ".xspf", ".asx", ".wpl", ".cue"])
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|www\.")


@dataclass(frozen=True)
class Song:
    """A song to separate or describe.

    `path` is None for standard input. `below` is the path from the named folder to the song's
    folder, which results repeat. `found` states whether the song was found in a folder, which may
    also contain results of earlier runs.
    """

    path: Path | None
    below: Path = Path()
    found: bool = False

    @property
    def track(self) -> str:
        """Name of the file without its extension."""
        return "stdin" if self.path is None else track_name(self.path)

    @property
    def is_plain(self) -> bool:
        """Whether the song can be read again, unlike pipes and devices."""
        return self.path is not None and is_plain(self.path)

    def __str__(self) -> str:
        return "standard input" if self.path is None else str(self.path)


Problem: TypeAlias = tuple[str, AudioFileError]
"""An argument of the user, and why its songs could not be listed."""


def find_songs(names: Iterable[str]) -> tuple[list[Song], list[Problem]]:
    """List the distinct songs of all names, in the order of the names.

    Names are files, folders, playlists, or ``"-"`` for standard input. Named files and entries of
    playlists are not checked until they are opened.
    """
    found: dict[object, Song] = {}
    problems: list[Problem] = []
    names = list(names)
    several = sum(map(os.path.isdir, names)) > 1
    for name in names:
        try:
            for item in _songs(name, several=several):
                if isinstance(item, Song):
                    found.setdefault(item.path and identity(item.path), item)
                else:
                    problems.append((name, item))
        except (AudioFileError, OSError, ValueError) as error:
            problems.append((name, _problem(name, error)))
    return list(found.values()), problems


def standard_input() -> BinaryIO:
    """Return standard input, or raise an AudioFileError if it is a terminal or empty."""
    if sys.stdin.isatty():
        raise AudioFileError("standard input is a terminal: redirect a file or a program to it")
    if isinstance(sys.stdin.buffer, BufferedReader) and not sys.stdin.buffer.peek(1):
        raise AudioFileError("standard input is empty: check the program before the pipe")
    return sys.stdin.buffer


def identity(path: Path) -> object:
    """Return a value that identifies a file, whatever name it is reached by."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path)
    # Some file systems have no inode numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else path.resolve()


def _problem(name: object, error: Exception) -> AudioFileError:
    if isinstance(error, AudioFileError):
        return error
    reason = getattr(error, "strerror", None) or error
    return AudioFileError(f"{name}: cannot be read ({reason}); check the name and its permissions")


def _songs(name: str, *, several: bool) -> Iterator[Song | AudioFileError]:
    """Yield the songs of a name, and an error for each song that cannot be listed."""
    path = Path(name)
    if name == STANDARD_INPUT:
        yield Song(None)
    elif not name:
        raise AudioFileError("the name of a song is empty: check the shell's variables")
    elif path.is_dir():
        # Folders may hold files of the same names, such as the discs of an album.
        yield from _in_folder(path, Path(path.resolve().name) if several else Path())
    elif path.suffix.lower() in _PLAYLISTS and path.is_file():
        for entry in _entries(path):
            try:
                yield _listed(path, entry)
            except (AudioFileError, OSError, ValueError) as error:
                yield _problem(f"{name}: {entry}", error)
    elif path.suffix.lower() in _OTHER_LISTS and path.is_file():
        raise AudioFileError(
            f"{name}: this list format is not supported: give files, folders, or a playlist "
            "(.m3u or .m3u8) with a file on each line"
        )
    elif _ADDRESS.match(name) and not path.exists():
        raise AudioFileError(
            f"{name}: songsplit does not download: download the song and give its file"
        )
    else:
        yield Song(path)


def _in_folder(folder: Path, above: Path) -> Iterator[Song | AudioFileError]:
    errors: list[OSError] = []
    songs = audio_files(folder, errors.append)
    for error in errors:
        yield _problem(error.filename or folder, error)
    if not songs and not errors:
        raise AudioFileError(f"{folder}: the folder has no audio files; name another folder")
    for path in songs:
        yield Song(path, above / path.parent.relative_to(folder), found=True)


def _entries(file: Path) -> list[str]:
    """Return the entries of a playlist."""
    data = file.read_bytes()
    if b"\0" in data:
        raise ValueError("not a list of files")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Old programs write this encoding.
        text = data.decode("cp1252", "replace")
    lines = [line.strip() for line in text.splitlines()]
    entries = [line for line in lines if line and not line.startswith("#")]
    if not entries:
        raise AudioFileError(f"{file}: the list is empty; write the name of a file on each line")
    return entries


def _listed(file: Path, entry: str) -> Song:
    """Return the song of an entry of a playlist."""
    if entry.lower().startswith("file:"):
        from urllib.request import url2pathname  # imports slowly

        address = urlsplit(entry)
        if address.netloc not in ("", "localhost"):
            raise AudioFileError(f"{file}: {entry} is on another machine; copy it to this one")
        names = [url2pathname(address.path)]
    elif _ADDRESS.match(entry):
        raise AudioFileError(
            f"{file}: {entry} is an address; songsplit does not download: list files"
        )
    else:
        # Playlists from Windows use backslashes, and some programs escape names as in addresses.
        plain = entry.replace("\\", "/")
        names = [plain, entry, unquote(plain), unquote(entry)]
    paths = [_on_disk(Path(file.parent, name)) for name in names]
    path = next(filter(os.path.lexists, paths), paths[0])
    if not is_plain(path):
        raise AudioFileError(
            f"{file}: {entry} is a folder, a pipe or a device; name it on the command line"
        )
    return Song(path)


def _on_disk(path: Path) -> Path:
    """Return the path on disk, which may differ in letter case or Unicode form."""
    found = Path(path.anchor)
    for part in path.relative_to(found).parts:
        if not os.path.lexists(found / part):
            if not found.is_dir():
                return path
            part = _names(found, found.stat().st_mtime_ns).get(folded(part), part)
        found /= part
    return found


@functools.lru_cache(64)
def _names(folder: Path, modified: int) -> dict[str, str]:
    return {folded(path.name): path.name for path in sorted(folder.iterdir())}
