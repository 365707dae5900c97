"""Songs through a separator, one after the other or several at once, until a signal stops it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, BinaryIO

from songsplit.cli.inputs import Song, standard_input
from songsplit.cli.plan import Outcome, Planner, Request, Task, clear_up
from songsplit.errors import SongsplitError
from songsplit.naming import is_plain

if TYPE_CHECKING:
    from songsplit.cli.display import BatchDisplay
    from songsplit.separator import Separator

_MOST_SIGNALS = 3


class Stopped(KeyboardInterrupt):
    """The user, or the system, wants the batch to end; `signal` is the signal that said so."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.signal = number


class Stopper:
    """Turns signals into an end of the batch.

    A signal is only noted: the work ends where it is next checked, between two blocks of
    samples, where no file is half named. Only waiting for a pipe, which may never end, is
    broken off at once.
    """

    def __init__(self) -> None:
        self.stopped: Stopped | None = None
        self._waiting = False

    def stop(self) -> None:
        """Let all threads that check it end, as after Ctrl-C."""
        self.stopped = self.stopped or Stopped()

    def check(self) -> None:
        """Raise :class:`Stopped` if the batch is to end."""
        if self.stopped is not None:
            raise self.stopped

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let signals break off what the block does."""
        self._waiting = True
        try:
            self.check()
            yield
        finally:
            self._waiting = False

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP for the wish to end."""
        signals = 0

        def note(number: int, frame: FrameType | None) -> None:
            nonlocal signals
            signals += 1
            self.stopped = self.stopped or Stopped(number)
            if signals > _MOST_SIGNALS:  # whoever insists does not want to wait for a check
                os._exit(128 + number)
            if self._waiting:
                raise self.stopped

        previous = {}
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # not all systems have all
                # What is ignored, as in the background of some shells, stays so.
                usual = (signal.SIG_DFL, signal.default_int_handler)
                if number is not None and signal.getsignal(number) in usual:
                    previous[number] = signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class Batch:
    """Separates songs, whatever happens to single ones of them.

    `load` gives the separator and is called when a song first needs it. `outcomes` tells what
    became of each song, in the order in which they were finished.
    """

    def __init__(
        self, request: Request, load: Callable[[], Separator], display: BatchDisplay
    ) -> None:
        self._request, self._load, self._display = request, load, display
        self._separator: Separator | None = None
        self._stopper = Stopper()
        self.outcomes: list[Outcome] = []

    def run(self, songs: Sequence[Song], *, jobs: int = 1, dry_run: bool = False) -> None:
        """Separate songs, `jobs` of them at once; results do not depend on that.

        A model or device that cannot be had is an error of ours before any song. An
        interruption raises :class:`Stopped`: songs in work leave no files, others stay.
        """
        planner = Planner(self._request, songs)
        with self._stopper.heeding_signals():
            tasks = self._tasks(planner, dry_run=dry_run)
            if jobs == 1:
                for task in tasks:
                    self._finish(self._work(task))
            else:
                self._run_many(tasks, jobs)
        self._stopper.check()

    def _finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._display.outcome(outcome)

    def _run_many(self, tasks: Iterator[Task], jobs: int) -> None:
        with ThreadPoolExecutor(jobs) as pool:
            running: set[Future[Outcome]] = set()
            try:
                for task in tasks:
                    if task.song.path is None or not is_plain(task.song.path):
                        # Waiting for a pipe, a thread could not be stopped.
                        self._finish(self._work(task))
                        continue
                    running.add(pool.submit(self._work, task))
                    if len(running) == jobs:
                        running = self._wait(running)
                while running:
                    running = self._wait(running)
            except BaseException:
                self._stopper.stop()
                raise

    def _wait(self, running: set[Future[Outcome]]) -> set[Future[Outcome]]:
        done, rest = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            self._finish(future.result())
        return rest

    def _tasks(self, planner: Planner, *, dry_run: bool) -> Iterator[Task]:
        """Yield the songs that are to be separated; settle the fate of the others."""
        for song in planner.songs:
            self._stopper.check()
            try:
                task = planner.plan(song)
            except SongsplitError as error:
                self._finish(Outcome(str(song), "failed", error=str(error), cause=error))
                continue
            if not dry_run:
                clear_up(task.outcome)
            if dry_run or task.outcome.status == "skipped":
                self._finish(task.outcome)
            else:
                if self._separator is None:
                    # In this thread: without a model no song fares better.
                    self._separator = self._load()
                    self._stopper.check()
                yield task

    def _work(self, task: Task) -> Outcome:
        assert self._separator is not None
        request, song = self._request, task.song
        start = time.monotonic()
        seconds = 0.0
        try:
            with self._display.song(str(song)) as report, self._opened(song) as source:

                def progress(done: float, total: float | None, left: float | None) -> None:
                    nonlocal seconds
                    self._stopper.check()
                    seconds = done
                    report(done, total, left)

                saved = self._separator.separate_to_files(
                    source,
                    request.place(song),
                    mix=request.mix,
                    filename=request.template,
                    output=request.output,
                    picture=request.picture,
                    overwrite=request.overwrite,
                    progress=progress,
                )
        except Exception as error:
            # Decoders turn an interruption of reading into errors of their own.
            if self._stopper.stopped is not None:
                raise self._stopper.stopped from error
            elapsed = time.monotonic() - start
            message = str(error)
            if not isinstance(error, SongsplitError):
                # A fault of ours, but the other songs may be spared it.
                message = f"{song}: unexpected {type(error).__name__}: {error}; please report it"
            return Outcome(str(song), "failed", elapsed=elapsed, error=message, cause=error)
        return Outcome(
            str(song),
            "done",
            files=saved,
            picture=saved.picture,
            seconds=seconds,
            elapsed=time.monotonic() - start,
            gain_db=saved.gain_db,
            notes=[*task.outcome.notes, *saved.problems],
        )

    @contextmanager
    def _opened(self, song: Song) -> Iterator[Any]:
        """Give what the separator is to read: a path, or a pipe that signals break off."""
        if song.path is None:
            file = standard_input()
            yield file if file.seekable() else _Pipe(file, "<stdin>", self._stopper)
        elif is_plain(song.path):
            yield song.path
        else:
            try:
                with self._stopper.waiting():
                    opened = song.path.open("rb")
            except OSError:
                yield song.path  # the reader says what is wrong with it
                return
            with opened:
                yield _Pipe(opened, str(song.path), self._stopper)


class _Pipe:
    """A pipe that can only be read, and waits no longer once a signal has come."""

    def __init__(self, file: BinaryIO, name: str, stopper: Stopper) -> None:
        self.name = name
        # Gives what there is instead of waiting for as much as is asked for.
        self._read = getattr(file, "read1", file.read)
        self._stopper = stopper

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        with self._stopper.waiting():
            data: bytes = self._read(size)
        return data
