"""The commands that separate songs.

They import slow modules only when they run, so that ``--help`` is fast.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from songsplit.cli.display import FAILED, BatchDisplay, say
from songsplit.cli.options import MUTE, Options, Songs, guide, level, semitones, tempo, with_options
from songsplit.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from songsplit.cli.plan import Request
    from songsplit.separator import Separator
    from songsplit.stems import Mix

_STEMS = ("vocals", "instrumental")  # of the default model
# The options that apply without files.
_ABOUT_SOUND = ("model", "quality", "device", "quiet", "verbose")

_Guide = Annotated[
    float,
    Option(metavar="LEVEL", parser=guide, help="Guide vocals, such as -18dB.", show_default="off"),
]
_Level = Annotated[
    float,
    Option(metavar="LEVEL", parser=level, help="Level, such as +3dB or off.", show_default="0dB"),
]


@with_options
def split(
    songs: Songs,
    options: Options,
    stem: Annotated[str | None, Option(metavar="STEM", help="Write only this stem.")] = None,
    stdout: Annotated[
        str | None,
        Option(
            metavar="STEM",
            help="Write this stem of one song to standard output as WAV, while the song is read, "
            "instead of files.",
        ),
    ] = None,
) -> None:
    """Write vocals and instrumental of each song (the default).

    The files have the length, tags and cover picture of the song, and its sample rate and
    channels if the format supports them. By default they are 24-bit WAV, or 16-bit if the song
    has 16 bits and no stem would clip.
    """
    if stdout is None:
        _separate(songs, options, stem=stem)
    elif stem is None:
        _stream(songs, options, stdout)
    else:
        raise ConfigError("--stdout already names the stem: leave --stem out")


@with_options
def karaoke(songs: Songs, options: Options, vocals: _Guide = MUTE) -> None:
    """Write each song without vocals, or with quiet vocals as a guide."""
    _separate(songs, options, "karaoke", vocals=vocals)


@with_options
def acapella(songs: Songs, options: Options) -> None:
    """Write the vocals of each song alone."""
    _separate(songs, options, "acapella", instrumental=MUTE)


@with_options
def remix(songs: Songs, options: Options, vocals: _Level = 0.0, instrumental: _Level = 0.0) -> None:
    """Write each song with its stems at other levels.

    If the mix would clip, it is turned down as a whole, and the gain is printed.
    """
    _separate(songs, options, "remix", vocals=vocals, instrumental=instrumental)


@with_options
def practice(
    songs: Songs,
    options: Options,
    vocals: _Guide = MUTE,
    tempo: Annotated[
        float,
        Option(metavar="TEMPO", parser=tempo, help="Such as 80% or 0.8.", show_default="100%"),
    ] = 1.0,
    key: Annotated[
        float,
        Option(metavar="SEMITONES", parser=semitones, help="Up, or down if negative, such as -2."),
    ] = 0.0,
) -> None:
    """Write each song without vocals, at another tempo or key.

    Use it to practise. Tempo and key need an extra: pip install 'songsplit[practice]'.
    """
    _separate(songs, options, "practice", tempo=tempo, key=key, vocals=vocals)


def _separate(
    names: Sequence[str],
    options: Options,
    name: str | None = None,
    *,
    stem: str | None = None,
    tempo: float = 1.0,
    key: float = 0.0,
    **gains: float,
) -> None:
    """Write stems or a mix of all named songs; exit with an error if a song fails."""
    from songsplit.cli.batch import Batch
    from songsplit.cli.inputs import find_songs
    from songsplit.cli.plan import failure, without_results
    from songsplit.stems import Mix

    load = functools.cache(lambda: _load(options))
    request = _request(options, Mix(name, gains, tempo, key) if name else None, load, stem)
    found, problems = find_songs(names)
    songs = without_results(found)
    with BatchDisplay(options, len(problems) + len(songs)) as display:
        for problem, error in problems:
            display.outcome(failure(problem, error))
        Batch(request, load, display).run(songs)
    if any(outcome.error for outcome in display.outcomes):
        raise typer.Exit(FAILED)


def _stream(names: Sequence[str], options: Options, stem: str) -> None:
    """Write one stem of one song to standard output while the song is read."""
    from songsplit.audio import WavStream
    from songsplit.cli.inputs import STANDARD_INPUT, standard_input

    if len(names) > 1:
        raise ConfigError("--stdout takes one song")
    about_sound = {name: getattr(options, name) for name in _ABOUT_SOUND}
    if options != replace(Options(), **about_sound):
        raise ConfigError(
            "--stdout writes WAV with the song's rate and channels: leave out options for files"
        )
    # main() replaces a closed stream by the null device.
    if sys.stdout.isatty() or getattr(sys.stdout, "name", None) == os.devnull:
        raise OutputError("standard output is closed or a terminal: redirect it to a file or pipe")
    separator = _load(options)
    _check_stem(stem, separator.targets)
    source = standard_input() if names[0] == STANDARD_INPUT else Path(names[0])
    writer: WavStream | None = None
    for stems in separator.stream(source):
        if writer is None:
            writer = WavStream(sys.stdout.buffer, stems.sample_rate, stems[stem].shape[0])
        writer.write(stems[stem])


def _load(options: Options) -> Separator:
    # Importing torch takes seconds, so it is imported only for a model.
    from songsplit.separator import Separator

    separator = Separator(options.model, options.device, quality=options.quality)
    if options.verbose:
        name = separator.card.get("name", options.model)
        say(f"model {name}, quality {options.quality}, device {separator.device}")
    return separator


def _request(
    options: Options, mix: Mix | None, load: Callable[[], Separator], stem: str | None
) -> Request:
    """Check options before the work, and return the request for every song."""
    from songsplit.audio import AUDIO_SUFFIXES, Stretcher
    from songsplit.cli.plan import Request
    from songsplit.naming import check_template
    from songsplit.stems import Mix

    stems = _STEMS if options.model is None else load().targets
    if stem is not None:
        _check_stem(stem, stems)
        mix = Mix(stem, {other: MUTE for other in stems if other != stem})
    request = Request(options, stems, mix)
    if mix is not None and mix.is_stretched:
        Stretcher(44100, 1, tempo=mix.tempo, key=mix.key)  # raises if the extra is missing
    if options.plot:
        from songsplit.pictures import SongPicture

        SongPicture("", (), 44100)  # raises if the extra is missing
    folder = options.output
    if folder.suffix.lower() in AUDIO_SUFFIXES and not folder.is_dir():
        raise ConfigError(
            f"{folder} looks like a file, but -o names the folder for results and --format their "
            f"format: use -o {folder.with_suffix('')} --format {folder.suffix[1:]}"
        )
    holds_all = request.output.holds_all
    if mix is not None and holds_all:
        raise ConfigError(f"{request.output.name} holds all stems: use another format for a mix")
    check_template(request.template, several=mix is None and not holds_all)
    return request


def _check_stem(stem: str, stems: Sequence[str]) -> None:
    if stem not in stems:
        raise ConfigError(f"there is no stem {stem!r}, only {', '.join(stems)}")
