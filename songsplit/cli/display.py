"""How a batch shows itself: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from songsplit.naming import printable

if TYPE_CHECKING:
    from songsplit.cli.plan import Outcome
    from songsplit.progress import Report

_COLOURS = {"done": "green", "planned": "cyan", "skipped": "yellow", "failed": "red"}


def say(text: str) -> None:
    """Write a line to standard error; where that takes no more, the work goes on without."""
    with suppress(OSError):
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()


class StandardOutputError(Exception):
    """Standard output takes no more; `reason` says why."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class BatchDisplay:
    """Shows on standard error how a batch goes; to be used in a ``with`` statement.

    On a terminal there is a bar for every song in work and, if there are several, one for
    all; elsewhere, such as in a log, there is a line for every song and no more. `tell` gives
    the lines about an outcome that go to standard output; `quiet` leaves only results and
    errors.
    """

    def __init__(
        self, songs: int, tell: Callable[[Outcome], Sequence[str]], *, quiet: bool
    ) -> None:
        self._songs, self._tell, self._quiet = songs, tell, quiet
        self._stack = ExitStack()
        self._bars: Any = None
        self._total: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._quiet:
            self._bars = self._stack.enter_context(_bars())
            if self._songs > 1:
                self._total = self._bars.add_task(
                    f"{self._songs} songs", total=self._songs, pace=""
                )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

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
            if not done:
                return
            if total is not None and done >= total:
                words = "writing"
            else:
                words = pace(done, time.monotonic() - start, left)
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
        if outcome.status == "failed":
            self._say(f"songsplit: {outcome.error}", always=True)
        elif outcome.status == "skipped":
            self._say(f"  kept: {outcome.result} (already there; --overwrite replaces it)")
        if outcome.gain_db <= -0.005:
            self._say(f"  turned down by {-outcome.gain_db:.2f} dB, so that nothing clips")
        for note in outcome.notes:
            self._say(f"  {note}")
        self._print(self._tell(outcome))

    def summary(self, outcomes: Sequence[Outcome], elapsed: float) -> None:
        """Show a table of what was done, skipped and failed."""
        self._stack.close()
        self._bars = None
        if self._quiet:
            return
        words = f"{_counts(outcomes)} in {_clock(elapsed)}"
        seconds = sum(outcome.seconds or 0 for outcome in outcomes if outcome.status == "done")
        if seconds and elapsed:
            words += f", {seconds / elapsed:.1f}x real time"
        if sys.stderr.isatty():
            _print_table(outcomes, words)
            return
        for outcome in outcomes:
            # Most messages name the song themselves.
            named = outcome.result.startswith(outcome.song)
            song = "" if named else f"{outcome.song}: "
            self._say(f"{outcome.status:8}{song}{outcome.result}")
        self._say(words)

    def _print(self, lines: Sequence[str]) -> None:
        """Print results, where they do not get mixed up with the bars."""
        if self._bars is not None and sys.stdout.isatty():
            for line in lines:
                self._say(line, always=True)
            return
        try:
            for line in lines:
                # Programs get names as they are.
                shown = printable(line) if sys.stdout.isatty() else line
                sys.stdout.write(f"{shown}\n")
            sys.stdout.flush()
        except OSError as error:
            raise StandardOutputError(error) from error

    def _say(self, text: str, *, always: bool = False) -> None:
        if self._quiet and not always:
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

    return Progress(
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(ratio=2, no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}", table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        transient=True,
        expand=True,
        redirect_stdout=False,
    )


def _print_table(outcomes: Sequence[Outcome], words: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("song", "", "results"):
        table.add_column(title, overflow="fold")
    for outcome in outcomes:
        status = Text(outcome.status, style=_COLOURS[outcome.status])
        table.add_row(Text(printable(outcome.song)), status, Text(printable(outcome.result)))
    console = Console(stderr=True)
    console.print(table)
    console.print(words, highlight=False)


def _counts(outcomes: Sequence[Outcome]) -> str:
    numbers = {s: sum(outcome.status == s for outcome in outcomes) for s in _COLOURS}
    words = [f"{number} {status}" for status, number in numbers.items() if number]
    return ", ".join(words) or "nothing to do"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
