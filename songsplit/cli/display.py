"""Output of the command: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import typer

from songsplit.errors import ConfigError, SongsplitError
from songsplit.naming import printable
from songsplit.progress import clock

if TYPE_CHECKING:
    from songsplit.cli.options import Options
    from songsplit.cli.plan import Outcome
    from songsplit.progress import Report

# Exit codes: 0, 1 for failures, 2 for wrong usage, 128 plus the number of a signal (130 for
# Ctrl-C), and 141 if the reader of the output closes it.
FAILED, _SIGNALLED, _BROKEN_PIPE = 1, 128, 141

_USUAL_STEP, _USUAL_SPEED = 20.0, 5.0  # seconds of audio per report, and per second
# Time to write files, relative to the separation on a CPU.
_WRITING = {"mp3": 1.5, "stem.mp4": 0.8, "m4a": 0.35, "ogg": 0.2, "opus": 0.15}
_STATUSES = ("done", "planned", "skipped", "failed")


def say(text: str) -> None:
    """Write a line to standard error, and ignore errors of writing."""
    with suppress(OSError):
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()


def _trace(error: BaseException | None) -> list[str]:
    """Return the lines of an error's traceback."""
    return "".join(traceback.format_exception(error)).splitlines()


@contextmanager
def telling_errors(*, verbose: bool = False) -> Iterator[None]:
    """Print an error or interruption, and end the program with an exit code."""
    try:
        yield
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    except SongsplitError as error:
        for line in _trace(error) if verbose else ():
            say(line)
        say(f"songsplit: {error}")
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt as stop:
        say("songsplit: stopped; finished results are kept, and no partial files are left")
        raise typer.Exit(_SIGNALLED + getattr(stop, "signal", signal.SIGINT)) from None
    except OSError as error:
        if error.filename is not None:
            raise
        # Standard output failed. Redirect it, so that Python can flush and close it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader closed the pipe
            raise typer.Exit(_BROKEN_PIPE) from None
        say(f"songsplit: standard output: {error.strerror}")
        raise typer.Exit(FAILED) from None


