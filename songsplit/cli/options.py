"""The options that all commands which separate songs share."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from songsplit.formats import BitDepth, Clip, FormatName
from songsplit.mixes import MUTE
from songsplit.quality import BALANCED, Quality

_IN, _HOW, _OUT, _MANY, _TALK = "Songs", "Separation", "Results", "Many songs", "Messages"
_LEVEL = re.compile(r"(?i)([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)\s*(?:db)?")


def kilobits(text: str | int) -> int:
    """Read a bit rate such as ``320`` or ``320k``."""
    digits = str(text).strip().lower().removesuffix("k")
    if not digits.isdecimal():
        raise typer.BadParameter(f"{text!r} is no bit rate: give kbit/s, such as 320")
    return int(digits)


Isolate = Annotated[
    bool,
    typer.Option(
        "--isolate",
        help="Decode in a process of its own, for files from strangers.",
        rich_help_panel=_IN,
    ),
]


@dataclass(frozen=True)
class Options:
    """What the user chose; a field for each option."""

    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", "--out", help="Folder for the results.", rich_help_panel=_OUT
        ),
    ] = Path()
    output_format: Annotated[
        FormatName,
        typer.Option(
            "--format",
            "-f",
            help="Kind of file; stem.mp4 is for DJ programs.",
            rich_help_panel=_OUT,
        ),
    ] = "wav"
    bit_depth: Annotated[
        BitDepth | None,
        typer.Option(help="Of WAV and FLAC.", show_default="32f, of FLAC 24", rich_help_panel=_OUT),
    ] = None
    bitrate: Annotated[
        int | None,
        typer.Option(
            "--bitrate",
            "-b",
            parser=kilobits,
            metavar="KBIT/S",
            help="Of the other formats, in kbit/s for stereo.",
            show_default="320 for MP3, 256 for M4A and OGG, 192 for Opus",
            rich_help_panel=_OUT,
        ),
    ] = None
    sample_rate: Annotated[
        int | None,
        typer.Option(
            help="In Hz.", show_default="the song's, if the format has it", rich_help_panel=_OUT
        ),
    ] = None
    channels: Annotated[
        int | None,
        typer.Option(
            help="1 for mono, 2 for stereo.", show_default="the song's", rich_help_panel=_OUT
        ),
    ] = None
    clip: Annotated[
        Clip,
        typer.Option(
            help="Where a result would clip: make all quieter, or cut off what is beyond.",
            rich_help_panel=_OUT,
        ),
    ] = "scale"
    filename: Annotated[
        str | None,
        typer.Option(
            help="Names of results: a path with {track}, {stem}, {artist}, {title}, {album}.",
            show_default="{track}/{stem}, of one mixed file {track} ({stem})",
            rich_help_panel=_OUT,
        ),
    ] = None
    plot: Annotated[
        bool,
        typer.Option(
            "--plot", help="Also draw spectrograms and waveforms, as PNG.", rich_help_panel=_OUT
        ),
    ] = False
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite/--skip-existing",
            help="Replace results that are there, or keep them and skip the song.",
            rich_help_panel=_OUT,
        ),
    ] = False
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Name of a model, or a .safetensors file.",
            show_default="default",
            rich_help_panel=_HOW,
        ),
    ] = None
    quality: Annotated[
        Quality,
        typer.Option(
            "--quality",
            help="Fast takes a smaller network, best three times as long.",
            rich_help_panel=_HOW,
        ),
    ] = BALANCED
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            help="Compute on: cpu, cuda, mps, ...",
            show_default="the fastest",
            rich_help_panel=_HOW,
        ),
    ] = None
    isolate: Isolate = False
    glob: Annotated[
        str | None,
        typer.Option(
            help="Which files of folders to take.",
            metavar="PATTERN",
            show_default="audio and video files",
            rich_help_panel=_MANY,
        ),
    ] = None
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Songs to have in work at once: some are read and written while one is "
            "separated. Each takes memory.",
            rich_help_panel=_MANY,
        ),
    ] = 1
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be done.", rich_help_panel=_MANY),
    ] = False
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print an object in JSON for every song, each on a line.",
            rich_help_panel=_TALK,
        ),
    ] = False
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Print nothing but results and errors.", rich_help_panel=_TALK
        ),
    ] = False
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Say more, for fault reports.", rich_help_panel=_TALK),
    ] = False


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose last parameter is ``options`` an option for each field of Options."""
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in signature.parameters.items()
        if name != "options"
    ]
    shared_hints = get_type_hints(Options, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=shared_hints[field.name],
        )
        for field in fields(Options)
    ]

    @functools.wraps(command)
    def filled(**values: Any) -> None:
        chosen = {field.name: values.pop(field.name) for field in fields(Options)}
        command(**values, options=Options(**chosen))

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    filled.__signature__ = inspect.Signature([*keyword, *shared])  # type: ignore[attr-defined]
    filled.__annotations__ = {p.name: p.annotation for p in [*keyword, *shared]}
    return filled


def level(text: str | float) -> float:
    """Read a level such as ``-18dB``, ``+3`` or ``off``, in dB."""
    if not isinstance(text, str):
        return text
    if text.strip().lower() in ("off", "mute", "none", "-inf"):
        return MUTE
    match = _LEVEL.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no level: give dB, such as -18dB, or off")
    return float(match[1])


def tempo(text: str | float) -> float:
    """Read a tempo such as ``80%`` or ``0.8``."""
    if not isinstance(text, str):
        return text
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = math.nan
    if rest or not math.isfinite(value):
        raise typer.BadParameter(f"{text!r} is no tempo: give a share, such as 80% or 0.8")
    return value


Songs = Annotated[
    list[str],
    typer.Argument(
        metavar="SONG...",
        help="Audio or video files, folders, playlists (.m3u, .pls, .txt), or - for standard "
        "input.",
        show_default=False,
    ),
]
