"""Find songs in folders: group files into songs, and recognise the stem of each file.

The file name determines the stem. The name of a stem in brackets takes precedence over other
words. Otherwise the words after the last separator decide or, in the folder of a song, any
words that agree.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

from songsplit.audio.formats import audio_files
from songsplit.data.songs import (
    BACKING_PARTS,
    INSTRUMENTAL,
    MIXTURE,
    OTHER,
    STEM_FILE_STREAMS,
    STEM_FILE_SUFFIX,
    VOCALS,
    AudioPart,
    Song,
)
from songsplit.errors import DataError

Severity = Literal["error", "warning"]

_LOSSY = {".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".oga", ".opus", ".wma", ".mp2", ".webm"}
_EXPECTED = (
    "a folder for each song with files named vocals, instrumental, drums, bass, other or "
    f"mixture; or files named 'Song - vocals', 'Song - instrumental'; or *{STEM_FILE_SUFFIX}"
)

_SINGING = ("vocals", "vocal", "vox", "vocs", "voc", "voice", "voices", "singing", "singer")
_VOICES = ("lead", "main", "backing", "background", "back", "bg", "harmony", "double", "doubles")
_WITHOUT = ("no", "non", "without", "minus", "off")
# For each stem, groups of names. If a song has files of several groups, those of the first group
# are used, because the others repeat the same audio.
_NAMES: dict[str, list[str]] = {
    VOCALS: [
        "acapella, acapellas, acappella, accapella, a cappella, a capella, cappella",
        ", ".join(" ".join(words) for words in product(["", *_VOICES], _SINGING))
        + ", bgv, bgvs, bv, bvs, choir, harmonies, ad libs, adlibs, rap",
    ],
    INSTRUMENTAL: [
        "instrumental, instrumentals, instrumental mix, instr, inst",
        "accompaniment, accompaniments, accomp",
        ", ".join(" ".join(words) for words in product(_WITHOUT, _SINGING)),
        "karaoke, minus one, minusone, backing track, backing tracks, backing, playback",
    ],
    MIXTURE: [
        "mixture, mixtures",
        "mix, full mix, final mix, main mix, stereo mix, original mix, linear mixture, mixdown, "
        "mix down",
        "full, full song, original, master, mastered, full master, final master",
    ],
    "drums": [
        "drums, drum, drum kit, drumkit, percussion, percussions, perc, bass drum, kick, "
        "kick drum, snare, snare drum, hihat, hihats, hi hat, hi hats, hats, tom, toms, cymbal, "
        "cymbals, overhead, overheads, claps",
    ],
    "bass": [
        "bass, basses, bassline, bass line, bass guitar, electric bass, synth bass, bass synth, "
        "sub bass, double bass, upright bass",
    ],
    OTHER: [
        "other, others, rest, residual, residuals, remainder, guitar, guitars, acoustic guitar, "
        "electric guitar, lead guitar, rhythm guitar, piano, keys, keyboard, keyboards, organ, "
        "synth, synths, synthesizer, lead synth, pad, pads, strings, violin, cello, brass, "
        "horns, trumpet, sax, saxophone, flute, woodwinds",
    ],
}
_TABLE = {
    tuple(phrase.split()): (stem, rank)
    for stem, groups in _NAMES.items()
    for rank, group in enumerate(groups)
    for phrase in group.split(", ")
}
# "No drums" means that a stem is missing, but "no vocals" is an instrumental.
_MISSING = "missing"
_TABLE = {(no, *phrase): (_MISSING, 0) for no, phrase in product(_WITHOUT, _TABLE)} | _TABLE
_LONGEST = max(map(len, _TABLE))
_WORD = re.compile(r"[A-Z]*[^\W\d_A-Z]+|[A-Z]+|\d+")  # LeadVox is two words
_BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
# Matches "Song - no_vocals", but not "I Said No_vocals", where "no" belongs to the title.
_JOINED_WITHOUT = re.compile(
    rf"(?:^|(?<=_)|(?<=[-\u2013\u2014\d] ))(?:{'|'.join(_WITHOUT)})_", re.IGNORECASE
)
_MARKS = " \t-_.,([{<|~\u2013\u2014"


@dataclass(frozen=True)
class Finding:
    """A file or folder that is not used, and why; an error if a whole song is lost."""

    path: Path
    text: str
    severity: Severity = "warning"


@dataclass(frozen=True)
class FolderScan:
    """The songs in a folder, sorted by name, and the unused files, sorted by path."""

    songs: list[Song]
    problems: list[Finding]


def scan_folder(folder: Path, source: str) -> FolderScan:
    """Find the songs of a source at any depth of a folder.

    A song is one of these: a folder with files named after stems, in which other files belong to
    ``other``; files of one folder named ``Song - vocals``, ``Song_(Drums)`` and so on, with
    ``Song`` as their mixture; a ``.stem.mp4`` file; or a folder of MoisesDB, which contains
    ``data.json`` and a folder for each stem. Several files of one stem are summed. If a song has an
    instrumental and separate stems, the separate stems are used only if drums, bass and other all
    exist. A missing folder raises a DataError.
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
        # The root folder may itself be the folder of a song.
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
    """Return the songs of a scan, or raise a DataError if there are none."""
    if not scan.songs:
        reason = "".join(f" (not used: {p.path}: {p.text})" for p in scan.problems[:1])
        raise DataError(f"{folder}: no songs found{reason}: expected {_EXPECTED}")
    return scan.songs


