"""Songs in folders as people keep them: which files make a song."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from songsplit.audio.finding import audio_files
from songsplit.data.songs import (
    BACKING_PARTS,
    INSTRUMENTAL,
    MIXTURE,
    STEM_FILE_STREAMS,
    STEM_FILE_SUFFIX,
    VOCALS,
    AudioPart,
    Song,
)
from songsplit.data.stem_names import (
    StemName,
    plain_words,
    stem_at_end,
    stem_in_folder,
    stems_named,
)
from songsplit.errors import DataError

Severity = Literal["error", "warning"]

_LOSSY = {".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".oga", ".opus", ".wma", ".mp2", ".webm"}
_EXPECTED = (
    "a folder for each song with files named vocals, instrumental, drums, bass, other or "
    f"mixture; or files named 'Song - vocals', 'Song - instrumental'; or *{STEM_FILE_SUFFIX}"
)


@dataclass(frozen=True)
class Finding:
    """A file or folder that is not used, and why; an error if this costs a whole song."""

    path: Path
    text: str
    severity: Severity = "warning"


@dataclass(frozen=True)
class FolderScan:
    """The songs in a folder, sorted by name, and what is not used, sorted by path."""

    songs: list[Song]
    problems: list[Finding]


def scan_folder(folder: Path, source: str) -> FolderScan:
    """Find the songs of a source at any depth of a folder.

    A song is a folder with files named for stems, in which whatever names no stem belongs
    to ``other``; or files of one folder called ``Song - vocals``, ``Song_(Drums)`` and so
    on, with ``Song`` as their mixture; or a ``.stem.mp4`` file; or a folder of MoisesDB, which
    holds ``data.json`` and a folder for each stem. Several files of one stem are summed. Of an
    instrumental and separate stems, the separate stems are used only if drums, bass and other
    are all there. A DataError says that there is no such folder.
    """
    root, files, problems = files_below(folder)
    found: list[Song] = []
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    by_song: dict[Path, dict[Path, StemName]] = defaultdict(dict)
    for file in files:
        if is_stem_file(file):
            name = _relative(file, root)[: -len(STEM_FILE_SUFFIX)]
            streams = {x: AudioPart(file, index) for index, x in enumerate(STEM_FILE_STREAMS)}
            stems = {stem: (streams[stem],) for stem in (VOCALS, *BACKING_PARTS)}
            found.append(Song(name, source, "train", stems, streams[MIXTURE]))
        elif folder_stem := _stem_of_folder(file.parent, root):
            by_song[file.parent.parent][file] = folder_stem
        else:
            by_folder[file.parent].append(file)
    for directory, together in by_folder.items():
        by_song |= _grouped(directory, together, problems)
    for path, named in by_song.items():
        # The folder may itself be that of a song.
        name = root.resolve().name if path == root else _relative(path, root)
        files_of = _chosen(named, problems)
        if VOCALS in files_of and len(files_of) > 1:
            parts = {stem: tuple(map(AudioPart, files)) for stem, files in files_of.items()}
            (mixture,) = parts.pop(MIXTURE, (None,))
            found.append(Song(name, source, "train", parts, mixture))
            continue
        lacking = "no vocals: add a file named vocals"
        if VOCALS in files_of:
            lacking = "vocals alone: add an instrumental, the other stems or the mixture"
        there = ", ".join(file.name for file in sorted(named))
        problems.append(Finding(path, f"not used, {lacking} (found: {there})", "error"))
    songs: dict[str, Song] = {}
    for song in found:
        if songs.setdefault(song.name, song) is not song:
            text = f"not used, there is another song {song.name!r}: rename one of them"
            problems.append(Finding(song.parts[0].path, text, "error"))
    problems.sort(key=lambda problem: str(problem.path))
    return FolderScan(sorted(songs.values(), key=lambda song: song.name), problems)


def require_songs(folder: Path, scan: FolderScan) -> list[Song]:
    """Return the songs of a scan; a DataError says what was expected if there are none."""
    if not scan.songs:
        reason = "".join(f" (not used: {p.path}: {p.text})" for p in scan.problems[:1])
        raise DataError(f"{folder}: no songs found{reason}: expected {_EXPECTED}")
    return scan.songs


def find_recordings(folder: Path, source: str, stem: str) -> FolderScan:
    """Take every audio file below a folder for a recording of one stem alone.

    A DataError says that there is no such folder, or that it holds no audio files.
    """
    root, files, problems = files_below(folder)
    if not files:
        raise DataError(
            f"{folder}: no audio files found: expected recordings of {stem}, for example "
            "*.wav, *.flac or *.mp3"
        )
    songs = []
    for file in files:
        if is_stem_file(file):
            text = "not used, it holds all stems of a song: move it to a folder of songs"
            problems.append(Finding(file, text, "error"))
        else:
            parts = (AudioPart(file),)
            songs.append(Song(_relative(file, root), source, "train", {stem: parts}))
    return FolderScan(sorted(songs, key=lambda song: song.name), problems)


def _stem_of_folder(folder: Path, root: Path) -> StemName | None:
    """Tell the stem of a folder in a song of MoisesDB, which has a folder for each stem."""
    song = folder.parent
    if folder == root or not (song / "data.json").is_file():
        return None
    return stem_in_folder(folder.name, song.name)


def _grouped(
    directory: Path, files: Sequence[Path], problems: list[Finding]
) -> dict[Path, dict[Path, StemName]]:
    """Sort the files of a folder into songs, by the path of each song."""
    at_end = {file: stem_at_end(file.stem) for file in files}
    titles = {tuple(plain_words(name.song)): name.song for name in at_end.values() if name}
    flat: dict[Path, dict[Path, StemName]] = defaultdict(dict)
    for file, name in at_end.items():
        title = tuple(plain_words(file.stem))
        if title and title in titles:
            name = StemName(MIXTURE, 0, titles[title])
        if name is not None and (key := tuple(plain_words(name.song))):
            flat[directory / titles[key]][file] = name

    of_song = directory.resolve().name
    in_folder = {f: name for f in files if (name := stem_in_folder(f.stem, of_song)) is not None}
    has_bare_stem = any(not name.song and at_end[file] for file, name in in_folder.items())
    # A stray "mix.wav" among the files of many songs does not make them one song.
    if has_bare_stem and sum(_is_complete(named) for named in flat.values()) < 2:
        flat = {directory: in_folder}
    for file in set(files).difference(*flat.values()):
        stems = stems_named(file.stem)
        said = " and ".join(stems) if len(stems) > 1 else "not which stem of which song it is"
        text = f"not used, its name says {said}: call it for example 'Song (Vocals)'"
        problems.append(Finding(file, text))
    return flat


def _is_complete(named: Mapping[Path, StemName]) -> bool:
    stems = {name.stem for name in named.values()}
    return VOCALS in stems and len(stems) > 1


def _chosen(named: Mapping[Path, StemName], problems: list[Finding]) -> dict[str, list[Path]]:
    """Decide which of a song's files are used for which stem."""

    def leave_out(files: Iterable[Path], used: Sequence[Path]) -> None:
        text = f"not used: {', '.join(file.name for file in used)} taken instead"
        problems.extend(Finding(file, text) for file in files)

    # Of files that differ in their format alone, one is kept.
    # WAV comes last in the alphabet, and is preferred to FLAC.
    kept: dict[str, Path] = {}
    for file in sorted(named, key=lambda f: (f.suffix.lower() not in _LOSSY, f), reverse=True):
        if (twin := kept.setdefault(str(file.with_suffix("")).casefold(), file)) != file:
            leave_out([file], [twin])
    stems: dict[str, list[Path]] = {}
    for stem in (VOCALS, INSTRUMENTAL, *BACKING_PARTS, MIXTURE):
        files = sorted(file for file in kept.values() if named[file].stem == stem)
        if files:
            best = min(named[file].rank for file in files)
            used = [file for file in files if named[file].rank == best]
            stems[stem] = used[:1] if stem == MIXTURE else used
            leave_out([f for f in files if f not in stems[stem]], stems[stem])
    # An instrumental holds the same as its parts.
    parts = [stem for stem in BACKING_PARTS if stem in stems]
    if INSTRUMENTAL in stems:
        for stem in [INSTRUMENTAL] if len(parts) == len(BACKING_PARTS) else parts:
            del stems[stem]
    return stems


def files_below(folder: Path) -> tuple[Path, list[Path], list[Finding]]:
    """Give the path of a folder, the audio files below it, and what of it cannot be read."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        what = "this is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{folder}: {what}: name the folder that holds the audio files")
    problems: list[Finding] = []

    def report(error: OSError) -> None:
        text = f"cannot be read ({error.strerror}): change its permissions"
        problems.append(Finding(Path(error.filename), text, "error"))

    return root, audio_files(root, report), problems


def is_stem_file(file: Path) -> bool:
    """Say whether a file is named as one that holds all stems of a song."""
    return file.name.lower().endswith(STEM_FILE_SUFFIX)


def _relative(path: Path, root: Path) -> str:
    """Write a path below the root the same way on every system."""
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())
