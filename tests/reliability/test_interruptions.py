"""A batch that is stopped at one line of our code after the other.

The real program is killed in test_kills.py; here the moments are not left to chance.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import soundfile

from songsplit.audio.writing import part_name
from songsplit.batch.inputs import find_songs
from songsplit.batch.jobs import Stopped
from songsplit.batch.outcomes import counts
from tests.batch.test_jobs import Quiet, batch
from tests.reliability.songs import contents, empty_folders, hidden

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")

# Where files are made, named and removed, and what calls that.
_TRACED = frozenset(
    f"{name}.py"
    for name in (
        *("jobs", "folders", "stopping", "song_files"),
        *("stem_files", "writing", "conversion"),
    )
)
# How many lines of some 2000 are tried; the variable asks for more.
_MOMENTS = int(os.environ.get("SONGSPLIT_MOMENTS", "15"))


class Tracer:
    """Counts lines, and sends a signal to the process at one of them."""

    def __init__(self, at: int | None, number: int) -> None:
        self.at, self.number, self.lines = at, number, 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if "songsplit" not in name or Path(name).name not in _TRACED:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                # To the process: handlers run in its main thread.
                os.kill(os.getpid(), self.number)
        return self


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    for index, below in enumerate(("", "disc", "disc/live")):
        (folder / below).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).normal(size=(3000, 2)) / 10
        soundfile.write(folder / below / f"{index}.wav", noise, 44100)
    return folder


def separate(songs: Path, out: Path, jobs: int, output: str) -> str:
    found, _ = find_songs([str(songs)])
    made = batch(out, display=Quiet(), output=_formats()[output])
    made.run(found, jobs=jobs)
    return counts(made.outcomes)


def _formats() -> dict[str, Any]:
    from songsplit.formats import OutputFormat

    return {name: OutputFormat(name) for name in ("wav", "flac", "stem.mp4")}


def interrupted(songs: Path, out: Path, jobs: int, output: str, tracer: Tracer) -> int:
    """Separate songs in a process of its own that gets a signal; return how it ended."""
    process = os.fork()
    if not process:
        code = 99
        try:
            threading.settrace(tracer)
            sys.settrace(tracer)
            separate(songs, out, jobs, output)
            code = 0
        except Stopped as stopped:
            code = 128 + stopped.signal
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def moments(songs: Path, folder: Path, jobs: int, output: str) -> Iterator[int]:
    """Give the numbers of lines at which a run is to be stopped."""
    tracer = Tracer(None, 0)
    sys.settrace(tracer)
    threading.settrace(tracer)
    try:
        separate(songs, folder, jobs, output)
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    assert tracer.lines > 1000
    yield from range(1 + jobs, tracer.lines, max(1, tracer.lines // _MOMENTS))


@pytest.mark.parametrize(
    ("number", "jobs", "output"),
    [
        (signal.SIGTERM, 1, "wav"),
        (signal.SIGTERM, 2, "wav"),
        (signal.SIGTERM, 1, "flac"),
        (signal.SIGTERM, 1, "stem.mp4"),
        (signal.SIGKILL, 1, "wav"),
        (signal.SIGKILL, 2, "flac"),
    ],
)
def test_wherever_a_batch_is_stopped(
    songs: Path, tmp_path: Path, number: int, jobs: int, output: str
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    stopped = 0
    for at in moments(songs, whole, jobs, output):
        reference = contents(whole)
        code = interrupted(songs, out, jobs, output, Tracer(at, number))
        told = f"line {at}, exit code {code}"
        assert code in (0, -number, 128 + number), told
        stopped += code != 0
        assert contents(out).items() <= reference.items(), told
        if number == signal.SIGTERM:
            assert not hidden(out), told
            assert not empty_folders(out), told
        # What is there is skipped or completed, and nothing is left beside it.
        assert "failed" not in separate(songs, out, 1, output), told
        assert contents(out) == reference, told
        assert not hidden(out), told
        shutil.rmtree(out)
    assert stopped > _MOMENTS // 2


def test_a_run_with_the_process_number_of_one_that_was_killed(songs: Path, tmp_path: Path) -> None:
    # In a container, that is the rule.
    separate(songs, tmp_path, 1, "wav")
    reference = contents(tmp_path)
    vocals = tmp_path / "0" / "vocals.wav"
    own = part_name(vocals)
    run = own.name.split("-")[3]
    dead = own.with_name(own.name.replace(run, "0" * len(run)))
    vocals.rename(dead)
    assert separate(songs, tmp_path, 1, "wav") == "1 done, 2 skipped"
    assert contents(tmp_path) == reference
    assert not hidden(tmp_path)


def test_what_a_replacement_that_was_killed_left_is_removed(songs: Path, tmp_path: Path) -> None:
    separate(songs, tmp_path, 1, "wav")
    part = part_name(tmp_path / "0" / "vocals.wav")
    aside = part.with_name(part.name.replace(f"-{os.getpid()}-", "-99999999-")).with_suffix(".old")
    aside.touch()
    assert separate(songs, tmp_path, 1, "wav") == "3 skipped"
    assert not hidden(tmp_path)
