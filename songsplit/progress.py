"""Progress of a separation: a bar, or the caller's own function."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from typing import Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Report: TypeAlias = Callable[[float, float | None, float | None], None]
Progress: TypeAlias = bool | Report


class Reporter:
    """Tells how far a separation is; to be used in a ``with`` statement.

    `progress` is whether to show a bar on standard error, or a function that gets the seconds
    done, the total if it is known, and an estimate of how many seconds are left to wait.
    """

    def __init__(self, progress: Progress, sample_rate: int, total: float | None) -> None:
        self._progress, self._rate, self._total = progress, sample_rate, total
        self._stack = ExitStack()
        self._samples, self._start = 0, time.monotonic()

    def __enter__(self) -> Self:
        if self._progress is True:
            self._progress = _bar(self._stack)
        self.report()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def through(self, blocks: Iterable[NDArray[np.float32]]) -> Generator[NDArray[np.float32]]:
        """Pass blocks of samples, shape (..., n), through and report each when it was used."""
        for block in blocks:
            self._samples += block.shape[-1]
            yield block
            self.report()

    def report(self) -> None:
        """Tell what is done; the function may raise an exception to stop the work."""
        if callable(self._progress):
            done, left = self._samples / self._rate, None
            if self._total is not None and done:
                left = (time.monotonic() - self._start) * max(0.0, self._total / done - 1)
            self._progress(done, self._total, left)


_Item = TypeVar("_Item")


def track(
    items: Iterable[_Item], description: str, total: int | None = None, *, quiet: bool = False
) -> Iterator[_Item]:
    """Pass items through and show a bar on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import track as bar

    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    yield from bar(items, description, total, console=console, transient=True, disable=hidden)


def pace(done: float, elapsed: float, left: float | None) -> str:
    """Put into words how fast it goes and how long it will take."""
    text = f"{done / max(elapsed, 1e-3):.1f}x real time"
    if left is not None:
        minutes, seconds = divmod(round(left), 60)
        text += f", {minutes}:{seconds:02} left"
    return text


def _bar(stack: ExitStack) -> Report:
    # rich takes a while to import and is needed only for the bar.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console, start = Console(stderr=True), time.monotonic()
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[pace]}"))
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("", total=None, pace="")
    if console.is_jupyter:
        stack.callback(print, file=sys.stderr)
    else:
        stack.enter_context(bar)

    def report(done: float, total: float | None, left: float | None) -> None:
        words = pace(done, time.monotonic() - start, left) if done else ""
        if console.is_jupyter:  # where rich's bar needs a package and leaves an empty box
            share = f"{done / total:.0%} " if total else ""
            print(f"\r{share}{words:40}", end="", file=sys.stderr, flush=True)  # noqa: T201
        else:
            bar.update(task, completed=done, total=total, pace=words)

    return report
