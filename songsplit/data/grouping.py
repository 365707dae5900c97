"""Which files of a folder make up a song, and which of them are its stems."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from songsplit.data.findings import Finding, Severity
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, VOCALS, AudioPart, Song
from songsplit.data.stem_names import MIXTURE, StemName, stem_at_end, stem_in_folder, words_of

SUFFIXES = (
    *(".wav", ".wave", ".w64", ".rf64", ".flac", ".aif", ".aiff", ".aifc", ".caf", ".au"),
    *(".opus", ".ogg", ".oga", ".m4a", ".mp4", ".aac", ".mka", ".webm", ".wma", ".mp3", ".mp2"),
)
"""Names of audio files end with these. Of the same stem in two formats, the earlier is taken."""


@dataclass
class SongFiles:
    """Files that seem to belong to one song.

    Attributes
    ----------
    path : Path
        The song's folder, or the common part of the files' paths.
    files : list of tuple of Path and StemName
    """

    path: Path
    files: list[tuple[Path, StemName]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether they are the stems of a song."""
        stems = {named.stem for _, named in self.files}
        return VOCALS in stems and len(stems) > 1


def group_files(directory: Path, files: Sequence[Path]) -> tuple[list[SongFiles], list[Finding]]:
    """Sort the files of a folder into songs by their names.

    Parameters
    ----------
    directory : Path
        The folder.
    files : sequence of Path
        Audio files directly in it, each of one stem.

    Returns
    -------
    songs : list of SongFiles
        One if the folder is that of a song, else one for each different beginning.
    strays : list of Finding
        Files whose names tell nothing.
    """
    songs, strays = _flat(directory, files)
    own = _own(directory, files)
    # A stray "mix.wav" among the files of many songs does not make them one song.
    if own is not None and sum(song.complete for song in songs) < 2:
        known = {file for file, _ in own.files}
        songs, strays = [own], [file for file in files if file not in known]
    text = (
        "not used, its name does not say which stem of which song it is: call it for example "
        "'Song - vocals'"
    )
    return songs, [Finding(file, text) for file in strays]


def make_song(group: SongFiles, name: str, source: str) -> tuple[Song | None, list[Finding]]:
    """Decide which files of a song are used for what.

    Parameters
    ----------
    group : SongFiles
    name, source : str
        What to call the song, and its data source.

    Returns
    -------
    song : Song or None
        None if it lacks vocals, or anything beside them.
    findings : list of Finding
        Files that are not used, or what the song lacks.
    """
    chosen, findings = _without_twins(group.files)
    stems: dict[str, list[Path]] = {}
    for stem in (VOCALS, INSTRUMENTAL, *BACKING_PARTS, MIXTURE):
        files = [(file, named.rank) for file, named in chosen if named.stem == stem]
        if not files:
            continue
        best = min(rank for _, rank in files)
        finished = [file for file, rank in files if rank == best]
        stems[stem] = finished[:1] if stem == MIXTURE else finished
        findings += _unused((file for file, _ in files if file not in stems[stem]), stems[stem])
    lacking = _lacking(stems)
    if lacking:
        found = ", ".join(file.name for file, _ in group.files)
        return None, [*findings, Finding(group.path, f"{lacking} (found: {found})", "error")]
    if INSTRUMENTAL in stems:
        separate = [stem for stem in BACKING_PARTS if stem in stems]
        left_out = [INSTRUMENTAL] if len(separate) == len(BACKING_PARTS) else separate
        dropped = [file for stem in left_out for file in stems.pop(stem)]
        used = [file for stem in stems.keys() - {VOCALS, MIXTURE} for file in stems[stem]]
        findings += _unused(dropped, sorted(used), "info")
    mixture = stems.pop(MIXTURE, None)
    parts = {stem: tuple(map(AudioPart, paths)) for stem, paths in stems.items()}
    song = Song(name, source, "train", parts, AudioPart(mixture[0]) if mixture else None)
    return song, findings


def _own(directory: Path, files: Sequence[Path]) -> SongFiles | None:
    """Take the files for those of one song, if any is named for a stem and nothing else."""
    title = directory.resolve().name
    named = [(file, found) for file in files if (found := stem_in_folder(file.stem, title))]
    if any(not found.song and stem_at_end(file.stem) for file, found in named):
        return SongFiles(directory, named)
    return None


def _flat(directory: Path, files: Sequence[Path]) -> tuple[list[SongFiles], list[Path]]:
    """Group files by what precedes the stem's name; also return those without such a name."""
    named = {file: stem_at_end(file.stem) for file in files}
    titles = {words_of(found.song) for found in named.values() if found} - {()}
    songs: dict[tuple[str, ...], SongFiles] = {}
    strays: list[Path] = []
    for file, found in named.items():
        if words_of(file.stem) in titles:
            found = StemName(MIXTURE, 0, unicodedata.normalize("NFC", file.stem))
        if found is None or not words_of(found.song):
            strays.append(file)
            continue
        song = songs.setdefault(words_of(found.song), SongFiles(directory / found.song))
        song.files.append((file, found))
    return list(songs.values()), strays


def _lacking(stems: Collection[str]) -> str:
    if VOCALS not in stems:
        return "not used, no vocals: add a file named vocals"
    if len(stems) == 1:
        return "not used, vocals alone: add an instrumental, the other stems or the mixture"
    return ""


def _without_twins(
    files: Iterable[tuple[Path, StemName]],
) -> tuple[list[tuple[Path, StemName]], list[Finding]]:
    """Of files that differ in nothing but their format, keep one."""
    kept: dict[str, tuple[Path, StemName]] = {}
    findings = []
    for entry in sorted(files, key=lambda entry: SUFFIXES.index(entry[0].suffix.lower())):
        twin, _ = kept.setdefault(entry[0].stem.casefold(), entry)
        if twin != entry[0]:
            findings += _unused([entry[0]], [twin])
    return sorted(kept.values(), key=lambda entry: entry[0]), findings


def _unused(
    files: Iterable[Path], used: Sequence[Path], severity: Severity = "warning"
) -> list[Finding]:
    names = ", ".join(file.name for file in used)
    return [Finding(file, f"not used: {names} taken instead", severity) for file in files]