class BatchDisplay:
    """Shows the progress of a batch of songs; use it in a ``with`` statement.

    A terminal shows a bar for every song in progress and, if there are several songs, one for the
    batch. Other outputs, such as logs, show one line for every song. A last line counts the
    outcomes of several songs. `outcomes` lists them in the order of completion.
    """

    def __init__(self, options: Options, songs: int) -> None:
        self._options, self._songs = options, songs
        self._start = time.monotonic()
        self._writing = _WRITING.get(options.output_format, 0.03)
        if options.quality == "best":
            self._writing /= 3
        self._working: list[_Work] = []
        self._worked = 0
        self.outcomes: list[Outcome] = []
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._options.quiet:
            # rich imports slowly and is needed only on terminals.
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True),
                get_renderable=self._bars,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if len(self.outcomes) > 1:
            self._summary()
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def song(self, name: str) -> Iterator[Report]:
        """Start the bar of a song; the context manager yields its progress function."""
        if self._live is None:
            self._say(name)
        work = _Work(printable(name), self._writing)
        self._working.append(work)
        try:
            yield work.report
        finally:
            self._working.remove(work)
            self._worked += 1

    def outcome(self, outcome: Outcome) -> None:
        """Record and show the outcome of a song."""
        self.outcomes.append(outcome)
        paths = [str(path) for path in outcome.files]
        if outcome.error is not None:
            for line in _trace(outcome.cause) if self._options.verbose else ():
                self._say(line)
            self._say(f"songsplit: {outcome.error}", always=True)
        elif outcome.status == "skipped":
            self._say(f"  kept: {', '.join(paths)} (already exists; --overwrite replaces it)")
        elif self._options.verbose and outcome.status == "done":
            self._say(f"  {outcome.seconds:.1f} s of audio in {outcome.elapsed:.1f} s")
        if outcome.gain_db <= -0.005:
            self._say(f"  turned down by {-outcome.gain_db:.2f} dB to avoid clipping")
        for note in outcome.notes:
            self._say(f"  {note}")
        if self._options.json:
            self._print([json.dumps(outcome.as_json(), ensure_ascii=False)])
        elif outcome.status in ("done", "planned"):
            self._print(paths)

    def _summary(self) -> None:
        elapsed, statuses = time.monotonic() - self._start, [o.status for o in self.outcomes]
        counts = [f"{statuses.count(s)} {s}" for s in _STATUSES if s in statuses]
        words = f"{', '.join(counts)} in {clock(elapsed)}"
        seconds = sum(o.seconds or 0 for o in self.outcomes if o.status == "done")
        if seconds and elapsed:
            words += f", {seconds / elapsed:.1f}x real time"
        self._say(words)

    def _print(self, lines: Sequence[str]) -> None:
        """Print results without disturbing the bars."""
        terminal = sys.stdout.isatty()
        for line in lines:
            if terminal and self._live is not None:
                self._say(line, always=True, fold=False)
            else:
                # Names are escaped only on terminals; programs need the real names.
                sys.stdout.write(f"{printable(line) if terminal else line}\n")
        sys.stdout.flush()

    def _say(self, text: str, *, always: bool = False, fold: bool = True) -> None:
        if self._options.quiet and not always:
            return
        if self._live is None:
            say(text)
        else:
            # Brackets in names are not markup, and wrapped results could not be copied.
            options = {"markup": False, "highlight": False, "emoji": False}
            self._live.console.print(printable(text), soft_wrap=not fold, **options)

    def _bars(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for width in (24, 4, 27):  # fixed, so that columns do not move
            table.add_column(width=width, no_wrap=True)

        def add(name: str, share: float, words: str) -> None:
            bar = ProgressBar(total=1, completed=share, width=24)
            table.add_row(Text(name), bar, f"{share:4.0%}", words)

        rows = [(work.name, *work.state()) for work in [*self._working]]
        finished = len(self.outcomes)
        if self._songs > 1:
            share = sum(share for _, share, _ in rows)
            worked, elapsed = self._worked + share, time.monotonic() - self._start
            rest = self._songs - finished - share
            left = _left(elapsed / worked * rest) if worked > 0.05 else ""
            add(f"{finished} of {self._songs} songs", 1 - rest / self._songs, left)
        if not rows and finished < self._songs:
            rows = [("loading", 0.0, "")]
        for row in rows:
            add(*row)
        return table


class _Work:
    """Progress of a song, interpolated between reports, which are seconds apart.

    `writing` is the usual time to write its files, relative to the separation.
    """

    def __init__(self, name: str, writing: float) -> None:
        self.name, self._writing = name, writing
        self._start = self._at = time.monotonic()
        self._done, self._step = 0.0, _USUAL_STEP
        self._total: float | None = None

    def report(self, done: float, total: float | None, left: float | None) -> None:
        """Receive the progress of ``Separator.separate``."""
        if done > self._done:
            self._at, self._step = time.monotonic(), done - self._done
        self._done, self._total = done, total

    def state(self) -> tuple[float, str]:
        """Return the share of the work done, and the speed and time left as text.

        The share is extrapolated from the last report.
        """
        if not self._total:
            return 0.0, ""
        elapsed, since = time.monotonic() - self._start, time.monotonic() - self._at
        took = max(self._at - self._start, 1e-3)
        speed = self._done / took if self._done else _USUAL_SPEED
        if self._done < self._total:
            words = f"{speed:.1f}x real time" if self._done else ""
            done = (self._done + min(speed * since, self._step)) / self._total
        else:
            words, done = "writing", 1 + min(since / took, self._writing)
        share = min(0.99, done / (1 + self._writing))
        if words and share < 0.99:
            words += f", {_left(elapsed / share - elapsed)}"
        return share, words


def _left(seconds: float) -> str:
    return f"{clock(math.ceil(seconds))} left"
