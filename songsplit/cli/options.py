"""The options that all commands which separate songs share, and how values are read."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

import typer
from typer import Argument, Option

from songsplit.cli.display import telling_errors

# The library knows these names too. Importing them takes longer than --help may; mypy compares
# both.
Format: TypeAlias = Literal["wav", "flac", "mp3", "m4a", "ogg", "opus", "stem.mp4"]
BitDepth: TypeAlias = Literal["16", "24", "32f"]
Quality: TypeAlias = Literal["balanced", "best"]

MUTE = -math.inf
_FORMATS = get_args(Format)
_DEVICES = ("auto", "cpu", "cuda", "mps", "xpu", "hpu", "mtia")
# What people call formats and devices that have another name here.
_OTHER_NAMES = {"aac": "m4a", "mp4": "m4a", "alac": "m4a", "vorbis": "ogg", "stem": "stem.mp4"}
_OTHER_NAMES |= {"gpu": "cuda (NVIDIA, AMD) or mps (Apple)"}
_FASTEST = 4.0


def _one_of(names: Sequence[str], text: str) -> str:
    """Return a known name in lower case; the number of a device may follow it."""
    name = text.strip().lower().removeprefix(".")
    if name.partition(":")[0] not in names:
        advice = _OTHER_NAMES.get(name) or f"one of {', '.join(names)}"
        raise typer.BadParameter(f"there is no {text!r}: use {advice}")
    return name


def _number(text: object, pattern: str, what: str) -> float:
    """Read the number that is the first group of a pattern."""
    if match := re.fullmatch(pattern, str(text).strip().lower()):
        with suppress(ValueError):  # of several dots
            return float(match[1])
    raise typer.BadParameter(f"{text!r} is not {what}")


def level(text: str | float) -> float:
    """Read a level such as ``-18dB``, ``+3`` or ``off``, in dB."""
    if str(text).strip().lower() in ("off", "-inf"):
        return MUTE
    return _number(text, r"([+-]?[\d.]+)\s*(db)?", "a level: give dB, such as -18dB, or off")


def guide(text: str | float) -> float:
    """Read the level of a guide vocal, which is softer than in the song."""
    value = level(text)
    if value > 0:
        raise typer.BadParameter(
            f"{text} makes the vocals louder than in the song: say -{value:g}dB for a soft guide, "
            "or use songsplit remix"
        )
    return value


def tempo(text: str | float) -> float:
    """Read a tempo such as ``80%`` or ``0.8``."""
    value = _number(text, r"([\d.]+)\s*%?", "a tempo: give a share, such as 80% or 0.8")
    if str(text).strip().endswith("%"):
        return value / 100
    if value > _FASTEST:
        raise typer.BadParameter(f"{text!r} is that many times as fast: say {value:g}%")
    return value


def semitones(text: str | float) -> float:
    """Read how far the key moves, such as ``-2``."""
    what = "a number of semitones: give how far to go up, or down if negative, such as -2"
    return _number(text, r"([+-]?[\d.]+)", what)


Songs = Annotated[
    list[str],
    Argument(
        metavar="SONG...",
        help="Audio or video files, folders, .m3u playlists, - for standard input.",
    ),
]
FormatOption = Annotated[
    Format,
    Option(
        "--format",
        "-f",
        parser=lambda text: _one_of(_FORMATS, text),
        metavar="|".join(_FORMATS),
        autocompletion=lambda: list(_FORMATS),
        help="stem.mp4 is for DJ programs.",
    ),
]
Json = Annotated[bool, Option("--json", help="Print a line of JSON for every song.")]


@dataclass(frozen=True)
class Options:
    """What the user chose; a field for each option."""

    output: Annotated[Path, Option("--output", "-o", "--out", help="Folder for results.")] = Path()
    output_format: FormatOption = "wav"
    bit_depth: Annotated[
        BitDepth | None, Option(help="Of WAV and FLAC.", show_default="24, or a song's 16 for WAV")
    ] = None
    bitrate: Annotated[
        int | None,
        Option("--bitrate", "-b", metavar="KBIT/S", help="For stereo.", show_default="192 to 320"),
    ] = None
    filename: Annotated[
        str | None,
        Option(
            help="Names of results: a path with {track}, {stem}, {artist}, {title}, {album}.",
            show_default="{track}/{stem}, of one mixed file {track} ({stem})",
        ),
    ] = None
    plot: Annotated[bool, Option("--plot", help="Also draw spectrograms and waveforms.")] = False
    overwrite: Annotated[
        bool,
        Option("--overwrite/--skip-existing", help="Replace results, or keep them and skip songs."),
    ] = False
    model: Annotated[
        str | None,
        Option("--model", "-m", help="A name, or a .safetensors file.", show_default="default"),
    ] = None
    quality: Annotated[Quality, Option(help="Best takes 3x as long.")] = "balanced"
    device: Annotated[
        str | None,
        Option(
            "--device",
            "-d",
            parser=lambda text: _one_of(_DEVICES, text),
            metavar="NAME",
            help="cpu, cuda or mps.",
            show_default="the fastest",
        ),
    ] = None
    track: Annotated[
        int | None, Option(metavar="NUMBER", help="Sound track of a film, from 1.", min=1)
    ] = None
    jobs: Annotated[
        int, Option("--jobs", "-j", min=1, help="Songs to have in work at once. Each takes memory.")
    ] = 1
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be done.")] = False
    json: Json = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Print only results and errors.")] = False
    verbose: Annotated[bool, Option("--verbose", "-v", help="Say more, for fault reports.")] = False


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes ``options`` an option for each field of Options."""
    shared = inspect.signature(Options, eval_str=True).parameters

    @functools.wraps(command)
    def filled(**values: Any) -> None:
        options = Options(**{name: values.pop(name) for name in shared})
        with telling_errors(verbose=options.verbose):
            command(**values, options=options)

    own = inspect.signature(command, eval_str=True).parameters
    parameters = (*(own[name] for name in own if name != "options"), *shared.values())
    filled.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    return filled
