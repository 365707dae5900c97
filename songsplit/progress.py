"""Progress of a separation: a bar, or the caller's own function."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray


def report_progress(
    blocks: Iterable[NDArray[np.float32]],
    sample_rate: int,
    total: float | None,
    progress: bool | Callable[[float, float | None], None],
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
        done and the total.

    Yields
    ------
    ndarray
        The blocks.
    """
    with ExitStack() as stack:
        report = progress if callable(progress) else _bar(stack) if progress else None
        done = 0
        if report:
            report(0.0, total)
        for block in blocks:
            done += block.shape[-1]
            yield block
            if report:
                report(done / sample_rate, total)


def _bar(stack: ExitStack) -> Callable[[float, float | None], None]:
    # rich takes a while to import and is needed only for the bar.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task("", total=None)

    def report(done: float, total: float | None) -> None:
        bar.update(task, completed=done, total=total)

    return report
