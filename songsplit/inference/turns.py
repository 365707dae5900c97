"""Turns that threads take at a network, and what becomes of them in other processes."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from weakref import WeakSet

import torch

_FORK_SECONDS = 60.0  # a chunk takes a second or two


class Turn:
    """A lock for threads that share a network; each process has its own.

    A process that forks waits until nobody has a turn, since what other threads are at would
    stay as it is in the child for ever. Threads of PyTorch do not come along into a child,
    which would wait for them: after a fork it computes in one thread on the CPU, with the same
    results. A process that is spawned can be given a pickled turn, which is a new one there.

    Attributes
    ----------
    forked : bool
        Whether this is a process forked from the one that made the turn.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forked = False
        with _forking:
            _turns.add(self)

    def __enter__(self) -> None:
        global _computed
        self._lock.acquire()
        _computed = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()

    def hold(self) -> bool:
        """Take the turn for a fork; say whether it was to be had."""
        return self._lock.acquire(timeout=_FORK_SECONDS)

    def let_go(self) -> None:
        """Give back what :meth:`hold` took."""
        self._lock.release()

    def renew(self) -> None:
        """Begin anew in a child."""
        self._lock = threading.Lock()
        self.forked = True


_turns: WeakSet[Turn] = WeakSet()
_forking = threading.RLock()
_held: list[Turn] = []
_computed = False


def _before_fork() -> None:
    _forking.acquire()
    _held.extend([turn for turn in list(_turns) if turn.hold()])


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().let_go()
    _forking.release()


def _after_fork_in_child() -> None:
    global _forking
    _forking = threading.RLock()
    _held.clear()
    for turn in list(_turns):
        turn.renew()
    # Only where it has threads to lose: others may fork and compute as they like.
    if _computed:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
