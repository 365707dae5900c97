"""Finding songs and recordings in folders as people keep them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from songsplit.data.findings import Finding
from songsplit.data.grouping import SUFFIXES, group_files, make_song
from songsplit.data.musdb import STEM_NAMES, MusdbTrack
from songsplit.data.songs import BACKING_PARTS, VOCALS, AudioPart, Song
from songsplit.data.stem_names import MIXTURE
from songsplit.errors import DataError

STEM_FILE_SUFFIX = ".stem.mp4"
# The order of the streams inside a .stem.mp4 file.
STEM_FILE_STREAMS = (MIXTURE, *STEM_NAMES)

_EXPECTED = (
    "a folder for each song with files named vocals, instrumental, drums, bass, other or "
    "mixture; or files named 'Song - vocals', 'Song - instrumental'; or *" + STEM_FILE_SUFFIX
)


@dataclass(frozen=True)
class FolderScan:
    """What was found in a folder.

    Attributes
    ----------
    songs : list of Song
        Songs that can be used, sorted by name.
    problems : list of Finding
        What was passed over, and why, sorted by path.
    """

    songs: list[Song]
    problems: list[Finding]


def find_songs(folder: Path, source: str) -> list[Song]:
    """Find the songs in a folder, at any depth.

    Parameters
    ----------
    folder : Path
        As described at :func:`scan_folder`.
    source : str
        Name of the data source that they become part of.

    Returns
    -------
    list of Song
        Sorted by name, never empty, all of the split ``"train"``.

    Raises
    ------
    DataError
        If there is no such folder, or no song in it that can be used.
    """
    return require_songs(folder, scan_folder(folder, source))


def require_songs(folder: Path, scan: FolderScan) -> list[Song]:
    """Return the songs of a folder that has been scanned.

    Parameters
    ----------
    folder : Path
    scan : FolderScan

    Returns
    -------
    list of Song
        Never empty.

    Raises
    ------
    DataError
        If there is no song that can be used.
    """
    if not scan.songs:
        reason = ""
        if scan.problems:
            first = scan.problems[0]
            reason = f" (passed over: {first.path}: {first.text})"
        raise DataError(f"{folder}: no songs found{reason}: expected {_EXPECTED}")
    return scan.songs


def scan_folder(folder: Path, source: str) -> FolderScan:
    """Find the songs in a folder, and what is there besides.

    A song is one of these, anywhere below the folder:

    - a folder with files named for stems: vocals with an instrumental, with any other
      stems (drums, bass, guitar, ...) or with the mixture. Any other audio file in it is a
      part of the stem ``other``. The song is called by the folder's path.
    - files of one folder that differ in the stem at the end of their names, such as
      ``Song A_vocals.wav`` and ``Song A (Drums).flac``. The song is called by what
      precedes the stem. A file ``Song A.wav`` beside them is its mixture.
    - a ``.stem.mp4`` file, with the streams mixture, drums, bass, other and vocals.

    Names of stems may be in any case and have the usual synonyms. Several files of one
    stem (lead and backing vocals) are summed. Where there are both an instrumental and
    separate stems, the latter are used only if drums, bass and other are all there.
    A mixture beside vocals and backing is kept, but not needed to decode them. Hidden
    files and files of other kinds are ignored.

    Parameters
    ----------
    folder : Path
    source : str
        Name of the data source that the songs become part of.

    Returns
    -------
    FolderScan

    Raises
    ------
    DataError
        If there is no such folder.
    """
    root = _existing(folder)
    songs: dict[str, Song] = {}
    problems: list[Finding] = []

    for directory, files in _audio_files(root, problems):
        groups, strays = group_files(directory, [f for f in files if not _is_stem_file(f)])
        problems += strays
        found = [
            stem_file_song(_text(file.relative_to(root))[: -len(STEM_FILE_SUFFIX)], source, file)
            for file in files
            if _is_stem_file(file)
        ]
        for group in groups:
            # The folder may itself be that of a song.
            path = group.path.relative_to(root) if group.path != root else Path(root.resolve().name)
            song, passed_over = make_song(group, _text(path), source)
            problems += passed_over
            found += [song] if song else []
        for song in found:
            if songs.setdefault(song.name, song) is not song:
                text = f"not used, there is another song {song.name!r}: rename one of them"
                problems.append(Finding(song.parts[0].path, text, "error"))
    return FolderScan(
        sorted(songs.values(), key=lambda song: song.name),
        sorted(problems, key=lambda problem: str(problem.path)),
    )


def find_recordings(
    folder: Path, source: str, stem: Literal["vocals", "instrumental"]
) -> list[Song]:
    """Find recordings of one stem alone, such as solo singing.

    Parameters
    ----------
    folder : Path
        Every audio file below it is a recording, whatever it is called.
    source : str
        Name of the data source that they become part of.
    stem : {"vocals", "instrumental"}
        What they hold.

    Returns
    -------
    list of Song
        Named by their paths below the folder and sorted by them, never empty, all of the
        split ``"train"``.

    Raises
    ------
    DataError
        If there is no such folder, part of it cannot be read, it holds no audio files, or
        one that holds the stems of a song.
    """
    root = _existing(folder)
    problems: list[Finding] = []
    files = [file for _, found in _audio_files(root, problems) for file in found]
    if problems:
        raise DataError(f"{problems[0].path}: {problems[0].text}")
    if not files:
        raise DataError(
            f"{folder}: no audio files found: expected recordings of {stem}, for example "
            "*.wav, *.flac or *.mp3"
        )
    for file in files:
        if _is_stem_file(file):
            raise DataError(
                f"{file}: this file holds the stems of a song, not {stem} alone: move it to a "
                "folder of songs"
            )
    songs = [
        Song(_text(file.relative_to(root)), source, "train", {stem: (AudioPart(file),)})
        for file in files
    ]
    return sorted(songs, key=lambda song: song.name)


def stem_file_song(name: str, source: str, file: Path) -> Song:
    """Describe the song in a ``.stem.mp4`` file.

    Parameters
    ----------
    name, source : str
        What to call the song, and its data source.
    file : Path

    Returns
    -------
    Song
    """
    parts = {stem: AudioPart(file, index) for index, stem in enumerate(STEM_FILE_STREAMS)}
    stems = {stem: (parts[stem],) for stem in (VOCALS, *BACKING_PARTS)}
    return Song(name, source, "train", stems, parts[MIXTURE])


def musdb_song(track: MusdbTrack, name: str, source: str) -> Song:
    """Describe a song of MUSDB18 or MUSDB18-HQ.

    Parameters
    ----------
    track : MusdbTrack
    name, source : str
        What to call the song, and its data source.

    Returns
    -------
    Song
    """
    if track.path.name.endswith(STEM_FILE_SUFFIX):
        return stem_file_song(name, source, track.path)
    parts = {file.stem: AudioPart(file) for file in track.files}
    stems = {stem: (parts[stem],) for stem in (VOCALS, *BACKING_PARTS)}
    return Song(name, source, "train", stems, parts[MIXTURE])


def _existing(folder: Path) -> Path:
    root = Path(folder).expanduser()
    if not root.is_dir():
        what = "this is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{folder}: {what}: name the folder that holds the audio files")
    return root


def _audio_files(root: Path, problems: list[Finding]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder with the audio files directly in it, all sorted."""

    def report(error: OSError) -> None:
        text = f"cannot be read ({error.strerror}): change its permissions"
        problems.append(Finding(Path(error.filename), text, "error"))

    entered = {root.resolve()}
    for path, folders, names in os.walk(root, onerror=report, followlinks=True):
        directory = Path(path)
        visible = []
        for name in sorted(folders):
            # Links may lead round in circles.
            if not _is_hidden(name) and (target := (directory / name).resolve()) not in entered:
                entered.add(target)
                visible.append(name)
        folders[:] = visible
        files = [directory / name for name in sorted(names) if not _is_hidden(name)]
        audio = [file for file in files if file.suffix.lower() in SUFFIXES]
        if audio:
            yield directory, audio


def _is_hidden(name: str) -> bool:
    # Archives made on a Mac carry a "._" twin of each file in a folder of its own.
    return name.startswith(".") or name == "__MACOSX"


def _is_stem_file(path: Path) -> bool:
    return path.name.lower().endswith(STEM_FILE_SUFFIX)


def _text(path: Path) -> str:
    """Write a path the same way on every system."""
    return unicodedata.normalize("NFC", path.as_posix())
