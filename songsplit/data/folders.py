"""Songs in folders as people keep them: which files make a song."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from songsplit.audio.finding import audio_files
from songsplit.data.songs import (
    BACKING_PARTS,
    INSTRUMENTAL,
    MIXTURE,
    STEM_FILE_SUFFIX,
    VOCALS,
    AudioPart,
    Song,
    stem_file_song,
)
from songsplit.data.stem_names import StemName, plain_words, stem_at_end, stem_in_folder, stems_in
from songsplit.errors import DataError

Severity = Literal["error", "warning", "info"]

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
    on, with ``Song`` as their mixture; or a ``.stem.mp4`` file. Several files of one stem
    are summed. Of an instrumental and separate stems, the separate stems are used only if
    drums, bass and other are all there. A DataError says that there is no such folder.
    """
    root = _existing(folder)
    problems: list[Finding] = []
    found: list[Song] = []
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for file in _files(root, problems):
        if file.name.lower().endswith(STEM_FILE_SUFFIX):
            name = _relative(file, root)[: -len(STEM_FILE_SUFFIX)]
            found.append(stem_file_song(name, source, file))
        else:
            by_folder[file.parent].append(file)
    for directory, files in by_folder.items():
        for path, named in _grouped(directory, files, problems).items():
            # The folder may itself be that of a song.
            name = root.resolve().name if path == root else _relative(path, root)
            song = _made(path, named, name, source, problems)
            found += [song] if song else []
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


def find_recordings(
    folder: Path, source: str, stem: Literal["vocals", "instrumental"]
) -> list[Song]:
    """Take every audio file below a folder for a recording of one stem alone, sorted by name.

    A DataError says that there is no such folder, that it holds no audio files, that part
    of it cannot be read, or that a file in it holds the stems of a song.
    """
    root = _existing(folder)
    problems: list[Finding] = []
    files = _files(root, problems)
    if problems:
        raise DataError(f"{problems[0].path}: {problems[0].text}")
    if not files:
        raise DataError(
            f"{folder}: no audio files found: expected recordings of {stem}, for example "
            "*.wav, *.flac or *.mp3"
        )
    for file in files:
        if file.name.lower().endswith(STEM_FILE_SUFFIX):
            raise DataError(
                f"{file}: this file holds the stems of a song, not {stem} alone: move it to a "
                "folder of songs"
            )
    songs = [Song(_relative(f, root), source, "train", {stem: (AudioPart(f),)}) for f in files]
    return sorted(songs, key=lambda song: song.name)


def _grouped(
    directory: Path, files: Sequence[Path], problems: list[Finding]
) -> dict[Path, list[tuple[Path, StemName]]]:
    """Sort the files of a folder into songs, by the path of each song."""
    flat: dict[Path, list[tuple[Path, StemName]]] = {}
    strays = []
    at_end = {file: stem_at_end(file.stem) for file in files}
    titles = {tuple(plain_words(name.song)): name.song for name in at_end.values() if name}
    for file, name in at_end.items():
        title = tuple(plain_words(file.stem))
        if title and title in titles:
            name = StemName(MIXTURE, 0, titles[title])
        if name is None or not (key := tuple(plain_words(name.song))):
            strays.append(file)
        else:
            flat.setdefault(directory / titles[key], []).append((file, name))

    title_of_folder = directory.resolve().name
    in_folder = {file: stem_in_folder(file.stem, title_of_folder) for file in files}
    own = any(
        name is not None and not name.song and at_end[file] for file, name in in_folder.items()
    )
    # A stray "mix.wav" among the files of many songs does not make them one song.
    if own and sum(_is_complete(named) for named in flat.values()) < 2:
        named = [(file, name) for file, name in in_folder.items() if name is not None]
        flat, strays = {directory: named}, [f for f in files if in_folder[f] is None]
    for file in strays:
        stems = sorted({match.stem for match in stems_in(plain_words(file.stem))} - {MIXTURE})
        said = " and ".join(stems) if len(stems) > 1 else "not which stem of which song it is"
        text = f"not used, its name says {said}: call it for example 'Song (Vocals)'"
        problems.append(Finding(file, text))
    return flat


def _is_complete(named: Iterable[tuple[Path, StemName]]) -> bool:
    stems = {name.stem for _, name in named}
    return VOCALS in stems and len(stems) > 1


def _made(
    path: Path, named: list[tuple[Path, StemName]], name: str, source: str, problems: list[Finding]
) -> Song | None:
    """Decide which of a song's files are used; None if it lacks vocals or anything else."""

    def leave_out(files: Iterable[Path], used: Sequence[Path], severity: Severity) -> None:
        text = f"not used: {', '.join(file.name for file in used)} taken instead"
        problems.extend(Finding(file, text, severity) for file in files)

    kept: dict[str, tuple[Path, StemName]] = {}
    # Of files that differ in their format alone, one is kept.
    # WAV comes last in the alphabet, and is preferred to FLAC.
    named = sorted(named, key=lambda e: (e[0].suffix.lower() not in _LOSSY, e[0]), reverse=True)
    for entry in named:
        twin, _ = kept.setdefault(entry[0].stem.casefold(), entry)
        if twin != entry[0]:
            leave_out([entry[0]], [twin], "warning")
    stems: dict[str, list[Path]] = {}
    for stem in (VOCALS, INSTRUMENTAL, *BACKING_PARTS, MIXTURE):
        files = sorted((file, found.rank) for file, found in kept.values() if found.stem == stem)
        if files:
            best = min(rank for _, rank in files)
            used = [file for file, rank in files if rank == best]
            stems[stem] = used[:1] if stem == MIXTURE else used
            leave_out([f for f, _ in files if f not in stems[stem]], stems[stem], "warning")
    if VOCALS not in stems or len(stems) == 1:
        lacking = "no vocals: add a file named vocals"
        if VOCALS in stems:
            lacking = "vocals alone: add an instrumental, the other stems or the mixture"
        there = ", ".join(file.name for file, _ in named)
        problems.append(Finding(path, f"not used, {lacking} (found: {there})", "error"))
        return None
    if INSTRUMENTAL in stems:
        separate = [stem for stem in BACKING_PARTS if stem in stems]
        dropped = [INSTRUMENTAL] if len(separate) == len(BACKING_PARTS) else separate
        unused = [file for stem in dropped for file in stems.pop(stem)]
        used = [f for stem, files in stems.items() if stem not in (VOCALS, MIXTURE) for f in files]
        leave_out(unused, sorted(used), "info")
    mixture = stems.pop(MIXTURE, None)
    parts = {stem: tuple(map(AudioPart, files)) for stem, files in stems.items()}
    return Song(name, source, "train", parts, AudioPart(mixture[0]) if mixture else None)


def _existing(folder: Path) -> Path:
    root = Path(folder).expanduser()
    if not root.is_dir():
        what = "this is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{folder}: {what}: name the folder that holds the audio files")
    return root


def _files(root: Path, problems: list[Finding]) -> list[Path]:
    def report(error: OSError) -> None:
        text = f"cannot be read ({error.strerror}): change its permissions"
        problems.append(Finding(Path(error.filename), text, "error"))

    return audio_files(root, report)


def _relative(path: Path, root: Path) -> str:
    """Write a path below the root the same way on every system."""
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())
