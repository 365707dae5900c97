"""Separate a batch of songs, one by one or in parallel, until a signal stops it."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from songsplit.audio import StemFilesWriter, clear_stale_parts, open_audio, read_tags
from songsplit.audio.arrays import FloatArray
from songsplit.cli.inputs import Song, standard_input
from songsplit.cli.plan import Outcome, Planner, Request, failure, write_records
from songsplit.files import write_whole
from songsplit.naming import Files
from songsplit.pictures import SongPicture
from songsplit.progress import Report
from songsplit.stems import SavedStems, mixed

if TYPE_CHECKING:
    from songsplit.cli.display import BatchDisplay
    from songsplit.separator import Separator

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # some systems lack some of them
_MOST_SIGNALS = 3


class Stopped(KeyboardInterrupt):
    """The user or the system stops the batch; `signal` is the number of the signal."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.signal = number


class Batch:
    """Separates songs and shows the outcome of each; a failed song does not stop the others.

    `load` returns the separator and is called when a song needs it.
    """

    def __init__(
        self, request: Request, load: Callable[[], Separator], display: BatchDisplay
    ) -> None:
        self._request, self._load, self._display = request, load, display
        self._stopped: Stopped | None = None
        self._in_pipe = False

    def run(self, songs: Sequence[Song]) -> None:
        """Plan songs, separate them and record their results.

        An unusable model or device raises a SongsplitError before the first song. An interruption
        raises :class:`Stopped`: unfinished songs leave no files, and finished results are kept.
        """
        planner, options = Planner(self._request, songs), self._request.options
        running: set[Future[Outcome]] = set()
        with self._heeding_signals(), ThreadPoolExecutor(options.jobs) as pool:
            try:
                for song in songs:
                    self._check()
                    outcome = planner.plan(song)
                    if options.dry_run or outcome.status != "planned":
                        self._display.outcome(outcome)
                        continue
                    if not outcome.finished:
                        self._load()  # fails here once, not for every song
                    if song.is_plain:
                        running.add(pool.submit(self._work, song, outcome))
                    else:
                        # Run in the main thread, so that a signal can interrupt waiting for a pipe.
                        self._in_pipe = True
                        self._display.outcome(self._work(song, outcome))
                        self._in_pipe = False
                    while len(running) >= options.jobs:
                        running = self._wait(running)
                while running:
                    running = self._wait(running)
            except BaseException:
                self._stopped = self._stopped or Stopped()  # stops the other threads
                raise
        self._check()

    def _wait(self, running: set[Future[Outcome]]) -> set[Future[Outcome]]:
        # Windows delivers signals only when waiting ends.
        done, rest = wait(running, timeout=1, return_when=FIRST_COMPLETED)
        for future in done:
            self._display.outcome(future.result())
        return rest

    def _work(self, song: Song, planned: Outcome) -> Outcome:
        request, start, seconds = self._request, time.monotonic(), 0.0
        try:
            # Killed runs may have left temporary files.
            for folder in {path.parent for path in planned.files}:
                clear_stale_parts(folder)
            with self._display.song(str(song)) as report:

                def progress(done: float, total: float | None, left: float | None) -> None:
                    nonlocal seconds
                    self._check()
                    seconds = done
                    report(done, total, left)

                if planned.finished:
                    saved = _from_stems(planned.finished, request, song, planned.files, progress)
                else:
                    saved = self._load().separate_to_files(
                        standard_input() if song.path is None else song.path,
                        request.place(song),
                        mix=request.mix,
                        filename=request.template,
                        output=request.output,
                        picture=request.options.plot,
                        overwrite=request.options.overwrite,
                        sound_track=request.options.track,
                        progress=progress,
                    )
            only_drawn = planned.finished and request.mix is None
            if song.path is not None and song.is_plain and not only_drawn:
                # Results are valid without their records.
                with suppress(OSError):
                    write_records(saved.values(), song.path, request.settings, saved.gain_db)
        except Exception as error:
            # Decoders convert an interruption to errors of their own.
            self._check()
            return replace(failure(song, error), elapsed=time.monotonic() - start)
        return replace(
            planned,
            status="done",
            files=Files(saved, saved.picture),
            seconds=seconds,
            elapsed=time.monotonic() - start,
            gain_db=saved.gain_db,
            notes=[*dict.fromkeys([*planned.notes, *saved.problems])],
        )

    def _check(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    @contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        """Stop the work on a signal at the next check, between two blocks of samples.

        No file is being renamed there. Only work on a pipe, which may wait forever, stops at once.
        """
        signals = itertools.count(1)

        def note(number: int, frame: FrameType | None) -> None:
            self._stopped = self._stopped or Stopped(number)
            if next(signals) > _MOST_SIGNALS:  # the user insists: exit without waiting for a check
                os._exit(128 + number)
            if self._in_pipe:
                self._in_pipe = False  # a second signal must not interrupt the removal of files
                raise self._stopped

        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        # Keep signals ignored that a shell ignores for background jobs.
        usual = (signal.SIG_DFL, signal.default_int_handler)
        previous = {n: signal.signal(n, note) for n in numbers if signal.getsignal(n) in usual}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _from_stems(
    stems: Mapping[str, Path], request: Request, song: Song, files: Files, progress: Report
) -> SavedStems:
    """Write a mix, or only the picture, from the stems of an earlier run."""
    with ExitStack() as stack:
        # In a stem file, the stems are the tracks after the mixture.
        is_stem_file = len({*stems.values()}) < len(stems)
        readers = [
            stack.enter_context(open_audio(path, track=number if is_stem_file else None))
            for number, path in enumerate(stems.values(), 2)
        ]
        about = readers[0].info
        rate, seconds = about.sample_rate, about.seconds

        def blocks() -> Iterator[Mapping[str, FloatArray]]:
            done = 0
            for parts in zip(*(reader.blocks(rate) for reader in readers), strict=True):
                done += parts[0].shape[1]
                yield dict(zip(stems, parts, strict=True))
                progress(done / rate, seconds, None)

        drawing = SongPicture(song.track, [*stems], rate) if files.picture else None
        shown = drawing.watching(blocks()) if drawing else blocks()
        gain, problems = 1.0, []
        if request.mix is None:
            for _ in shown:
                pass
            if drawing and files.picture:
                write_whole(files.picture, drawing.png())
        else:
            writer = StemFilesWriter(
                files.stems,
                rate,
                about.channels,
                output=request.output,
                tags=read_tags(song.path) if song.path else None,
                guarded=True,
                alive=lambda: progress(seconds or 0.0, seconds, None),
            )
            with writer:
                for block in mixed(shown, request.mix, rate, about.channels):
                    writer.write(block)
                if drawing and files.picture:
                    writer.add_file(files.picture, drawing.png())
            gain, problems = writer.gain, writer.problems
    return SavedStems(files.stems, gain=gain, problems=problems, picture=files.picture)
