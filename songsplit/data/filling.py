"""Decoding songs into a cache folder, in parallel and ready to be resumed."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from songsplit.data.announcing import announce, estimated_seconds
from songsplit.data.cache import CacheIndex, Clip, ClipCache, read_index, write_index
from songsplit.data.decoding import (
    LENGTH_TOLERANCE,
    FolderError,
    Recipe,
    StemDecoder,
    recipes,
    store_stem,
)
from songsplit.data.journal import JOURNAL_NAME, Journal, remove_partial
from songsplit.data.locking import locked
from songsplit.data.songs import Song
from songsplit.errors import ConfigError, DataError

_MOST_JOBS = 8
_BYTES_PER_SAMPLE = 4  # of both channels together
_SPEED_PERIOD = 300.0  # seconds of work that the time left is estimated from


def fill_cache(
    songs: Mapping[str, Sequence[Song]],
    folder: str | os.PathLike[str],
    sample_rate: int,
    *,
    jobs: int | None = None,
    console: Console | None = None,
) -> ClipCache:
    """Decode into a cache folder what it does not hold yet.

    Audio is kept by its content: what was decoded once is found again when its files are
    moved, renamed or listed in another source, and decoded anew when they change. A file
    whose size and time of modification are those of last time is taken to be unchanged.
    Whatever interrupts the work, at most the stems being decoded are lost.

    Parameters
    ----------
    songs : mapping of str to sequence of Song
        By source, the songs that it consists of from now on. What the cache holds of
        sources that are not mentioned stays.
    folder : path
        The cache folder, which is made where missing.
    sample_rate : int
        Rate in Hz that everything is resampled to, > 0.
    jobs : int, optional
        Songs to decode at a time; by default as many as there are processors, up to 8.
    console : Console, optional
        Where to announce the work and show how it gets on; standard error by default.
        Nothing is written where there is nothing to do.

    Returns
    -------
    ClipCache

    Raises
    ------
    ConfigError
        If `sample_rate` or `jobs` is not positive.
    DataError
        If songs cannot be used: a file is missing, damaged or not finite, stems differ in
        length by more than `LENGTH_TOLERANCE`, or all are silent. All other songs are
        decoded first. At once, if the folder holds audio of another rate or version, is
        being filled by another process, cannot be written to or has not enough room.
    """
    jobs = min(os.cpu_count() or 1, _MOST_JOBS) if jobs is None else jobs
    if sample_rate < 1 or jobs < 1:
        raise ConfigError(f"sample_rate ({sample_rate}) and jobs ({jobs}) must be at least 1")
    target = Path(folder).expanduser()
    if songs:
        try:
            target.mkdir(parents=True, exist_ok=True)
            with locked(target):
                _fill(songs, target, sample_rate, jobs, console or Console(stderr=True))
        except OSError as error:
            raise FolderError(
                f"{target} cannot be filled ({error}): choose a folder that can be written to"
            ) from error
    cache = ClipCache(target)
    _check_rate(target, cache.sample_rate, sample_rate)
    return cache


def _check_rate(folder: Path, held: int, wanted: int) -> None:
    if held != wanted:
        raise DataError(f"{folder} holds audio at {held} Hz, not {wanted} Hz: use another folder")


def _fill(
    songs: Mapping[str, Sequence[Song]],
    folder: Path,
    sample_rate: int,
    jobs: int,
    console: Console,
) -> None:
    before = read_index(folder)
    if before is not None:
        _check_rate(folder, before.sample_rate, sample_rate)
    remove_partial(folder)
    tasks = {
        source: [_Task(source, song, recipes(song)) for song in of_source]
        for source, of_source in songs.items()
    }
    with Journal(folder, before) as journal:
        filler = _Filler(folder, sample_rate, jobs, console, journal)
        filler.process([task for of_source in tasks.values() for task in of_source])
        after = CacheIndex(
            sample_rate,
            {
                **({} if before is None else before.sources),
                **{name: [task.clip for task in tasks[name] if task.clip] for name in tasks},
            },
            journal.files,
        )
    if after != before:
        write_index(folder, after)
    # Audio that no clip needs any more stays: a run that began earlier may be reading it.
    (folder / JOURNAL_NAME).unlink(missing_ok=True)


@dataclass
class _Task:
    """A song on its way into the cache."""

    source: str
    song: Song
    recipes: dict[str, Recipe]
    files: dict[str, str] = field(default_factory=dict)  # in the cache; empty until hashed
    seconds: float = 0.0  # estimated
    clip: Clip | None = None  # when all is done
    error: DataError | None = None  # if it cannot be used

    @property
    def paths(self) -> list[Path]:
        """All files that are read."""
        return sorted({part.path for part in self.song.parts})

    def __str__(self) -> str:
        return f"{self.source}/{self.song.name}"


class _StoppedError(Exception):
    """The work ended while this part of it was going on."""


class _Filler:
    """Takes songs from their files to clips, step by step, past those that fail."""

    def __init__(
        self, folder: Path, sample_rate: int, jobs: int, console: Console, journal: Journal
    ) -> None:
        self._folder = folder
        self._sample_rate = sample_rate
        self._jobs = jobs
        self._console = console
        self._journal = journal
        self._stop = threading.Event()

    def process(self, tasks: Sequence[_Task]) -> None:
        """Decode what is missing and make the clips of all tasks."""
        # Most files are known as a rule, and then a look at their dates is enough.
        for task in tasks:
            self._attempt(task, self._look_up)
        self._run("reading", [task for task in tasks if not task.files], self._hash)

        wanted = [task for task in tasks if self._missing(task)]
        self._run("measuring", wanted, self._measure)
        wanted = [task for task in wanted if task.error is None]
        if wanted:
            seconds = sum(task.seconds for task in wanted)
            samples = self._sample_rate * sum(
                task.seconds * len(self._missing(task)) for task in wanted
            )
            announce(self._console, self._folder, len(wanted), seconds, samples * _BYTES_PER_SAMPLE)
            self._run("decoding", wanted, self._decode, lambda task: task.seconds)

        for task in tasks:
            self._attempt(task, self._make_clip)
        failed = [task for task in tasks if task.error is not None]
        if failed:
            first = f"{failed[0]}: {failed[0].error}"
            if len(tasks) > 1:
                first = f"{len(failed)} of {len(tasks)} songs cannot be used, for one {first}"
            raise DataError(first) from failed[0].error

    def _run(
        self,
        title: str,
        tasks: Sequence[_Task],
        step: Callable[[_Task], None],
        weight: Callable[[_Task], float] = lambda task: 1.0,
    ) -> None:
        """Take a step for each of the tasks, several at a time, and show how it gets on."""
        tasks = [task for task in tasks if task.error is None]
        if not tasks:
            return
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
        bar = Progress(
            *columns,
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not (self._console.is_terminal or self._console.is_jupyter),
            speed_estimate_period=_SPEED_PERIOD,
        )
        # Threads do: decoders, hashing and NumPy mostly work without the interpreter's lock.
        with bar, ThreadPoolExecutor(self._jobs) as pool:
            row = bar.add_task(title, total=sum(weight(task) for task in tasks))
            futures = {pool.submit(self._attempt, task, step): task for task in tasks}
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.advance(row, weight(futures[future]))
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _attempt(self, task: _Task, step: Callable[[_Task], None]) -> None:
        if task.error is not None:
            return
        try:
            self._check()
            step(task)
        except _StoppedError:
            return  # what stopped the work says why
        except DataError as error:
            if isinstance(error, FolderError):
                self._stop.set()
                raise
            task.error = error
            self._console.print(f"not used: {task}: {error}", markup=False, soft_wrap=True)
        except BaseException:
            self._stop.set()
            raise

    def _check(self) -> None:
        if self._stop.is_set():
            raise _StoppedError

    def _look_up(self, task: _Task) -> None:
        """Name the task's audio if all its files are known."""
        hashes = {}
        for path in task.paths:
            sha256 = self._journal.known_sha256(path)
            if sha256 is None:
                return
            hashes[path] = sha256
        self._name_files(task, hashes)

    def _hash(self, task: _Task) -> None:
        hashes = {}
        for path in task.paths:
            self._check()
            hashes[path] = self._journal.sha256(path)
        self._name_files(task, hashes)

    def _name_files(self, task: _Task, hashes: Mapping[Path, str]) -> None:
        task.files = {
            name: recipe.file(hashes, self._sample_rate) for name, recipe in task.recipes.items()
        }

    def _missing(self, task: _Task) -> list[str]:
        """Return the stems that the folder does not hold."""
        return [name for name, file in task.files.items() if self._journal.stem(file) is None]

    def _measure(self, task: _Task) -> None:
        missing = [task.recipes[name] for name in self._missing(task)]
        task.seconds = estimated_seconds({part.path for r in missing for part in r.parts})

    def _decode(self, task: _Task) -> None:
        # Less than there was: another song may have had the same stem meanwhile.
        missing = {name: task.recipes[name] for name in self._missing(task)}
        decoder = StemDecoder(missing.values(), self._sample_rate, self._check)
        for name, recipe in missing.items():
            audio = decoder.stem(recipe)
            self._check()
            file = task.files[name]
            self._journal.add_stem(store_stem(audio, self._folder, file, self._sample_rate))

    def _make_clip(self, task: _Task) -> None:
        stems = {
            name: stem
            for name, file in task.files.items()
            if (stem := self._journal.stem(file)) is not None
        }
        lengths = [stem.samples for stem in stems.values()]
        if max(lengths) - min(lengths) > LENGTH_TOLERANCE * self._sample_rate:
            seconds = (f"{name} {s.samples / self._sample_rate:.2f} s" for name, s in stems.items())
            raise DataError(
                f"the stems differ in length ({', '.join(seconds)}): export them from start to "
                "end alike"
            )
        if not any(stem.scale for stem in stems.values()):
            paths = ", ".join(map(str, task.paths))
            raise DataError(f"every stem is silent ({paths}): replace the files or leave them out")
        content = json.dumps(sorted((name, stem.file) for name, stem in stems.items()))
        task.clip = Clip(
            task.song.name,
            task.source,
            task.song.split,
            min(lengths),
            task.song.bandwidth,
            stems,
            hashlib.sha256(content.encode()).hexdigest(),
        )
