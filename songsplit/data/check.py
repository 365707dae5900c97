"""Checking training data: the dry run of filling the cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast, get_args

from rich.table import Table
from rich.text import Text

from songsplit.data.cache import Clip, make_clip, make_clips, padding
from songsplit.data.folders import FolderScan, find_recordings, require_songs, scan_folder
from songsplit.data.musdb import musdb_song, musdb_tracks
from songsplit.data.songs import (
    INSTRUMENTAL,
    STEM_FILE_STREAMS,
    STEM_FILE_SUFFIX,
    VOCALS,
    Song,
)
from songsplit.data.sources import SourceKind
from songsplit.errors import ConfigError, DataError

_SAMPLE_RATE = 44100


@dataclass(frozen=True)
class Row:
    """What was found out about a song or a file; `used` is None for a file that is not needed."""

    name: str
    used: bool | None
    stems: list[str]
    seconds: float | None
    remark: str


def check_folder(folder: Path, kind: str | None = None) -> list[Row]:
    """Decode everything in a folder as training would, and say what would be used.

    Without a kind, the folder is taken for MUSDB18 or for songs, whichever is found. A
    ConfigError says that the kind is unknown, a DataError that nothing of it is there.
    """
    root = Path(folder).expanduser()
    scan = _scan(root, _kind(root, kind))
    clips = make_clips(scan.songs, partial(make_clip, sample_rate=_SAMPLE_RATE), "checking")
    rows = [_row(song, clip) for song, clip in zip(scan.songs, clips, strict=True)]
    for problem in scan.problems:
        name = problem.path.relative_to(root).as_posix()
        used = False if problem.severity == "error" else None
        rows.append(Row(name, used, [], None, problem.text))
    return rows


def table(rows: list[Row]) -> Table:
    """Lay out what was found."""
    usable = sum(row.used is True for row in rows)
    songs = sum(row.used is not None for row in rows)
    hours: dict[str, float] = {}
    for row in rows:
        for stem in row.stems:
            hours[stem] = hours.get(stem, 0.0) + (row.seconds or 0.0) / 3600
    caption = f"{usable} of {songs} songs can be used"
    if hours:
        caption += "; hours: " + ", ".join(f"{stem} {time:.2f}" for stem, time in hours.items())
    found = Table("song or file", "used", "stems", "length", "remark", caption=caption)
    for row in rows:
        used, style = {True: ("yes", "green"), False: ("no", "bold red"), None: ("-", "dim")}[
            row.used
        ]
        length = "" if row.seconds is None else f"{int(row.seconds // 60)}:{row.seconds % 60:04.1f}"
        stems, remark = ", ".join(row.stems), Text(_printable(row.remark))
        found.add_row(Text(_printable(row.name)), Text(used, style), stems, length, remark)
    return found


def _row(song: Song, result: Clip | Exception) -> Row:
    if isinstance(result, Exception):
        return Row(song.name, False, [], None, str(result))
    remarks = []
    if padding(result):
        seconds = padding(result) / _SAMPLE_RATE
        remarks.append(f"stems differ in length by {seconds:.3f} s: padded with silence")
    silent = [name for name, stem in result.stems.items() if not stem.scale]
    if silent:
        remarks.append(f"silent: {', '.join(silent)}")
    return Row(
        song.name, True, list(result.stems), result.samples / _SAMPLE_RATE, "; ".join(remarks)
    )


def _kind(root: Path, kind: str | None) -> SourceKind:
    if kind is None:
        return "musdb" if _is_musdb(root) else "songs"
    if kind not in get_args(SourceKind):
        raise ConfigError(f"kind {kind!r} is unknown: use {', '.join(get_args(SourceKind))}")
    return cast(SourceKind, kind)


def _is_musdb(root: Path) -> bool:
    train = root / "train"
    names = {f"{name}.wav" for name in STEM_FILE_STREAMS}
    return any(train.glob(f"[!.]*{STEM_FILE_SUFFIX}")) or any(
        names <= {file.name for file in folder.glob("*.wav")} for folder in train.glob("[!.]*/")
    )


def _scan(root: Path, kind: SourceKind) -> FolderScan:
    if kind == "vocals":
        return FolderScan(find_recordings(root, "", VOCALS), [])
    if kind == "instrumentals":
        return FolderScan(find_recordings(root, "", INSTRUMENTAL), [])
    if kind == "musdb":
        tracks = musdb_tracks(root, "train")
        return FolderScan([musdb_song(track, track.name, "") for track in tracks], [])
    scan = scan_folder(root, "")
    if not scan.problems:
        try:
            require_songs(root, scan)
        except DataError as error:
            raise DataError(
                f"{error}. For recordings of one stem alone, use --kind vocals or --kind "
                "instrumentals"
            ) from None
    return scan


def _printable(text: str) -> str:
    """Show bytes of a file name that are no text as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
