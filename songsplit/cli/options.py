"""The shared options of the commands that separate songs, and the parsers of their values."""

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

# Repeated from the library, whose import would delay --help; mypy checks that both agree.
Format: TypeAlias = Literal["wav", "flac", "mp3", "m4a", "ogg", "opus", "stem.mp4"]
BitDepth: TypeAlias = Literal["16", "24", "32f"]
Quality: TypeAlias = Literal["balanced", "best"]

MUTE = -math.inf
_FORMATS = get_args(Format)
_DEVICES = ("auto", "cpu", "cuda", "mps", "xpu", "hpu", "mtia")
# Other common names of formats and devices.
_OTHER_NAMES = {"aac": "m4a", "mp4": "m4a", "alac": "m4a", "vorbis": "ogg", "stem": "stem.mp4"}
_OTHER_NAMES |= {"gpu": "cuda (NVIDIA, AMD) or mps (Apple)"}
_FASTEST = 4.0


def _one_of(names: Sequence[str], text: str) -> str:
    """Return a known name in lower case; a device may have a number after it."""
    name = text.strip().lower().removeprefix(".")
    if name.partition(":")[0] not in names:
        advice = _OTHER_NAMES.get(name) or f"one of {', '.join(names)}"
        raise typer.BadParameter(f"unknown value {text!r}: use {advice}")
    return name


def _number(text: object, pattern: str, what: str) -> float:
    """Return the first group of a pattern as a number."""
    if match := re.fullmatch(pattern, str(text).strip().lower()):
        with suppress(ValueError):  # several dots
            return float(match[1])
    raise typer.BadParameter(f"{text!r} is not {what}")


def level(text: str | float) -> float:
    """Parse a level such as ``-18dB``, ``+3`` or ``off``; return it in dB."""
    if str(text).strip().lower() in ("off", "-inf"):
        return MUTE
    return _number(text, r"([+-]?[\d.]+)\s*(db)?", "a level: use dB, such as -18dB, or off")


def guide(text: str | float) -> float:
    """Parse the level of a guide vocal, at most 0 dB."""
    value = level(text)
    if value > 0:
        raise typer.BadParameter(
            f"{text} makes the vocals louder than in the song: use -{value:g}dB for a quiet guide, "
            "or songsplit remix"
        )
    return value


def tempo(text: str | float) -> float:
    """Parse a tempo such as ``80%`` or ``0.8``."""
    value = _number(text, r"([\d.]+)\s*%?", "a tempo: use a factor, such as 80% or 0.8")
    if str(text).strip().endswith("%"):
        return value / 100
    if value > _FASTEST:
        raise typer.BadParameter(f"{text!r} means {value:g} times as fast: use {value:g}%")
    return value


def semitones(text: str | float) -> float:
    """Parse a transposition in semitones, such as ``-2``."""
    what = "a number of semitones: use for example 2 (up) or -2 (down)"
    return _number(text, r"([+-]?[\d.]+)", what)


Songs = Annotated[
    list[str],
    Argument(
        metavar="SONG...",
        help="Audio or video files, folders, .m3u playlists, or - for standard input.",
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
        help="File format; stem.mp4 is for DJ programs.",
    ),
]
BitDepthOption = Annotated[
    BitDepth | None,
    Option(help="For WAV and FLAC.", show_default="24, or 16 for WAV of a 16-bit song"),
]
BitrateOption = Annotated[
    int | None,
    Option("--bitrate", "-b", metavar="KBIT/S", help="For stereo.", show_default="192 to 320"),
]
ModelOption = Annotated[
    str | None,
    Option("--model", "-m", help="Name or .safetensors file.", show_default="default"),
]
QualityOption = Annotated[Quality, Option(help="best takes 3 times as long.")]
DeviceOption = Annotated[
    str | None,
    Option(
        "--device",
        "-d",
        parser=lambda text: _one_of(_DEVICES, text),
        metavar="NAME",
        help="Compute device: cpu, cuda or mps.",
        show_default="the fastest",
    ),
]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Print only results and errors.")]
Json = Annotated[bool, Option("--json", help="Print a line of JSON for every song.")]


@dataclass(frozen=True)
class Options:
    """The user's choices, with a field for each option."""

    output: Annotated[Path, Option("--output", "-o", "--out", help="Folder for results.")] = Path()
    output_format: FormatOption = "wav"
    bit_depth: BitDepthOption = None
    bitrate: BitrateOption = None
    filename: Annotated[
        str | None,
        Option(
            help="Path of results, with {track}, {stem}, {artist}, {title} or {album}.",
            show_default="{track}/{stem}, or {track} ({stem}) for a mix",
        ),
    ] = None
    plot: Annotated[bool, Option("--plot", help="Also draw spectrograms and waveforms.")] = False
    overwrite: Annotated[
        bool,
        Option("--overwrite/--skip-existing", help="Replace existing results, or skip the songs."),
    ] = False
    model: ModelOption = None
    quality: QualityOption = "balanced"
    device: DeviceOption = None
    track: Annotated[
        int | None, Option(metavar="NUMBER", help="Sound track of a film, from 1.", min=1)
    ] = None
    jobs: Annotated[
        int, Option("--jobs", "-j", min=1, help="Songs to separate at once. Each needs memory.")
    ] = 1
    dry_run: Annotated[bool, Option("--dry-run", help="Only list the planned files.")] = False
    json: Json = False
    quiet: Quiet = False
    verbose: Annotated[bool, Option("--verbose", "-v", help="Print more, for bug reports.")] = False


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter ``options`` of a command by an option for each field of Options."""
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
