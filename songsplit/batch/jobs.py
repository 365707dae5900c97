"""Songs through a separator, one after the other or several at once."""

from __future__ import annotations

import signal
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from songsplit.audio import open_audio, read_tags
from songsplit.batch.inputs import Song
from songsplit.batch.outcomes import Outcome
from songsplit.errors import OutputError, SongsplitError
from songsplit.formats import Clip, OutputFormat
from songsplit.mixes import Mix
from songsplit.results import result_files

if TYPE_CHECKING:
    from songsplit.progress import Report
    from songsplit.separator import Separator


@dataclass(frozen=True)
class Request:
    """What is wanted of every song.

    Attributes
    ----------
    folder : Path
        Where results go.
    stems : tuple of str
        What the model separates.
    mix, filename, output, clip, picture, overwrite
        As for :meth:`songsplit.Separator.separate_to_files`. Without ``overwrite``, songs
        whose results are all there are skipped.
    """

    folder: Path
    stems: tuple[str, ...]
    mix: Mix | None
    filename: str
    output: OutputFormat
    clip: Clip
    picture: bool
    overwrite: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is written."""
        return self.stems if self.mix is None else (self.mix.name,)


class Display(Protocol):
    """Shows how a batch goes."""

    def song(self, name: str) -> AbstractContextManager[Report]:
        """Begin a song; what the context gives takes its progress."""

    def outcome(self, outcome: Outcome) -> None:
        """Show what became of a song."""


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


@dataclass
class _Task:
    """A song that is to be separated."""

    song: Song
    folder: Path
    overwrite: bool
    notes: list[str]


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
        self._owners: dict[str, Song] = {}
        self._stopped: Stopped | None = None

    def run(self, songs: Iterable[Song], *, jobs: int = 1, dry_run: bool = False) -> list[Outcome]:
        """Separate songs and tell what became of each.

        Parameters
        ----------
        songs : iterable of Song
        jobs : int, optional
            How many songs to have in work at once: while one is separated, others are
            read and written. Results do not depend on it.
        dry_run : bool, optional
            Only say what would be done.

        Returns
        -------
        list of Outcome
            In the order in which songs were finished.

        Raises
        ------
        ModelError, DeviceError, ConfigError
            If there is no such model or device, before any song.
        Stopped
            If it is interrupted or terminated: songs in work leave no files, others stay.
        """
        outcomes: list[Outcome] = []

        def finished(outcome: Outcome) -> None:
            outcomes.append(outcome)
            self._display.outcome(outcome)

        tasks = self._tasks(songs, finished, dry_run)
        with self._heeding_signals():
            if jobs == 1:
                for task in tasks:
                    self._prepare()
                    finished(self._work(task))
            else:
                self._run_many(tasks, finished, jobs)
        return outcomes

    @contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        """Make signals raise, and be remembered where what they raise gets lost.

        Libraries in C that call back into Python swallow what happens there.
        """

        def stop(number: int, frame: object) -> None:
            self._stopped = Stopped(number)
            raise self._stopped

        previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # What is ignored, as in the background of some shells, stays so.
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    previous[number] = signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _run_many(
        self, tasks: Iterator[_Task], finished: Callable[[Outcome], None], jobs: int
    ) -> None:
        with ThreadPoolExecutor(jobs) as pool:
            running: set[Future[Outcome]] = set()
            try:
                for task in tasks:
                    self._prepare()
                    running.add(pool.submit(self._work, task))
                    if len(running) == jobs:
                        running = self._wait(running, finished)
                while running:
                    running = self._wait(running, finished)
            except BaseException:
                self._stopped = self._stopped or Stopped()
                raise

    @staticmethod
    def _wait(
        running: set[Future[Outcome]], finished: Callable[[Outcome], None]
    ) -> set[Future[Outcome]]:
        done, rest = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            finished(future.result())
        return rest

    def _prepare(self) -> None:
        """Load the model, in this thread: without it no song fares better."""
        if self._separator is None:
            self._separator = self._load()

    def _tasks(
        self, songs: Iterable[Song], finished: Callable[[Outcome], None], dry_run: bool
    ) -> Iterator[_Task]:
        """Yield the songs that are to be separated; settle the fate of the others."""
        for song in songs:
            try:
                planned = self._plan(song, dry_run)
            except SongsplitError as error:
                finished(Outcome(str(song), "failed", error=str(error), cause=error))
                continue
            if isinstance(planned, Outcome):
                finished(planned)
            else:
                yield planned

    def _plan(self, song: Song, dry_run: bool) -> _Task | Outcome:
        request, tags, seconds = self._request, None, None
        notes = []
        folder = request.folder / song.below
        if song.path is not None:
            # A missing song must not be hidden by an old result.
            with open_audio(song.path) as reader:
                seconds = reader.info.seconds
                request.output.output_channels(reader.info.channels)
                if reader.info.stems:
                    names = ", ".join(reader.info.stems)
                    notes.append(f"holds stems already ({names}); its mixture is what is taken")
            tags = read_tags(song.path)
        files = result_files(
            folder,
            request.names,
            request.output,
            filename=request.filename,
            track=song.track,
            tags=tags,
            picture=request.picture,
        )
        self._claim(song, files)
        there = [path for path in files if path.exists()]
        outcome = Outcome(str(song), "planned", files.stems, files.picture, seconds, notes=notes)
        if there and not request.overwrite:
            missing = [path for path in files if path not in there]
            if not missing:
                return replace(outcome, status="skipped")
            if not _was_interrupted(missing[0].parent):
                raise OutputError(
                    f"{song}: {missing[0]} is not there but {there[0]} is: use --overwrite, or "
                    "another folder"
                )
        if dry_run:
            return outcome
        return _Task(song, folder, overwrite=bool(request.overwrite or there), notes=notes)

    def _claim(self, song: Song, paths: Iterable[Path]) -> None:
        for path in paths:
            # As file systems compare names that take "A" for "a".
            place = unicodedata.normalize("NFC", str(path)).casefold()
            owner = self._owners.setdefault(place, song)
            if owner is not song:
                raise OutputError(
                    f"{song}: {path} is already the result of {owner}: separate this one by "
                    "itself, to another folder, or name files by {artist} or {album}"
                )

    def _work(self, task: _Task) -> Outcome:
        assert self._separator is not None
        request, song = self._request, task.song
        start = time.monotonic()
        seconds = 0.0
        try:
            with self._display.song(str(song)) as report:

                def progress(done: float, total: float | None, left: float | None) -> None:
                    nonlocal seconds
                    if self._stopped is not None:
                        raise self._stopped
                    seconds = done
                    report(done, total, left)

                saved = self._separator.separate_to_files(
                    self._standard_input() if song.path is None else song.path,
                    task.folder,
                    mix=request.mix,
                    filename=request.filename,
                    output=request.output,
                    clip=request.clip,
                    picture=request.picture,
                    overwrite=task.overwrite,
                    progress=progress,
                )
        except Exception as error:
            if self._stopped is not None:
                raise self._stopped from error
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


def _was_interrupted(folder: Path) -> bool:
    """Say whether a run of songsplit ended in this folder without tidying up."""
    return any(folder.glob(".songsplit-*.part"))
