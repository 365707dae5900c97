"""Songs through a separator, one after the other or several at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from songsplit.batch.folders import Folders
from songsplit.batch.inputs import Song
from songsplit.batch.outcomes import Outcome
from songsplit.batch.planning import Planner, Request, Task
from songsplit.batch.stopping import Stopped, Stopper
from songsplit.errors import SongsplitError
from songsplit.song_files import is_plain

if TYPE_CHECKING:
    from songsplit.progress import Report
    from songsplit.separator import Separator

__all__ = ["Batch", "Display", "Stopped"]


class Display(Protocol):
    """Shows how a batch goes."""

    def song(self, name: str) -> AbstractContextManager[Report]:
        """Begin a song; what the context gives takes its progress."""

    def outcome(self, outcome: Outcome) -> None:
        """Show what became of a song."""


class Batch:
    """Separates songs, whatever happens to single ones of them.

    Parameters
    ----------
    request : Request
        What is wanted.
    load : callable
        Gives the separator; called when a song first needs it.
    display : Display
        Where progress goes.
    standard_input : callable
        Gives the stream that stands for the song "-".
    """

    def __init__(
        self,
        request: Request,
        load: Callable[[], Separator],
        display: Display,
        standard_input: Callable[[], BinaryIO],
    ) -> None:
        self._request, self._load, self._display = request, load, display
        self._standard_input = standard_input
        self._separator: Separator | None = None
        self.outcomes: list[Outcome] = []
        """What became of songs, in the order in which they were finished."""
        self._stopper, self._folders = Stopper(), Folders()

    def run(self, songs: Sequence[Song], *, jobs: int = 1, dry_run: bool = False) -> None:
        """Separate songs; :attr:`outcomes` tells what became of each.

        Parameters
        ----------
        songs : sequence of Song
        jobs : int, optional
            How many songs to have in work at once: while one is separated, others are
            read and written. Results do not depend on it.
        dry_run : bool, optional
            Only say what would be done.

        Raises
        ------
        ModelError, DeviceError, ConfigError
            If there is no such model or device, before any song.
        Stopped
            If it is interrupted or terminated: songs in work leave no files, others stay.
        """

        def finished(outcome: Outcome) -> None:
            self.outcomes.append(outcome)
            self._display.outcome(outcome)

        planner = Planner(self._request, songs)
        with self._stopper.heeding_signals(), self._folders:
            if dry_run:
                for song in planner.songs:
                    finished(_or_failed(song, planner.foretell))
            elif jobs == 1:
                for task in self._tasks(planner, finished):
                    finished(self._work(task))
            else:
                self._run_many(self._tasks(planner, finished), finished, jobs)
        self._stopper.check()

    def _run_many(
        self, tasks: Iterator[Task], finished: Callable[[Outcome], None], jobs: int
    ) -> None:
        with ThreadPoolExecutor(jobs) as pool:
            running: set[Future[Outcome]] = set()
            try:
                for task in tasks:
                    if task.song.path is None or not is_plain(task.song.path):
                        # Waiting for a pipe, a thread could not be stopped.
                        finished(self._work(task))
                        continue
                    running.add(pool.submit(self._work, task))
                    if len(running) == jobs:
                        running = self._wait(running, finished)
                while running:
                    running = self._wait(running, finished)
            except BaseException:
                self._stopper.stop()
                raise

    @staticmethod
    def _wait(
        running: set[Future[Outcome]], finished: Callable[[Outcome], None]
    ) -> set[Future[Outcome]]:
        done, rest = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            finished(future.result())
        return rest

    def _tasks(self, planner: Planner, finished: Callable[[Outcome], None]) -> Iterator[Task]:
        """Yield the songs that are to be separated; settle the fate of the others."""
        for song in planner.songs:
            self._stopper.check()
            planned = _or_failed(song, planner.plan)
            if isinstance(planned, Outcome):
                finished(planned)
                continue
            if self._separator is None:
                # In this thread: without a model no song fares better.
                self._separator = self._load()
            self._folders.make(planned.folders)
            yield planned

    def _work(self, task: Task) -> Outcome:
        assert self._separator is not None
        request, song = self._request, task.song
        start = time.monotonic()
        seconds = 0.0
        try:
            with self._display.song(str(song)) as report:

                def progress(done: float, total: float | None, left: float | None) -> None:
                    nonlocal seconds
                    self._stopper.check()
                    seconds = done
                    report(done, total, left)

                saved = self._separator.separate_to_files(
                    self._standard_input() if song.path is None else song.path,
                    request.place(song),
                    mix=request.mix,
                    filename=request.template,
                    output=request.output,
                    clip=request.clip,
                    picture=request.picture,
                    overwrite=task.overwrite,
                    progress=progress,
                )
        except Exception as error:
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
            notes=[*task.notes, *saved.problems],
        )


Planned = TypeVar("Planned")


def _or_failed(song: Song, plan: Callable[[Song], Planned]) -> Planned | Outcome:
    try:
        return plan(song)
    except SongsplitError as error:
        return Outcome(str(song), "failed", error=str(error), cause=error)
