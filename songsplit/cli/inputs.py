"""From what a user names (files, folders, playlists) to a list of songs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from songsplit.audio.finding import audio_files
from songsplit.errors import AudioFileError
from songsplit.naming import track_name

STANDARD_INPUT = "-"

_PLAYLISTS = frozenset([".m3u", ".m3u8"])
_OTHER_LISTS = frozenset([".txt", ".pls", ".xspf", ".asx", ".wpl", ".cue"])
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
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

    def __str__(self) -> str:
        return "standard input" if self.path is None else str(self.path)


@dataclass(frozen=True)
class Problem:
    """Why songs could not be listed; `name` is what the user named."""

    name: str
    error: AudioFileError


_Report = Callable[[AudioFileError], None]


def find_songs(names: Sequence[str]) -> tuple[list[Song], list[Problem]]:
    """List the songs that names stand for, each once, in the order of the names.

    Names are files, folders, playlists, or ``"-"`` for standard input. Whether a file that
    the user or a playlist names is there and holds audio turns out when it is opened.
    """
    found: dict[object, Song] = {}
    problems: list[Problem] = []
    several = sum(map(_is_folder, names)) > 1
    for name in names:

        def report(error: AudioFileError, name: str = name) -> None:
            problems.append(Problem(name, error))

        for song in _songs(name, report, several=several):
            found.setdefault(song.path and identity(song.path), song)
    return list(found.values()), problems


def standard_input() -> BinaryIO:
    """Return standard input, unless somebody would have to type a song."""
    if sys.stdin.isatty():
        raise AudioFileError("standard input is a terminal: send a file or a program's output")
    return sys.stdin.buffer


def identity(path: Path) -> object:
    """Return what two names of one file have in common, and two files have not."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path)
    # Some file systems give no numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else path.resolve()


def _songs(name: str, report: _Report, *, several: bool) -> Iterator[Song]:
    path = Path(name)
    suffix = path.suffix.lower()
    try:
        if name == STANDARD_INPUT:
            yield Song(None)
        elif path.is_dir():
            # Discs of an album have tracks of the same names.
            above = Path(path.resolve().name) if several else Path()
            yield from _in_folder(path, report, above)
        elif suffix in _PLAYLISTS and path.is_file():
            yield from _in_playlist(path, report)
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
    except AudioFileError as error:
        report(error)
    except (OSError, ValueError) as error:
        report(_unreadable(name, error))


def _unreadable(name: object, error: Exception) -> AudioFileError:
    reason = getattr(error, "strerror", None) or error
    return AudioFileError(f"{name}: cannot be read ({reason}); check the name and its permissions")


def _in_folder(folder: Path, report: _Report, above: Path) -> Iterator[Song]:
    failed: list[AudioFileError] = []

    def note(error: OSError) -> None:
        failed.append(_unreadable(error.filename or folder, error))

    songs = audio_files(folder, note)
    for problem in failed:
        report(problem)
    if not songs and not failed:
        raise AudioFileError(f"{folder}: the folder has no audio files; name another")
    for path in songs:
        yield Song(path, above / path.parent.relative_to(folder), found=True)


def _in_playlist(file: Path, report: _Report) -> Iterator[Song]:
    """List the songs of a playlist; entries that cannot be used are reported one by one."""
    entries = _entries(file)
    if not entries:
        raise AudioFileError(f"{file}: the list names no files; write one on each line")
    for entry in entries:
        try:
            listed = _listed(file, entry)
            if listed.is_dir():
                yield from _in_folder(listed, report, Path(listed.name))
            elif listed.exists() and not listed.is_file():
                raise AudioFileError(
                    f"{file}: {entry} is a pipe or a device; give it to songsplit itself"
                )
            else:
                yield Song(listed)
        except AudioFileError as error:
            report(error)
        except (OSError, ValueError) as error:
            report(_unreadable(f"{file}: {entry}", error))


def _entries(file: Path) -> list[str]:
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
    lines = (line.strip() for line in text.splitlines())
    return [
        line[1:-1] if len(line) > 2 and line[0] == line[-1] == '"' else line
        for line in lines
        if line and not line.startswith("#")
    ]


def _listed(file: Path, entry: str) -> Path:
    """Return the path that an entry of a playlist means."""
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
    listed = Path(file.parent, entry)
    # A list with "/" in it would take every song on the machine.
    if listed.is_dir() and file.resolve().is_relative_to(listed.resolve()):
        raise AudioFileError(
            f"{file}: {entry or 'an entry'} is the folder that the list itself lies in; list the "
            "songs in it"
        )
    return listed


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False
