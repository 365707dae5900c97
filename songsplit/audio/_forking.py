"""What a library needs in a process that was forked while other threads worked."""

from __future__ import annotations

import os
import threading

import soundfile


def _renew_lock() -> None:
    """Give soundfile a new lock for opening files.

    A thread that is opening a file while another one forks does not come along into the
    child: nobody would ever open its lock there.
    """
    name = "_sf_error_lock"  # not in older versions
    if hasattr(soundfile.SoundFile, name):
        setattr(soundfile.SoundFile, name, threading.Lock())


def survive_forks() -> None:
    """Make reading and writing work in forked processes too; called once."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_renew_lock)
