"""The commands that separate songs.

They import what they need when they run: that takes long, and ``--help`` should be quick.
"""

from __future__ import annotations

import functools
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from songsplit.cli.display import BatchDisplay, StandardOutputError, say
from songsplit.cli.options import Options, Songs, level, tempo, with_options
from songsplit.errors import ConfigError, OutputError, SongsplitError

if TYPE_CHECKING:
    from songsplit.cli.plan import Outcome, Request
    from songsplit.separator import Separator
    from songsplit.stems import Mix, MixName

# Exit codes: 0, this, 2 for wrong use, and as shells count what a signal ended, such as
# 130 for Ctrl-C, and 141 if whoever reads the output has had enough.
_FAILED, _SIGNALLED, _BROKEN_PIPE = 1, 128, 141

_STEMS = ("vocals", "instrumental")  # of the default model
_MUTE = -math.inf
# Options that have no meaning where nothing is written to files.
_OF_FILES = (
    *("output", "output_format", "bit_depth", "bitrate", "filename", "plot", "overwrite"),
    *("dry_run", "json", "jobs"),
)

_GuideVocals = Annotated[
    float,
    typer.Option(
        parser=level,
        metavar="LEVEL",
        help="Keep the vocals as a guide, at -18dB for example.",
        show_default="off",
    ),
]


@with_options
def split(
    songs: Songs,
    options: Options,
    stdout: Annotated[
        str | None,
        typer.Option(
            metavar="STEM",
            help="Write this stem of one song to standard output, as WAV, while the song is "
            "still being read; write no files.",
            show_default=False,
            rich_help_panel="Results",
        ),
    ] = None,
) -> None:
    """Write vocals and instrumental of each song (the default).

    The files have the song's own sample rate, channels and length (where the format has
    them), its tags and its cover picture. By default they are WAV of 24 bits, or of 16 if the
    song has 16 and nothing would clip.
    """
    if stdout is None:
        _separate(songs, options)
    else:
        _stream(songs, options, stdout)


@with_options
def karaoke(
    songs: Songs,
    options: Options,
    vocals: _GuideVocals = _MUTE,
) -> None:
    """Write each song without its vocals, or with them as a guide."""
    _mix(songs, options, "karaoke", vocals=vocals)


@with_options
def acapella(songs: Songs, options: Options) -> None:
    """Write the vocals of each song alone."""
    _mix(songs, options, "acapella", instrumental=_MUTE)


@with_options
def remix(
    songs: Songs,
    options: Options,
    vocals: Annotated[
        float,
        typer.Option(
            parser=level, metavar="LEVEL", help="For example +3dB, or off.", show_default="0dB"
        ),
    ] = 0.0,
    instrumental: Annotated[
        float,
        typer.Option(
            parser=level, metavar="LEVEL", help="For example -2dB, or off.", show_default="0dB"
        ),
    ] = 0.0,
) -> None:
    """Write each song with its stems at other levels.

    If the result would clip, all of it is turned down, and by how much is printed.
    """
    _mix(songs, options, "remix", vocals=vocals, instrumental=instrumental)


@with_options
def practice(
    songs: Songs,
    options: Options,
    vocals: _GuideVocals = _MUTE,
    tempo: Annotated[
        float,
        typer.Option(
            parser=tempo, metavar="SHARE", help="For example 80%, or 0.8.", show_default="100%"
        ),
    ] = 1.0,
    key: Annotated[
        float, typer.Option(metavar="SEMITONES", help="Up, or down if negative: -2, for example.")
    ] = 0.0,
) -> None:
    """Write each song without vocals, at another tempo or key.

    To sing or play along with. Tempo and key need the extra: pip install 'songsplit[practice]'.
    """
    _mix(songs, options, "practice", tempo=tempo, key=key, vocals=vocals)


def _mix(
    songs: list[str],
    options: Options,
    name: MixName,
    *,
    tempo: float = 1.0,
    key: float = 0.0,
    **gains: float,
) -> None:
    from songsplit.stems import Mix

    try:
        mix = Mix(name, gains, tempo, key)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    _separate(songs, options, mix)


def _separate(names: Sequence[str], options: Options, mix: Mix | None = None) -> None:
    """Separate all songs that names stand for, and end the program if any failed."""
    from songsplit.cli.batch import Batch, Stopped
    from songsplit.cli.inputs import find_songs
    from songsplit.cli.plan import Outcome

    start = time.monotonic()
    load = _loader(options)
    try:
        request = _request(options, mix, load)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    except SongsplitError as error:
        _fail(error, options)
    songs, problems = find_songs(names)
    display = BatchDisplay(len(songs), lambda o: _result(o, options), quiet=options.quiet)
    batch = Batch(request, load, display)
    stopped: Stopped | None = None
    try:
        with display:
            for problem in problems:
                cause = problem.error
                outcome = Outcome(problem.name, "failed", error=str(cause), cause=cause)
                batch.outcomes.append(outcome)
                display.outcome(outcome)
            try:
                batch.run(songs, jobs=options.jobs, dry_run=options.dry_run)
            except Stopped as stop:
                stopped = stop
            if len(batch.outcomes) > 1:
                display.summary(batch.outcomes, time.monotonic() - start)
    except SongsplitError as error:
        _fail(error, options)
    except StandardOutputError as error:
        _fail_at_standard_output(error.reason)
    if stopped is not None:
        rest = "" if options.overwrite else "; the same command goes on from here"
        _say_stopped(f"no partial results were left{rest}", stopped.signal)
    if any(outcome.status == "failed" for outcome in batch.outcomes):
        raise typer.Exit(_FAILED)


