"""The options that all commands which separate songs share."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_type_hints

import typer

# The names that the library knows too. They stand here once more because importing them takes
# longer than --help may; mypy compares both.
Format: TypeAlias = Literal["wav", "flac", "mp3", "m4a", "ogg", "opus", "stem.mp4"]
BitDepth: TypeAlias = Literal["16", "24", "32f"]
Quality: TypeAlias = Literal["balanced", "best"]

_MUTE = -math.inf
_LEVEL = re.compile(r"(?i)([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)\s*(?:db)?")
_FASTEST = 4.0
# What people call formats that have another name here.
_OTHER_NAMES = {"aac": "m4a", "mp4": "m4a", "alac": "m4a", "vorbis": "ogg", "stem": "stem.mp4"}


def format_name(text: str) -> str:
    """Read the name of a format."""
    name = text.strip().lower().removeprefix(".")
    known = get_args(Format)
    if name not in known:
        other = _OTHER_NAMES.get(name)
        advice = f"use {other}" if other else f"use one of {', '.join(known)}"
        raise typer.BadParameter(f"there is no format {text!r}: {advice}")
    return name


def _format_names() -> list[str]:
    return list(get_args(Format))


def kilobits(text: str | int) -> int:
    """Read a bit rate such as ``320`` or ``320k``."""
    digits = str(text).strip().lower().removesuffix("k")
    if not digits.isdecimal():
        raise typer.BadParameter(f"{text!r} is not a bit rate: give kbit/s, such as 320")
    return int(digits)


_out = functools.partial(typer.Option, rich_help_panel="Results")
_how = functools.partial(typer.Option, rich_help_panel="Separation")
_many = functools.partial(typer.Option, rich_help_panel="Many songs")
_talk = functools.partial(typer.Option, rich_help_panel="Messages")


@dataclass(frozen=True)
class Options:
    """What the user chose; a field for each option."""

    output: Annotated[Path, _out("--output", "-o", "--out", help="Folder for the results.")] = (
        Path()
    )
    output_format: Annotated[
        Format,
        _out(
            "--format",
            "-f",
            parser=format_name,
            metavar="|".join(get_args(Format)),
            autocompletion=_format_names,
            help="Kind of file; stem.mp4 is for DJ programs.",
        ),
    ] = "wav"
    bit_depth: Annotated[
        BitDepth | None,
        _out(help="Of WAV and FLAC.", show_default="24; 16 for WAV of 16-bit songs"),
    ] = None
    bitrate: Annotated[
        int | None,
        _out(
            "--bitrate",
            "-b",
            parser=kilobits,
            metavar="KBIT/S",
            help="Of the other formats, in kbit/s for stereo.",
            show_default="320 for MP3, 256 for M4A and OGG, 192 for Opus",
        ),
    ] = None
    filename: Annotated[
        str | None,
        _out(
            help="Names of results: a path with {track}, {stem}, {artist}, {title}, {album}.",
            show_default="{track}/{stem}, of one mixed file {track} ({stem})",
        ),
    ] = None
    plot: Annotated[bool, _out("--plot", help="Also draw spectrograms and waveforms, as PNG.")] = (
        False
    )
    overwrite: Annotated[
        bool,
        _out(
            "--overwrite/--skip-existing",
            help="Replace results that are there, or keep them and skip the song.",
        ),
    ] = False
    model: Annotated[
        str | None,
        _how(
            "--model", "-m", help="Name of a model, or a .safetensors file.", show_default="default"
        ),
    ] = None
    quality: Annotated[Quality, _how(help="Best takes three times as long.")] = "balanced"
    device: Annotated[
        str | None,
        _how("--device", "-d", help="Compute on: cpu, cuda, mps, ...", show_default="the fastest"),
    ] = None
    jobs: Annotated[
        int,
        _many("--jobs", "-j", min=1, help="Songs to have in work at once. Each takes memory."),
    ] = 1
    dry_run: Annotated[bool, _many("--dry-run", help="Only say what would be done.")] = False
    json: Annotated[
        bool, _talk("--json", help="Print an object in JSON for every song, each on a line.")
    ] = False
    quiet: Annotated[bool, _talk("--quiet", "-q", help="Print nothing but results and errors.")] = (
        False
    )
    verbose: Annotated[bool, _talk("--verbose", "-v", help="Say more, for fault reports.")] = False


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
        return _MUTE
    match = _LEVEL.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a level: give dB, such as -18dB, or off")
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
        raise typer.BadParameter(f"{text!r} is not a tempo: give a share, such as 80% or 0.8")
    if value > _FASTEST and not percent:
        raise typer.BadParameter(f"{text!r} is that many times as fast: say {value:g}%")
    return value


Songs = Annotated[
    list[str],
    typer.Argument(
        metavar="SONG...",
        help="Audio or video files, folders, .m3u playlists, - for standard input.",
        show_default=False,
    ),
]
