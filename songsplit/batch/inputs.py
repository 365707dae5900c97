"""From what a user names (files, folders, playlists) to a list of songs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from songsplit.errors import AudioFileError

STANDARD_INPUT = "-"

_AUDIO = frozenset(
    {".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".flac", ".ape"}
    | {".wv", ".tta", ".ogg", ".oga", ".opus", ".mp2", ".mp3", ".m4a", ".m4b", ".aac", ".alac"}
    | {".wma", ".mka", ".ac3", ".dts", ".amr", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"}
    | {".wmv", ".flv", ".3gp", ".ts"}
)
_PLAYLISTS = frozenset([".m3u", ".m3u8", ".txt", ".pls"])


@dataclass(frozen=True)
class Song:
    """A song to work on.

    Attributes
    ----------
    path : Path or None
        Its file; None for standard input.
    below : Path
        Folders between the folder that was named and the file, none if the file itself
        was named: results of folders keep the order of their songs.
    """

    path: Path | None
    below: Path = Path()

    @property
    def name(self) -> str:
        """Name of the file without its extension."""
        return "stdin" if self.path is None else self.path.stem

    def __str__(self) -> str:
        return "standard input" if self.path is None else str(self.path)


def find_songs(names: Sequence[str], glob: str | None = None) -> list[Song]:
    """List the songs that names stand for, each once, in the order of the names.

    Parameters
    ----------
    names : sequence of str
        Files, folders, which are searched with all they hold, and playlists (``.m3u``,
        ``.m3u8``, ``.pls`` or ``.txt``, one path on each line, relative to the list);
        ``"-"`` is standard input. Whether files named by the user or a playlist are
        there and hold audio turns out when they are opened.
    glob : str, optional
        Pattern such as ``"*.flac"``, which the names of files in folders must match; by
        default, extensions of audio and video files count.

    Returns
    -------
    list of Song

    Raises
    ------
    AudioFileError
        If a folder has no songs, or a folder or playlist cannot be read.
    """
    found: dict[object, Song] = {}
    for name in names:
        for song in _songs(name, glob):
            found.setdefault(song.path and _identity(song.path), song)
    return list(found.values())


def _songs(name: str, glob: str | None) -> Iterator[Song]:
    if name == STANDARD_INPUT:
        yield Song(None)
        return
    path = Path(name)
    try:
        if path.is_dir():
            yield from _in_folder(path, glob)
        elif path.suffix.lower() in _PLAYLISTS and path.is_file():
            yield from (Song(listed) for listed in _in_playlist(path))
        else:
            yield Song(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioFileError(f"{name}: cannot be read ({reason}); check the name") from error


def _in_folder(folder: Path, glob: str | None) -> Iterator[Song]:
    songs = []

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            wanted = fnmatch(name, glob) if glob else Path(name).suffix.lower() in _AUDIO
            # Hidden files are other programs' own, such as those of macOS on USB sticks.
            if wanted and not name.startswith("."):
                songs.append(Path(place, name))
    if not songs:
        what = f"files that match {glob!r}" if glob else "audio files"
        raise AudioFileError(f"{folder}: the folder has no {what}; name another")
    for path in sorted(songs):
        yield Song(path, path.parent.relative_to(folder))


def _in_playlist(file: Path) -> Iterator[Path]:
    data = file.read_bytes()
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("this is no list of files")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # what old programs write
    for line in text.splitlines():
        entry = line.strip()
        if file.suffix.lower() == ".pls":
            key, _, entry = entry.partition("=")
            if not key.lower().startswith("file"):
                continue
        if not entry or entry.startswith("#"):
            continue
        entry = entry.removeprefix("file://")
        if "://" in entry:
            raise AudioFileError(
                f"{file}: {entry} is an address; songsplit downloads nothing: list files"
            )
        # Lists from Windows have its separators.
        if not Path(file.parent, entry).exists() and "\\" in entry:
            entry = entry.replace("\\", "/")
        yield Path(file.parent, entry)


def _identity(path: Path) -> object:
    """Tell two names of one file from two files."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path)
    # Some file systems give no numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else path.resolve()
