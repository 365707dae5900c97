"""Scoring many songs: in order or side by side, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from songsplit.errors import ConfigError, DataError
from songsplit.evaluation.museval_backend import load_museval
from songsplit.evaluation.scores import TrackScores
from songsplit.evaluation.song_scorer import KnownAudio, ScoredSong, SongScorer
from songsplit.evaluation.songs import ReferenceSong
from songsplit.evaluation.systems import YARDSTICKS, System
from songsplit.evaluation.track import Backend

_THREADS_VARIABLE = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Parameters
    ----------
    results : dict of str to dict of str to TrackScores
        By system, the candidate first and then the yardsticks, and by song in the order
        in which they were given. Where something failed, scores are empty and their
        remark says why.
    audio : dict of str to KnownAudio
        What is known of each song that could be read.
    """

    results: dict[str, dict[str, TrackScores]]
    audio: dict[str, KnownAudio]

    @property
    def failed(self) -> list[str]:
        """Names of the songs that some system has no scores of."""
        return [
            song
            for song in next(iter(self.results.values()))
            if not all(songs[song].frames for songs in self.results.values())
        ]


def evaluate_songs(
    songs: Sequence[ReferenceSong],
    candidate: System,
    output: Path,
    *,
    yardsticks: Path,
    backend: Backend = "songsplit",
    jobs: int = 1,
    console: Console | None = None,
) -> Evaluation:
    """Score a model or stems from files, beside the yardsticks, on songs.

    Scores are stored song by song as soon as they are known, see
    :class:`songsplit.evaluation.song_scorer.SongScorer`. What is stored and still holds
    is not scored again, so that an interrupted run goes on where it was. A song that
    cannot be scored does not keep others from it; nothing is stored for it, so that it
    is tried again the next time.

    Parameters
    ----------
    songs : sequence of ReferenceSong
        With names of their own.
    candidate : System
        What is to be judged.
    output : Path
        Folder for its scores.
    yardsticks : Path
        Folder for the scores of the mixture, the ideal ratio mask and the multichannel
        Wiener filter, which all candidates share.
    backend : {"songsplit", "museval"}, optional
        What computes the scores.
    jobs : int, optional
        How many songs are scored at once, each in a process of its own if more than one.
    console : rich.console.Console, optional
        Where progress is shown; nowhere by default.

    Returns
    -------
    Evaluation

    Raises
    ------
    ConfigError
        If the candidate has the name of a yardstick, or cannot be used.
    ModelError, DeviceError, MissingExtraError
        If the model, its device or a package cannot be used.
    OutputError
        If scores cannot be stored.
    DataError
        If a worker process is killed; scores known by then are kept. If museval is to
        compute the scores and lacks the ffmpeg program.
    """
    if candidate.name in YARDSTICKS:
        raise ConfigError(
            f"{candidate.name!r} is the name of a yardstick: give the model or folder another name"
        )
    if backend == "museval":
        # Fails here at once, rather than for every song.
        load_museval()
    scorer = SongScorer(candidate, output, yardsticks, backend)
    scored = {song.name: stored for song in songs if (stored := scorer.stored(song)) is not None}
    remaining = [song for song in songs if song.name not in scored]
    with _Bar(len(songs), len(scored), console or Console(quiet=True)) as bar:
        jobs = min(jobs, len(remaining))
        run = (
            _side_by_side(scorer, remaining, jobs, bar)
            if jobs > 1
            else _in_turn(scorer, remaining, bar)
        )
        # Closing ends the worker processes also where an error comes from the bar.
        with closing(run):
            for name, outcome in run:
                scored[name] = outcome
                bar.done(name)
    systems = (candidate.name, *YARDSTICKS)
    return Evaluation(
        {
            system: {song.name: scored[song.name].scores[system] for song in songs}
            for system in systems
        },
        {song.name: audio for song in songs if (audio := scored[song.name].audio) is not None},
    )


class _TimeLeft(ProgressColumn):
    """Time left, judged by the songs that were scored in this run."""

    def render(self, task: Task) -> Text:
        finish = task.fields["finish"]
        if finish is None:
            return Text("-:--:-- left")
        return Text(f"{timedelta(seconds=max(0, round(finish - monotonic())))} left")


class _Bar:
    """Shows how many songs are done and which are in work."""

    def __init__(self, songs: int, stored: int, console: Console) -> None:
        names = Column(max_width=40, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=names),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _TimeLeft(),
            console=console,
        )
        self._task = self._progress.add_task("scoring", total=songs, completed=stored, finish=None)
        self._left = songs - stored
        self._done = 0
        self._in_work: list[str] = []
        self._start = monotonic()

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def begin(self, song: str) -> None:
        """Take up a song."""
        self._in_work.append(song)
        self._progress.update(self._task, description=", ".join(self._in_work))

    def done(self, song: str) -> None:
        """Finish a song."""
        self._in_work.remove(song)
        self._done += 1
        self._left -= 1
        now = monotonic()
        self._progress.update(
            self._task,
            advance=1,
            description=", ".join(self._in_work) or "scored",
            finish=now + (now - self._start) / self._done * self._left,
        )


def _in_turn(
    scorer: SongScorer, songs: Sequence[ReferenceSong], bar: _Bar
) -> Generator[tuple[str, ScoredSong]]:
    for song in songs:
        bar.begin(song.name)
        yield song.name, scorer.score(song)


def _side_by_side(
    scorer: SongScorer, songs: Sequence[ReferenceSong], jobs: int, bar: _Bar
) -> Generator[tuple[str, ScoredSong]]:
    others = set(multiprocessing.active_children())
    waiting = iter(songs)
    in_work: dict[Future[ScoredSong], str] = {}
    # Not fork: PyTorch's threads do not survive it.
    context = multiprocessing.get_context("spawn")
    with (
        _threads(max(1, (os.cpu_count() or 1) // jobs)),
        ProcessPoolExecutor(jobs, context, _start_worker, (scorer,)) as pool,
    ):
        try:
            while True:
                # No more at a time than are worked on, so that it is known which they are.
                while len(in_work) < jobs and (song := next(waiting, None)) is not None:
                    # May start a process.
                    with _interruptions_ignored():
                        in_work[pool.submit(_work, song)] = song.name
                    bar.begin(song.name)
                if not in_work:
                    return
                for future in wait(in_work, return_when=FIRST_COMPLETED).done:
                    yield in_work.pop(future), future.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process was killed, most likely for lack of memory: use fewer jobs; "
                "songs scored so far are kept"
            ) from error
        except BaseException:
            # Scores are stored whole or not at all, so there is nothing to wait for.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let processes that are started use so many threads, unless the user said how many.

    The libraries look at the variable when they are loaded, which is before a worker
    process could be told.
    """
    if _THREADS_VARIABLE in os.environ:
        yield
        return
    os.environ[_THREADS_VARIABLE] = str(count)
    try:
        yield
    finally:
        del os.environ[_THREADS_VARIABLE]


@contextmanager
def _interruptions_ignored() -> Iterator[None]:
    """Let processes that are started ignore interruptions from their very beginning.

    Importing what they need takes seconds, before they could be told.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# The scorer of a worker process, set when the process starts.
_scorer: SongScorer


def _start_worker(scorer: SongScorer) -> None:
    global _scorer
    # Of an interruption, which all processes get, the first one takes care.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _scorer = scorer


def _work(song: ReferenceSong) -> ScoredSong:
    return _scorer.score(song)
