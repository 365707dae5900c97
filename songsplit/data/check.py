"""The command ``songsplit data check``, a dry run of filling the cache."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from songsplit.data.cache import Clip
    from songsplit.data.songs import Song

app = typer.Typer(help="Check training data.", no_args_is_help=True)

_SAMPLE_RATE = 44100


@dataclass(frozen=True)
class Row:
    """The result for a song or file; `used` is None for a file that is not needed."""

    name: str
    used: bool | None
    stems: list[str]
    seconds: float | None
    remark: str


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of training data.", show_default=False)],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Kind of data: songs, vocals, instrumentals or musdb.",
            show_default="musdb or songs, as found",
        ),
    ] = None,
) -> None:
    """Decode training data as a training does, without keeping anything.

    The table shows which songs a training would use, with which stems, and why it would not use
    the others. The exit status is 1 if no song can be used.
    """
    from rich.console import Console

    rows = check_folder(folder, kind)
    # Wide enough for all columns, also if the output goes to a file.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(table(rows))
    if not any(row.used for row in rows):
        raise typer.Exit(1)


def check_folder(folder: Path, kind: str | None = None) -> list[Row]:
    """Decode everything in a folder as training does, and return the result for each song.

    Without a kind, the folder is MUSDB18 or songs, as found. An unknown kind raises a ConfigError,
    and a folder without data of that kind raises a DataError.
    """
    # Slow imports would delay --help.
    from songsplit.data.cache import make_clips
    from songsplit.data.folders import require_songs
    from songsplit.data.songs import STEM_FILE_SUFFIX
    from songsplit.data.sources import SourceKind, scan_source
    from songsplit.errors import ConfigError

    root = Path(folder).expanduser()
    if kind is None:
        train = root / "train"
        is_musdb = any([*train.glob(f"*{STEM_FILE_SUFFIX}"), *train.glob("*/other.wav")])
        kind = "musdb" if is_musdb else "songs"
    if kind not in get_args(SourceKind):
        raise ConfigError(f"kind {kind!r} is unknown: use {', '.join(get_args(SourceKind))}")
    scan = scan_source("", cast("SourceKind", kind), root)
    if not scan.problems:
        require_songs(root, scan)
    clips = make_clips(scan.songs, _SAMPLE_RATE, "checking")
    rows = [_row(song, clip) for song, clip in zip(scan.songs, clips, strict=True)]
    for problem in scan.problems:
        name = problem.path.relative_to(root).as_posix()
        used = False if problem.severity == "error" else None
        rows.append(Row(name, used, [], None, problem.text))
    return rows


def _row(song: Song, result: Clip | Exception) -> Row:
    if isinstance(result, Exception):
        return Row(song.name, False, [], None, str(result))
    remarks = []
    shortest = min(stem.samples for stem in result.stems.values())
    if shortest < result.samples:
        seconds = (result.samples - shortest) / _SAMPLE_RATE
        remarks.append(f"stems differ in length by {seconds:.3f} s: padded with silence")
    if silent := [name for name, stem in result.stems.items() if not stem.scale]:
        remarks.append(f"silent: {', '.join(silent)}")
    seconds = result.samples / _SAMPLE_RATE
    return Row(song.name, True, list(result.stems), seconds, "; ".join(remarks))


def table(rows: list[Row]) -> Table:
    """Return the table of the results."""
    from rich.table import Table
    from rich.text import Text

    hours: Counter[str] = Counter()
    found = Table("song or file", "used", "stems", "length", "remark")
    for row in rows:
        used = {True: "[green]yes", False: "[bold red]no", None: "[dim]-"}[row.used]
        length = ""
        if row.seconds is not None:
            length = f"{int(row.seconds // 60)}:{row.seconds % 60:04.1f}"
            hours.update(dict.fromkeys(row.stems, row.seconds / 3600))
        # Text, because brackets in names and remarks would be parsed as markup.
        found.add_row(Text(row.name), used, ", ".join(row.stems), length, Text(row.remark))
    usable = sum(row.used is True for row in rows)
    songs = sum(row.used is not None for row in rows)
    found.caption = f"{usable} of {songs} songs can be used"
    if hours:
        found.caption += "; hours: " + ", ".join(f"{stem} {hours[stem]:.2f}" for stem in hours)
    return found
