"""Running NumPy code in several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def threads() -> int:
    """Tell how many threads to use: as many as PyTorch has been given.

    Returns
    -------
    int
    """
    return torch.get_num_threads()


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Apply a function to each item, several at a time.

    NumPy and SciPy let other threads work while they compute. Whole pieces of work for each
    thread, rather than threads inside each operation, also go well where other programs keep
    the processor busy: nothing waits for the slowest at every step.

    Parameters
    ----------
    function : callable
        Takes an item.
    items : iterable

    Returns
    -------
    list
        Results in the order of the items.
    """
    with ThreadPoolExecutor(threads()) as pool:
        return list(pool.map(function, items))
