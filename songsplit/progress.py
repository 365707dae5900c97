"""Progress of a separation: a bar, or the caller's own function."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Report: TypeAlias = Callable[[float, float | None, float | None], None]
Progress: TypeAlias = bool | Report


def report_progress(
    blocks: Iterable[NDArray[np.float32]],
    sample_rate: int,
    total: float | None,
    progress: Progress,
) -> Generator[NDArray[np.float32]]:
    """Pass blocks through and report how much audio is done.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (..., n)
    sample_rate : int
        Rate in Hz.
    total : float or None
        Seconds of audio in all, if known.
    progress : bool or callable
        Whether to show a bar on standard error, or a function that gets the seconds
        done, the total, and an estimate of how many seconds are left to wait.

    Yields
    ------
    ndarray
        The blocks.
    """
    with ExitStack() as stack:
        report = progress if callable(progress) else _bar(stack) if progress else None
        start, samples = time.monotonic(), 0
        if report:
            report(0.0, total, None)
        for block in blocks:
            samples += block.shape[-1]
            yield block
            if report:
                done = samples / sample_rate
                elapsed = time.monotonic() - start
                left = None if total is None else elapsed * max(0.0, total / done - 1)
                report(done, total, left)


def _bar(stack: ExitStack) -> Report:
    # rich takes a while to import and is needed only for the bar.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[pace]}"))
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task("", total=None, pace="")
    start = time.monotonic()

    def report(done: float, total: float | None, left: float | None) -> None:
        pace = f"{done / max(time.monotonic() - start, 1e-3):.1f}x real time"
        if left is not None:
            minutes, seconds = divmod(round(left), 60)
            pace += f", {minutes}:{seconds:02} left"
        bar.update(task, completed=done, total=total, pace=pace if done else "")

    return report
