"""From what a user names (files, folders, playlists) to a list of songs."""

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

from songsplit.audio.finding import audio_files
from songsplit.errors import AudioFileError
from songsplit.naming import folded, is_plain, track_name

STANDARD_INPUT = "-"

_PLAYLISTS = frozenset([".m3u", ".m3u8"])
_OTHER_LISTS = frozenset([".txt", ".pls", ".xspf", ".asx", ".wpl", ".cue"])
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|www\.")
_MAX_PLAYLIST_BYTES = 1 << 24


@dataclass(frozen=True)
class Song:
    """A song to work on.

    `path` is None for standard input. `below` holds the folders between the folder that was
    named and the file, so that results keep the order of their songs. `found` says whether the
    song was found in a folder, where results of earlier runs may be too.
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
        """Whether the song can be read again, which pipes and devices cannot."""
        return self.path is not None and is_plain(self.path)

    def __str__(self) -> str:
        return "standard input" if self.path is None else str(self.path)


Problem: TypeAlias = tuple[str, AudioFileError]
"""What the user named, and why songs of it could not be listed."""

_Items: TypeAlias = Iterator[Song | AudioFileError]


def find_songs(names: Iterable[str]) -> tuple[list[Song], list[Problem]]:
    """List the songs that names stand for, each once, in the order of the names.

    Names are files, folders, playlists, or ``"-"`` for standard input. Whether a file that
    the user or a playlist names exists and holds audio is found out when it is opened.
    """
    found: dict[object, Song] = {}
    problems: list[Problem] = []
    names = list(names)
    several = sum(map(os.path.isdir, names)) > 1
    for name in names:
        for item in _with_errors(name, _songs(name, several=several)):
            if isinstance(item, Song):
                found.setdefault(item.path and identity(item.path), item)
            else:
                problems.append((name, item))
    return list(found.values()), problems


def standard_input() -> BinaryIO:
    """Return standard input, unless it is a terminal or empty."""
    if sys.stdin.isatty():
        raise AudioFileError("standard input is a terminal: send a file or a program's output")
    if isinstance(sys.stdin.buffer, BufferedReader) and not sys.stdin.buffer.peek(1):
        raise AudioFileError(
            "standard input is empty: did the program before the pipe fail? Else send a file, or "
            "name it"
        )
    return sys.stdin.buffer


def identity(path: Path) -> object:
    """Return a value that is the same for all names of one file, and for no other file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path)
    # Some file systems give no numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else path.resolve()


def _with_errors(name: str, items: _Items) -> _Items:
    """Pass songs on, and an error as the last item."""
    try:
        yield from items
    except AudioFileError as error:
        yield error
    except (OSError, ValueError) as error:
        yield _unreadable(name, error)


def _unreadable(name: object, error: Exception) -> AudioFileError:
    reason = getattr(error, "strerror", None) or error
    return AudioFileError(f"{name}: cannot be read ({reason}); check the name and its permissions")


def _songs(name: str, *, several: bool) -> _Items:
    path = Path(name)
    suffix = path.suffix.lower()
    if name == STANDARD_INPUT:
        yield Song(None)
    elif not name:
        raise AudioFileError("an empty name is no song: is a variable of the shell not set?")
    elif path.is_dir():
        # Discs of an album have tracks of the same names.
        yield from _in_folder(path, Path(path.resolve().name) if several else Path())
    elif suffix in _PLAYLISTS and path.is_file():
        for entry in _entries(path):
            yield from _with_errors(f"{name}: {entry}", _listed(path, entry))
    elif suffix in _OTHER_LISTS and path.is_file():
        raise AudioFileError(
            f"{name}: this kind of list is not read: give files, folders, or a playlist that "
            "ends in .m3u or .m3u8 and has a file on each line"
        )
    elif _ADDRESS.match(name) and not path.exists():
        raise AudioFileError(
            f"{name}: songsplit downloads nothing: download the song and give its file"
        )
    else:
        yield Song(path)


def _in_folder(folder: Path, above: Path) -> _Items:
    errors: list[OSError] = []
    songs = audio_files(folder, errors.append)
    for error in errors:
        yield _unreadable(error.filename or folder, error)
    if not songs and not errors:
        raise AudioFileError(f"{folder}: the folder has no audio files; name another")
    for path in songs:
        yield Song(path, above / path.parent.relative_to(folder), found=True)


def _entries(file: Path) -> list[str]:
    """Return the lines of a playlist that name files."""
    with file.open("rb") as opened:
        data = opened.read(_MAX_PLAYLIST_BYTES + 1)
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if len(data) > _MAX_PLAYLIST_BYTES or (b"\0" in data[:4096] and not wide):
        raise ValueError("this is no list of files")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        # What old programs write.
        text = data.removeprefix(b"\xef\xbb\xbf").decode("cp1252", "replace")
    lines = [re.sub(r'^"(.+)"$', r"\1", line.strip()) for line in text.splitlines()]
    entries = [line for line in lines if line and not line.startswith("#")]
    if not entries:
        raise AudioFileError(f"{file}: the list names no files; write one on each line")
    return entries


def _listed(file: Path, entry: str) -> _Items:
    """Yield what an entry of a playlist names: a song, or the songs of a folder."""
    listed = _on_disk(Path(file.parent, _local_name(file, entry)))
    if listed.is_dir():
        # A list with "/" in it would take every song on the machine.
        if file.resolve().is_relative_to(listed.resolve()):
            raise AudioFileError(
                f"{file}: {entry} is the folder that the list itself lies in; list the songs in it"
            )
        yield from _in_folder(listed, Path(listed.name))
    elif not is_plain(listed):
        raise AudioFileError(f"{file}: {entry} is a pipe or a device; give it to songsplit itself")
    else:
        yield Song(listed)


def _local_name(file: Path, entry: str) -> str:
    """Return the name of a file on this system that an entry of a playlist means."""
    if entry.lower().startswith("file:"):
        address = urlsplit(entry)
        if address.netloc not in ("", "localhost"):
            raise AudioFileError(f"{file}: {entry} is on another machine; copy it to this one")
        entry = unquote(address.path)
        if re.match(r"/[A-Za-z]:", entry) and os.name == "nt":
            entry = entry[1:]
    elif _ADDRESS.match(entry):
        raise AudioFileError(
            f"{file}: {entry} is an address; songsplit downloads nothing: list files"
        )
    # Lists from Windows have its separators.
    if "\\" in entry and not os.path.lexists(file.parent / entry):
        entry = entry.replace("\\", "/")
    return entry


def _on_disk(path: Path) -> Path:
    """Return the file that a path means: itself, or what other programs and systems call so.

    Some write addresses (``My%20Song.wav``), letters in another case, or accents in another
    Unicode form.
    """
    for name in (path, Path(unquote(str(path)))):
        found = Path(name.anchor)
        for part in name.relative_to(found).parts:
            if not os.path.lexists(found / part):
                if not found.is_dir():
                    break
                part = _names(found, found.stat().st_mtime_ns).get(folded(part), part)
            found /= part
        if os.path.lexists(found):
            return found
    return path


@functools.lru_cache(64)
def _names(folder: Path, modified: int) -> dict[str, str]:
    return {folded(path.name): path.name for path in sorted(folder.iterdir())}