def find_recordings(folder: Path, source: str, stem: str) -> FolderScan:
    """Return every audio file below a folder as a recording of one stem alone.

    A folder that is missing or has no audio files raises a DataError.
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
            text = "not used, holds all stems of a song: move it to a folder of songs"
            problems.append(Finding(file, text, "error"))
        else:
            parts = (AudioPart(file),)
            songs.append(Song(_relative(file, root), source, "train", {stem: parts}))
    return FolderScan(sorted(songs, key=lambda song: song.name), problems)


def _stem_of_folder(folder: Path, root: Path) -> StemName | None:
    """Return the stem of a folder in a song of MoisesDB, which has a folder for each stem."""
    song = folder.parent
    if folder == root or not (song / "data.json").is_file():
        return None
    return stem_in_folder(folder.name, song.name)


def _grouped(
    directory: Path, files: Sequence[Path], problems: list[Finding]
) -> dict[Path, dict[Path, StemName]]:
    """Group the files of a folder into songs, by the path of each song."""
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
    # A "mix.wav" beside the files of several songs does not make them one song.
    if has_bare_stem and sum(_is_complete(named) for named in flat.values()) < 2:
        flat = {directory: in_folder}
    for file in set(files).difference(*flat.values()):
        stems = stems_named(file.stem)
        said = f"holds {' and '.join(stems)}" if len(stems) > 1 else "does not state song and stem"
        text = f"not used, its name {said}: rename it, for example to 'Song (Vocals)'"
        problems.append(Finding(file, text))
    return flat


def _is_complete(named: Mapping[Path, StemName]) -> bool:
    stems = {name.stem for name in named.values()}
    return VOCALS in stems and len(stems) > 1


def _chosen(named: Mapping[Path, StemName], problems: list[Finding]) -> dict[str, list[Path]]:
    """Choose the files of a song for each stem."""

    def leave_out(files: Iterable[Path], used: Sequence[Path]) -> None:
        text = f"not used: {', '.join(file.name for file in used)} taken instead"
        problems.extend(Finding(file, text) for file in files)

    # Of files that differ only in format, keep one. In reverse order, WAV comes before FLAC.
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
    # An instrumental holds the same audio as its parts.
    parts = [stem for stem in BACKING_PARTS if stem in stems]
    if INSTRUMENTAL in stems:
        for stem in [INSTRUMENTAL] if len(parts) == len(BACKING_PARTS) else parts:
            del stems[stem]
    return stems


def files_below(folder: Path) -> tuple[Path, list[Path], list[Finding]]:
    """Return the path of a folder, the audio files below it, and the unreadable folders."""
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
    """Return whether the name of a file is that of a stem file."""
    return file.name.lower().endswith(STEM_FILE_SUFFIX)


def _relative(path: Path, root: Path) -> str:
    """Return a path relative to the root, the same on every system."""
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())


class StemName(NamedTuple):
    """The parts of a file name: the stem, and `song`, the text before the stem.

    Of a song's files for the same stem, those with the lowest `rank` are used.
    """

    stem: str
    rank: int
    song: str


def stem_at_end(text: str) -> StemName | None:
    """Parse song and stem of ``Song A - Vocals``, ``song_a_drums 2`` or ``Song_(Bass)_v2``.

    A stem in brackets takes precedence over the words after the last separator. The result is None
    if these do not end with a stem, name two stems, or state that a stem is missing (``no drums``).
    """
    text = unicodedata.normalize("NFC", text)
    if in_brackets := _bracketed(text):
        match = _agreed(in_brackets)
        return match and StemName(match.stem, match.rank, text[: match.start].rstrip(_MARKS))
    text = re.sub(r"[\W\d_]+$", "", text)
    spaced = _JOINED_WITHOUT.sub(lambda match: match[0][:-1] + " ", text)
    after_separator = re.split(r"_| [-\u2013\u2014] ", spaced)[-1]
    words = list(_WORD.finditer(text, len(text) - len(after_separator)))
    found = _stems_in([word[0].casefold() for word in words])
    if not found or found[0].end != len(words) or not _agreed(found):
        return None
    before = text[: words[found[0].start].start()]
    return StemName(found[0].stem, found[0].rank, before.rstrip(_MARKS))


def stem_in_folder(text: str, folder: str) -> StemName | None:
    """Parse the stem of a file in the folder of its song.

    A track number and the song's name at the start are ignored. A file without the name of a stem
    is part of ``other``; the name of the song alone is its mixture. The result is None if the name
    has the words of two stems, or states that one is missing (``no drums``).
    """
    words, song = _without_number(plain_words(text)), _without_number(plain_words(folder))
    if _TABLE.get(tuple(song), (_MISSING, 0))[0] != _MISSING:
        song = []  # a folder for the takes of one stem
    if song and words == song:
        return StemName(MIXTURE, 1, "")
    found = _bracketed(unicodedata.normalize("NFC", text))
    if song and words[: len(song)] == song:
        words = _without_number(words[len(song) :])
        found = found[: len(found) - len(_bracketed(folder))]
    match = _agreed(found or _stems_in(words) or [_Match(OTHER, 0, len(words), len(words))])
    before = words[: match.start] if match and not found else words
    return match and StemName(match.stem, match.rank, " ".join(before))


def stems_named(text: str) -> list[str]:
    """Return all stems named in a text, except the mixture, sorted."""
    return sorted({match.stem for match in _stems_in(plain_words(text))} - {MIXTURE, _MISSING})


def plain_words(text: str) -> list[str]:
    """Split a name into words and numbers in lower case."""
    return [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFC", text))]


class _Match(NamedTuple):
    """A stem and its place: the words, or in brackets the characters, from `start` to `end`."""

    stem: str
    rank: int
    start: int
    end: int


def _stems_in(words: Sequence[str]) -> list[_Match]:
    """Find all names of stems among words in lower case, from the last to the first."""
    found, end = [], len(words)
    while end:
        for start in range(max(0, end - _LONGEST), end):
            known = _TABLE.get(tuple(words[start:end]))
            if known is not None:
                found.append(_Match(*known, start, end))
                end = start
                break
        else:
            end -= 1
    return found


def _agreed(found: Sequence[_Match]) -> _Match | None:
    """Return the first match that is not a mixture ("drum mix" is drums); None if stems differ."""
    stems = {match.stem for match in found} - {MIXTURE}
    if len(stems) > 1 or _MISSING in stems:
        return None
    return min(found, key=lambda match: match.stem == MIXTURE)


def _bracketed(text: str) -> list[_Match]:
    """Find brackets that contain only the name of a stem, from the last to the first."""
    found = []
    for match in _BRACKETS.finditer(text):
        known = _TABLE.get(tuple(word for word in plain_words(match[1]) if not word.isdigit()))
        if known and known[0] != _MISSING:
            found.append(_Match(*known, *match.span()))
    return found[::-1]


def _without_number(words: list[str]) -> list[str]:
    """Drop a track number unless there are no other words."""
    return words[1:] if len(words) > 1 and words[0].isdigit() else words
