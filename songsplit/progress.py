"""Progress of a separation: a progress bar or the caller's function."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Report: TypeAlias = Callable[[float, float | None, float | None], None]
Progress: TypeAlias = bool | Report

_BAR = 40  # characters


class Reporter:
    """Reports the progress of a separation; use it in a ``with`` statement.

    If `progress` is True, a bar is shown on standard error if that is a terminal or a notebook. A
    function receives the seconds of audio done, the total or None, and an estimate of the seconds
    left or None.
    """

    def __init__(self, progress: Progress, sample_rate: int, total: float | None) -> None:
        self._progress, self._rate, self._total = progress, sample_rate, total
        can_show = (sys.stderr is not None and sys.stderr.isatty()) or "ipykernel" in sys.modules
        self._is_shown = progress is True and can_show
        self._samples, self._start = 0, time.monotonic()

    def __enter__(self) -> Self:
        self.report()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            print(file=sys.stderr)  # noqa: T201

    def through(self, blocks: Iterable[NDArray[np.float32]]) -> Generator[NDArray[np.float32]]:
        """Pass blocks of samples (..., n) through and report each one after its use."""
        for block in blocks:
            self._samples += block.shape[-1]
            yield block
            self.report()

    def report(self) -> None:
        """Report progress; an exception from the caller's function stops the work."""
        done, elapsed = self._samples / self._rate, time.monotonic() - self._start
        left = None
        if self._total is not None and done:
            left = elapsed * max(0.0, self._total / done - 1)
        if callable(self._progress):
            self._progress(done, self._total, left)
        elif self._is_shown:
            share = min(1.0, done / self._total) if self._total else 0.0
            bar = f"{'#' * round(share * _BAR):.<{_BAR}} {share:4.0%} " if self._total else ""
            speed = f"{done / max(elapsed, 1e-3):.1f}x real time" if done else ""
            words = speed if left is None else f"{speed}, {clock(math.ceil(left))} left"
            print(f"\r{bar}{words:32}", end="", file=sys.stderr, flush=True)  # noqa: T201


_Item = TypeVar("_Item")


def track(
    items: Iterable[_Item], description: str, total: int | None = None, *, quiet: bool = False
) -> Iterator[_Item]:
    """Pass items through and show a bar on standard error if that is a terminal."""
    # rich imports slowly.
    from rich.console import Console
    from rich.progress import track as bar

    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    yield from bar(items, description, total, console=console, transient=True, disable=hidden)


def clock(seconds: float) -> str:
    """Format a duration as 3:24 or 1:03:24."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
