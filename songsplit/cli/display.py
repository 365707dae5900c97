"""What the command says: results on standard output, bars, lines and errors on standard error."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import typer

from songsplit.errors import ConfigError, SongsplitError
from songsplit.naming import printable

if TYPE_CHECKING:
    from songsplit.cli.options import Options
    from songsplit.cli.plan import Outcome
    from songsplit.progress import Report

# Exit codes: 0, this, 2 for wrong use, and as shells count what a signal ended, such as
# 130 for Ctrl-C, and 141 if whoever reads the output has had enough.
FAILED, _SIGNALLED, _BROKEN_PIPE = 1, 128, 141

_STATUSES = ("done", "planned", "skipped", "failed")


def say(text: str) -> None:
    """Write a line to standard error; where that takes no more, the work goes on without."""
    with suppress(OSError):
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()


def say_trace(error: BaseException, say: Callable[[str], None]) -> None:
    """Say where an error came from."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        say(line)


@contextmanager
def telling_errors(*, verbose: bool = False) -> Iterator[None]:
    """Say what went wrong, or that the program was stopped, and end it with an exit code."""
    try:
        yield
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    except SongsplitError as error:
        if verbose:
            say_trace(error, say)
        say(f"songsplit: {error}")
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt as stop:
        say("songsplit: stopped; no partial results were left, finished ones stay")
        raise typer.Exit(_SIGNALLED + getattr(stop, "signal", signal.SIGINT)) from None
    except OSError as error:
        if error.filename is not None:
            raise
        # Standard output takes no more. Nothing may be left to be written when Python closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # whoever reads it has had enough
            raise typer.Exit(_BROKEN_PIPE) from None
        say(f"songsplit: standard output: {error.strerror}")
        raise typer.Exit(FAILED) from None


class BatchDisplay:
    """Shows how a batch of songs goes; to be used in a ``with`` statement.

    On a terminal there is a bar for every song in work and, if there are several, one for
    all; elsewhere, such as in a log, there is a line for every song and no more.
    """

    def __init__(self, options: Options, songs: int) -> None:
        self._options = options
        self._start = time.monotonic()
        self._bars: Any = None
        self._total: Any = None
        if sys.stderr.isatty() and not options.quiet:
            self._bars = _bars()
            if songs > 1:
                self._total = self._bars.add_task(f"{songs} songs", total=songs, pace="")

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    @contextmanager
    def song(self, name: str) -> Iterator[Report]:
        """Begin a song; what the context gives takes its progress."""
        if self._bars is None:
            self._say(name)
            yield lambda done, total, left: None
            return
        from songsplit.progress import pace  # brings NumPy, which takes long

        start = time.monotonic()
        bar = self._bars.add_task(printable(name), total=None, pace="")
        before = 0.0  # what share of this song the bar of all has

        def report(done: float, total: float | None, left: float | None) -> None:
            nonlocal before
            if total is not None and done >= total:
                words = "writing"
            else:
                words = pace(done, time.monotonic() - start, left) if done else ""
            self._bars.update(bar, completed=done, total=total, pace=words)
            if total and self._total is not None:
                # All of it only once it is written.
                share = min(0.99, done / total)
                self._bars.advance(self._total, share - before)
                before = share

        try:
            yield report
        finally:
            self._bars.remove_task(bar)
            if self._total is not None:
                self._bars.advance(self._total, -before)

    def outcome(self, outcome: Outcome) -> None:
        """Show what became of a song."""
        if self._total is not None:
            self._bars.advance(self._total, 1)
        paths = [str(path) for path in outcome.paths]
        if outcome.error is not None:
            if self._options.verbose and outcome.cause is not None:
                say_trace(outcome.cause, self._say)
            self._say(f"songsplit: {outcome.error}", always=True)
        elif outcome.status == "skipped":
            self._say(f"  kept: {', '.join(paths)} (already there; --overwrite replaces it)")
        elif self._options.verbose and outcome.status == "done":
            self._say(f"  {outcome.seconds:.1f} s of audio in {outcome.elapsed:.1f} s")
        if outcome.gain_db <= -0.005:
            self._say(f"  turned down by {-outcome.gain_db:.2f} dB, so that nothing clips")
        for note in outcome.notes:
            self._say(f"  {note}")
        if self._options.json:
            self._print([json.dumps(outcome.as_json(), ensure_ascii=False)])
        elif outcome.status in ("done", "planned"):
            self._print(paths)

    def summary(self, outcomes: Sequence[Outcome]) -> None:
        """Count what was done, skipped and failed."""
        elapsed = time.monotonic() - self._start
        statuses = [outcome.status for outcome in outcomes]
        counts = [f"{statuses.count(s)} {s}" for s in _STATUSES if s in statuses]
        words = f"{', '.join(counts)} in {_clock(elapsed)}"
        seconds = sum(outcome.seconds or 0 for outcome in outcomes if outcome.status == "done")
        if seconds and elapsed:
            words += f", {seconds / elapsed:.1f}x real time"
        self._say(words)

    def _print(self, lines: Sequence[str]) -> None:
        """Print results, where they do not get mixed up with the bars."""
        terminal = sys.stdout.isatty()
        for line in lines:
            if terminal and self._bars is not None:
                self._say(line, always=True)
            else:
                # Programs get names as they are.
                sys.stdout.write(f"{printable(line) if terminal else line}\n")
        sys.stdout.flush()

    def _say(self, text: str, *, always: bool = False) -> None:
        if self._options.quiet and not always:
            return
        if self._bars is None:
            say(text)
        else:
            # As it is: brackets in names are no markup, and paths are not to be folded.
            options = {"markup": False, "highlight": False, "emoji": False, "soft_wrap": True}
            self._bars.console.print(printable(text), **options)


def _bars() -> Any:
    # rich takes a while to import and is needed only on terminals.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.table import Column

    name = Column(ratio=2, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=name),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}", table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        transient=True,
        expand=True,
        redirect_stdout=False,
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