def _stream(names: Sequence[str], options: Options, stem: str) -> None:
    """Write one stem of one song to standard output, while the song is still being read."""
    from songsplit.audio import WavStream
    from songsplit.cli.inputs import STANDARD_INPUT, standard_input

    if len(names) > 1:
        raise typer.BadParameter("--stdout takes one song")
    for name in _OF_FILES:
        if getattr(options, name) != getattr(Options, name):
            shown = "format" if name == "output_format" else name.replace("_", "-")
            raise typer.BadParameter(
                f"--{shown} is about files: --stdout gives WAV of the song's rate and channels"
            )
    try:
        if sys.stdout.isatty():
            raise OutputError("standard output is a terminal: send it to a file or to a program")
        # That is what takes the place of a closed stream.
        if getattr(sys.stdout, "name", None) == os.devnull:
            raise OutputError("standard output is closed: send it to a file or to a program")
        separator = _loader(options)()
        if stem not in separator.targets:
            raise OutputError(f"there is no stem {stem!r}, only {', '.join(separator.targets)}")
        source = standard_input() if names[0] == STANDARD_INPUT else Path(names[0])
        writer: WavStream | None = None
        for stems in separator.stream(source):
            if writer is None:
                writer = WavStream(sys.stdout.buffer, stems.sample_rate, stems[stem].shape[0])
            writer.write(stems[stem])
    except SongsplitError as error:
        _fail(error, options)
    except KeyboardInterrupt:
        _say_stopped("before the end", signal.SIGINT)
    except OSError as error:
        # Files have errors of our own.
        _fail_at_standard_output(error)


def _loader(options: Options) -> Callable[[], Separator]:
    """Return a function that loads the separator once, when it is first called."""

    @functools.cache
    def load() -> Separator:
        # Importing torch takes seconds, and what needs no model should not.
        from songsplit.separator import Separator

        separator = Separator(options.model, options.device, quality=options.quality)
        if options.verbose:
            name = separator.card.get("name", options.model)
            say(f"model {name}, quality {options.quality}, device {separator.device}")
        return separator

    return load


def _request(options: Options, mix: Mix | None, load: Callable[[], Separator]) -> Request:
    """Check what can be checked before the work, and say what is wanted of every song."""
    from songsplit.audio import Stretcher
    from songsplit.audio.formats import OutputFormat
    from songsplit.cli.plan import Request
    from songsplit.naming import check_template

    if mix is not None and mix.is_stretched:
        Stretcher(44100, 1, tempo=mix.tempo, key=mix.key)  # is it installed?
    if options.plot:
        from songsplit.pictures import SongPicture

        SongPicture("", (), 44100)  # is what draws installed?
    output = OutputFormat(options.output_format, options.bit_depth, options.bitrate)
    if mix is not None and output.holds_all:
        raise ConfigError(f"{output.name} holds all stems: give another format for one mixed file")
    if options.filename is not None:
        check_template(options.filename, several=mix is None and not output.holds_all)
    return Request(
        folder=options.output,
        stems=_STEMS if options.model is None else load().targets,
        mix=mix,
        filename=options.filename,
        output=output,
        picture=options.plot,
        overwrite=options.overwrite,
    )


def _result(outcome: Outcome, options: Options) -> list[str]:
    """Return the lines about a song that go to standard output; say what else there is."""
    if options.verbose and outcome.cause is not None:
        _say_trace(outcome.cause)
    if options.verbose and outcome.status == "done" and outcome.seconds is not None:
        say(f"  {outcome.seconds:.1f} s of audio in {outcome.elapsed:.1f} s")
    if options.json:
        return [json.dumps(outcome.as_json(), ensure_ascii=False)]
    return [str(path) for path in outcome.paths] if outcome.status in ("done", "planned") else []


def _say_trace(error: BaseException) -> None:
    for line in "".join(traceback.format_exception(error)).splitlines():
        say(line)


def _fail(error: SongsplitError, options: Options) -> NoReturn:
    if options.verbose:
        _say_trace(error)
    say(f"songsplit: {error}")
    raise typer.Exit(_FAILED) from None


def _say_stopped(state: str, number: int) -> NoReturn:
    say(f"songsplit: stopped; {state}")
    raise typer.Exit(_SIGNALLED + number) from None


def _fail_at_standard_output(error: OSError) -> NoReturn:
    # Nothing may be left to be written when Python closes it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # whoever reads it has had enough
        raise typer.Exit(_BROKEN_PIPE) from None
    say(f"songsplit: standard output: {error.strerror}")
    raise typer.Exit(_FAILED) from None
