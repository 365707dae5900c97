"""Ending a batch early, when the user or the system wants it, without leaving half a file."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_MOST_SIGNALS = 3
# Code in which an exception at any place whatever would leave a file that nobody knows of, a
# thread that nobody waits for, or a lock that nobody opens.
_NEVER_BROKEN_OFF = (
    "songsplit.audio.stem_files",
    "songsplit.audio.writing",
    "songsplit.batch.folders",
    "concurrent.futures",
)


class Stopped(KeyboardInterrupt):
    """The user, or the system, wants the batch to end.

    Attributes
    ----------
    signal : int
        Number of the signal that said so.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.signal = number


class Stopper:
    """Turns signals into an end of the batch.

    Attributes
    ----------
    stopped : Stopped or None
        Why the batch is to end; set once and for good.
    """

    def __init__(self) -> None:
        self.stopped: Stopped | None = None

    def stop(self) -> None:
        """Let all threads that check it end, as after Ctrl-C."""
        self.stopped = self.stopped or Stopped()

    def check(self) -> None:
        """Raise what there is to raise."""
        if self.stopped is not None:
            raise self.stopped

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Make signals raise, and be remembered where what they raise gets lost.

        Libraries in C that call back into Python swallow what happens there. Where files are
        made, named and removed, signals raise nothing: the batch ends at the next check.
        """
        signals = 0

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal signals
            signals += 1
            if signals == 1:
                self.stopped = self.stopped or Stopped(number)
                if not _must_not_break_off(frame):
                    raise self.stopped
            # Impatience must not keep other threads from tidying up; despair may.
            if signals > _MOST_SIGNALS:
                os._exit(128 + number)

        previous = {}
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # not all systems have all
                # What is ignored, as in the background of some shells, stays so.
                usual = (signal.SIG_DFL, signal.default_int_handler)
                if number is not None and signal.getsignal(number) in usual:
                    previous[number] = signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _must_not_break_off(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(_NEVER_BROKEN_OFF):
            return True
        frame = frame.f_back
    return False
