"""What all commands that separate songs do, once their options are read."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import typer

from songsplit.audio import Access, Stretcher
from songsplit.batch.display import BatchDisplay, StandardOutputError
from songsplit.batch.inputs import STANDARD_INPUT, find_songs
from songsplit.batch.jobs import Batch
from songsplit.batch.outcomes import Outcome
from songsplit.batch.planning import Request
from songsplit.cli.options import Options
from songsplit.errors import (
    AudioFileError,
    ConfigError,
    OutputError,
    SongsplitError,
)
from songsplit.formats import OutputFormat
from songsplit.mixes import Mix
from songsplit.naming import check_template, printable

if TYPE_CHECKING:
    from songsplit.separator import Separator

# Exit codes: 0, this, 2 for wrong use, and as shells count what a signal ended, such as
# 130 for Ctrl-C, and 141 if whoever reads the output has had enough.
_FAILED, _SIGNALLED, _BROKEN_PIPE = 1, 128, 141

_STEMS = ("vocals", "instrumental")  # of the default model
_ANY_RATE = 44100
# Options that have no meaning where nothing is written to files.
_OF_FILES = (
    *("output", "output_format", "bit_depth", "bitrate", "sample_rate", "channels", "filename"),
    *("plot", "overwrite", "dry_run", "json", "jobs"),
)


def separate_songs(names: Sequence[str], options: Options, mix: Mix | None = None) -> None:
    """Separate all songs that names stand for, and end the program if any failed."""
    start = time.monotonic()
    loader = _Loader(options)
    try:
        request = _request(options, mix, loader)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    except SongsplitError as error:
        _fail(error, options)
    songs, problems = find_songs(names, options.glob)
    display = BatchDisplay(len(songs), lambda o: _result(o, options), quiet=options.quiet)
    batch = Batch(request, loader, display, standard_input)
    stopped: KeyboardInterrupt | None = None
    try:
        with display:
            for problem in problems:
                outcome = Outcome(
                    problem.name, "failed", error=str(problem.error), cause=problem.error
                )
                batch.outcomes.append(outcome)
                display.outcome(outcome)
            try:
                batch.run(songs, jobs=options.jobs, dry_run=options.dry_run)
            except KeyboardInterrupt as stop:
                stopped = stop
            if len(batch.outcomes) > 1:
                display.summary(batch.outcomes, time.monotonic() - start)
    except SongsplitError as error:
        _fail(error, options)
    except StandardOutputError as error:
        _fail_at_standard_output(error.reason)
    if stopped is not None:
        rest = "" if options.overwrite else "; the same command goes on from here"
        number = getattr(stopped, "signal", signal.SIGINT)
        _say_stopped(f"no partial results were left{rest}", number)
    if any(outcome.status == "failed" for outcome in batch.outcomes):
        raise typer.Exit(_FAILED)


def pass_through(names: Sequence[str], options: Options, stem: str) -> None:
    """Write one stem of one song to standard output, while the song is still being read."""
    from songsplit.audio import WavStream

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
        separator = _Loader(options)()
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
        _say_stopped("before the end")
    except OSError as error:
        # Files have errors of our own.
        _fail_at_standard_output(error)


def standard_input() -> BinaryIO:
    """Return standard input, unless somebody would have to type a song."""
    if sys.stdin.isatty():
        raise AudioFileError("standard input is a terminal: send a file or a program's output")
    return sys.stdin.buffer


class _Loader:
    """Loads the separator once, when it is first needed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._separator: Separator | None = None

    def __call__(self) -> Separator:
        if self._separator is None:
            # Importing torch takes seconds, and what needs no model should not.
            from songsplit.separator import Separator

            options = self._options
            self._separator = Separator(
                options.model, options.device, quality=options.quality, isolate=options.isolate
            )
            if options.verbose:
                _say(
                    f"model {self._separator.card.get('name', options.model)}, quality "
                    f"{options.quality}, device {self._separator.device}"
                )
        return self._separator


def _request(options: Options, mix: Mix | None, loader: _Loader) -> Request:
    _check_extras(options, mix)
    stems = _STEMS if options.model is None else loader().targets
    output = OutputFormat(
        options.output_format,
        options.bit_depth,
        options.bitrate,
        options.sample_rate,
        options.channels,
    )
    if mix is not None and output.holds_all:
        raise ConfigError(f"{output.name} holds all stems: give another format for one mixed file")
    if options.filename is not None:
        check_template(options.filename, several=mix is None and not output.holds_all)
    return Request(
        folder=options.output,
        stems=stems,
        mix=mix,
        filename=options.filename,
        output=output,
        clip=options.clip,
        picture=options.plot,
        overwrite=options.overwrite,
        access=Access(options.isolate),
    )


def _check_extras(options: Options, mix: Mix | None) -> None:
    """Ask for what is not installed before the work, not after it."""
    if mix is not None and mix.is_stretched:
        Stretcher(_ANY_RATE, 1, tempo=mix.tempo, key=mix.key)
    if options.plot:
        from songsplit.pictures import SongPicture

        SongPicture("", (), _ANY_RATE)


def _result(outcome: Outcome, options: Options) -> list[str]:
    """Return the lines about a song that go to standard output; say what else there is."""
    if options.verbose and outcome.cause is not None:
        traceback.print_exception(outcome.cause, file=sys.stderr)
    if options.verbose and outcome.status == "done" and outcome.seconds is not None:
        _say(f"  {outcome.seconds:.1f} s of audio in {outcome.elapsed:.1f} s")
    if options.json:
        return [json.dumps(outcome.as_json(), ensure_ascii=False)]
    if outcome.status in ("done", "planned"):
        return [str(path) for path in outcome.paths]
    return []


def _say(text: str) -> None:
    typer.echo(printable(text), err=True)


def _fail(error: SongsplitError, options: Options) -> NoReturn:
    if options.verbose:
        traceback.print_exception(error, file=sys.stderr)
    _say(f"songsplit: {error}")
    raise typer.Exit(_FAILED) from None


def _say_stopped(state: str, number: int = signal.SIGINT) -> NoReturn:
    _say(f"songsplit: stopped; {state}")
    raise typer.Exit(_SIGNALLED + number) from None


def _fail_at_standard_output(error: OSError) -> NoReturn:
    # Files have errors of our own: this is standard output. Nothing may be left to be
    # written when Python closes it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # whoever reads it has had enough
        raise typer.Exit(_BROKEN_PIPE) from None
    _say(f"songsplit: standard output: {error.strerror}")
    raise typer.Exit(_FAILED) from None
