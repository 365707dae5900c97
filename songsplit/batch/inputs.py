"""From what a user names (files, folders, playlists) to a list of songs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

from songsplit.errors import AudioFileError
from songsplit.naming import track_name

STANDARD_INPUT = "-"

# Protected files too, so that it is said that they are.
_AUDIO = frozenset(
    {".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".flac"}
    | {".ape", ".wv", ".tta", ".ogg", ".oga", ".spx", ".opus", ".mp2", ".mp3", ".m4a", ".m4b"}
    | {".m4p", ".aax", ".aac", ".alac", ".wma", ".asf", ".mka", ".ac3", ".dts", ".amr", ".mp4"}
    | {".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".3gp", ".3g2", ".ogv", ".mpg"}
    | {".mpeg", ".vob", ".ts", ".mts", ".m2ts"}
)
_M3U = frozenset([".m3u", ".m3u8"])
_PLS = ".pls"
_PLAYLISTS = _M3U | {_PLS, ".txt"}
_PLS_ENTRY = re.compile(r"(?i)file\d+\s*=(.*)")
_MAX_PLAYLIST_BYTES = 1 << 24


@dataclass(frozen=True)
class Song:
    """A song to work on.

    Attributes
    ----------
    path : Path or None
        Its file; None for standard input.
    below : Path
        Folders between the folder that was named and the file, none if the file itself
        was named: results of folders keep the order of their songs. If several folders
        were named, these come first.
    found : bool
        Whether it was found in a folder, where results of earlier runs may be too.
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
    """Why songs could not be listed.

    Attributes
    ----------
    name : str
        What the user named.
    error : AudioFileError
        What is wrong with it.
    """

    name: str
    error: AudioFileError


def find_songs(names: Sequence[str], glob: str | None = None) -> tuple[list[Song], list[Problem]]:
    """List the songs that names stand for, each once, in the order of the names.

    Parameters
    ----------
    names : sequence of str
        Files, folders, which are searched with all they hold, and playlists (``.m3u``,
        ``.m3u8``, ``.pls`` or ``.txt``, one path on each line, relative to the list);
        ``"-"`` is standard input. Whether files named by the user or a playlist are
        there and hold audio turns out when they are opened.
    glob : str, optional
        Pattern such as ``"*.flac"``, which the names of files in folders must match, or
        with a slash in it their paths below the folder, in capitals or not; by default,
        extensions of audio and video files count.

    Returns
    -------
    songs : list of Song
    problems : list of Problem
        Folders without songs, folders and playlists that cannot be read, and entries of
        playlists that are no files.
    """
    found: dict[object, Song] = {}
    problems: list[Problem] = []
    several = sum(map(_is_folder, names)) > 1
    for name in names:

        def report(error: AudioFileError, name: str = name) -> None:
            problems.append(Problem(name, error))

        for song in _songs(name, glob, report, several=several):
            found.setdefault(song.path and identity(song.path), song)
    return list(found.values()), problems


_Report = Callable[[AudioFileError], None]


def _songs(name: str, glob: str | None, report: _Report, *, several: bool) -> Iterator[Song]:
    if name == STANDARD_INPUT:
        yield Song(None)
        return
    path = Path(name)
    try:
        if path.is_dir():
            # Discs of an album have tracks of the same names.
            above = Path(path.resolve().name) if several else Path()
            yield from _in_folder(path, glob, report, above)
        elif path.suffix.lower() in _PLAYLISTS and path.is_file():
            for listed in _in_playlist(path, report):
                if listed.is_dir():
                    yield from _in_folder(listed, glob, report, Path(listed.name))
                else:
                    yield Song(listed)
        else:
            yield Song(path)
    except AudioFileError as error:
        report(error)
    except (OSError, ValueError) as error:
        report(_unreadable(name, error))


def _unreadable(name: object, error: Exception) -> AudioFileError:
    reason = getattr(error, "strerror", None) or error
    return AudioFileError(f"{name}: cannot be read ({reason}); check the name and its permissions")


def _in_folder(folder: Path, glob: str | None, report: _Report, above: Path) -> Iterator[Song]:
    songs = []
    failed: list[AudioFileError] = []
    visited: set[object] = set()

    def is_wanted(path: Path) -> bool:
        if glob is None:
            return path.suffix.lower() in _AUDIO
        name = path.relative_to(folder).as_posix() if "/" in glob else path.name
        return fnmatchcase(name.lower(), glob.lower())

    def note(error: OSError) -> None:
        failed.append(_unreadable(error.filename or folder, error))

    for place, folders, files in os.walk(folder, onerror=note, followlinks=True):
        # Links may lead around in circles.
        if (here := identity(Path(place))) in visited:
            folders.clear()
            continue
        visited.add(here)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place, name) for name in files):
            # Hidden files are other programs' own, such as those of macOS on USB sticks.
            # What is no plain file, such as a named pipe, could keep the program waiting.
            if is_wanted(path) and not path.name.startswith(".") and path.is_file():
                songs.append(path)
    for problem in failed:
        report(problem)
    if not songs and not failed:
        what = f"files that match {glob!r}" if glob else "audio files"
        raise AudioFileError(f"{folder}: the folder has no {what}; name another")
    for path in sorted(songs):
        yield Song(path, above / path.parent.relative_to(folder), found=True)


def _in_playlist(file: Path, report: _Report) -> Iterator[Path]:
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
    entries = list(_entries(text.splitlines(), file))
    if not entries:
        raise ValueError("the list names no files")
    for entry in entries:
        try:
            yield _listed(file, entry)
        except AudioFileError as error:
            report(error)


def _entries(lines: Iterable[str], file: Path) -> Iterator[str]:
    kind = file.suffix.lower()
    for line in lines:
        entry = line.strip()
        if kind == _PLS:
            match = _PLS_ENTRY.fullmatch(entry)
            entry = match[1].strip() if match else ""
        if len(entry) > 2 and entry[0] == entry[-1] == '"':
            entry = entry[1:-1]
        # A comment, but "#1 Hit.mp3" may be a name.
        if entry.startswith("#") and (kind in _M3U or not os.path.lexists(file.parent / entry)):
            continue
        if entry:
            yield entry


def _listed(file: Path, entry: str) -> Path:
    if entry.lower().startswith("file:"):
        address = urlsplit(entry)
        if address.netloc not in ("", "localhost"):
            raise AudioFileError(f"{file}: {entry} is on another machine; copy it to this one")
        entry = unquote(address.path)
        if re.match(r"/[A-Za-z]:", entry) and os.name == "nt":
            entry = entry[1:]
    elif re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", entry):
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


def identity(path: Path) -> object:
    """Tell two names of one file from two files."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path)
    # Some file systems give no numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else path.resolve()
