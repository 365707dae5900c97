"""Batches of songs, with a trivial separator."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit.audio import StemFilesWriter, open_audio
from songsplit.cli.batch import Batch, Stopped
from songsplit.cli.inputs import Song, find_songs
from songsplit.cli.options import Options
from songsplit.cli.plan import Outcome, Request, without_results
from songsplit.naming import result_files, track_name
from songsplit.stems import Mix, SavedStems

STEMS = ("vocals", "instrumental")
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


class Halver:
    """Returns half of the mixture as vocals."""

    targets = STEMS

    def __init__(self) -> None:
        self.at_once = self.most_at_once = 0

    def separate_to_files(
        self, audio, folder, *, mix, filename, output, picture, overwrite, sound_track, progress
    ):
        stems = STEMS if mix is None else (mix.name,)
        track = track_name(getattr(audio, "name", audio))
        with open_audio(audio) as reader:
            files = result_files(folder, stems, output, filename=filename, track=track).stems
            rate, channels = reader.info.sample_rate, reader.info.channels
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            with StemFilesWriter(files, rate, channels, output=output) as writer:
                for number, block in enumerate(reader.blocks(1000)):
                    progress(number * 1000 / rate, reader.info.seconds, None)
                    time.sleep(0.001)
                    writer.write(dict.fromkeys(stems, block / 2))
            progress(9000 / rate, reader.info.seconds, None)
            self.at_once -= 1
        return SavedStems(files, gain=writer.gain, problems=writer.problems)


class Quiet:
    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    @contextmanager
    def song(self, name: str):
        yield lambda done, total, left: None

    def outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@pytest.fixture
def songs(tmp_path: Path) -> list[Song]:
    made = []
    for index in range(6):
        path = tmp_path / "in" / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(index).normal(size=(9000, 2)) / 10
        soundfile.write(path, noise, 44100)
        made.append(Song(path))
    return made


def run(folder: Path, songs: list[Song], *, load=Halver, display=None, mix=None, **options):
    display = display or Quiet()
    request = Request(Options(output=folder, **options), STEMS, mix)
    Batch(request, load, display).run(without_results(songs))
    return display.outcomes


def never() -> Halver:
    raise AssertionError("nothing needs a model")


def counts(outcomes: list[Outcome]) -> str:
    found = [outcome.status for outcome in outcomes]
    kinds = ("done", "planned", "skipped", "failed")
    return ", ".join(f"{found.count(kind)} {kind}" for kind in kinds if kind in found)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but records, whose times and paths differ."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.name != ".songsplit.jsonl"
    }


def test_several_at_once_give_the_same(songs: list[Song], tmp_path: Path) -> None:
    for jobs in (1, 4):
        halver = Halver()
        outcomes = run(tmp_path / str(jobs), songs, load=lambda made=halver: made, jobs=jobs)
        assert counts(outcomes) == "6 done"
        assert (halver.most_at_once > 1) == (jobs > 1)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")
    assert len(contents(tmp_path / "1")) == 12


def test_bad_songs_and_faults_of_ours_stop_no_others(songs: list[Song], tmp_path: Path) -> None:
    class Faulty(Halver):
        def separate_to_files(self, audio, folder, **options):
            if audio == songs[0].path:
                raise ZeroDivisionError("oh")
            return super().separate_to_files(audio, folder, **options)

    songs[1].path.write_bytes(b"no audio")
    songs[2].path.unlink()
    outcomes = run(tmp_path / "out", songs, load=Faulty, jobs=3)
    errors = {Path(o.song).stem: o.error for o in outcomes if o.status == "failed"}
    assert errors.keys() == {"0", "1", "2"}
    assert all(song in error for song, error in errors.items())
    assert "unexpected ZeroDivisionError" in errors["0"]
    assert counts(outcomes) == "3 done, 3 failed"
    assert len(contents(tmp_path / "out")) == 6


def test_what_a_killed_run_left_is_removed(songs: list[Song], tmp_path: Path) -> None:
    left = tmp_path / "out" / "0" / ".songsplit-left"
    left.parent.mkdir(parents=True)
    left.touch()
    assert counts(run(tmp_path / "out", songs[:1])) == "1 done"
    assert not left.exists()


def test_a_dry_run_does_nothing(songs: list[Song], tmp_path: Path) -> None:
    run(tmp_path / "out", songs[:1])
    songs[1].path.write_bytes(b"no audio")
    before = contents(tmp_path)
    outcomes = run(tmp_path / "out", songs, load=never, plot=True, dry_run=True)
    assert counts(outcomes) == "5 planned, 1 failed"  # one planned song lacks only the picture
    outcomes = run(tmp_path / "out", songs, load=never, dry_run=True)
    assert counts(outcomes) == "4 planned, 1 skipped, 1 failed"
    planned = next(o for o in outcomes if o.status == "planned")
    assert planned.files.stems == {n: tmp_path / "out" / "2" / f"{n}.wav" for n in STEMS}
    assert contents(tmp_path) == before


def test_results_never_replace_songs(songs: list[Song], tmp_path: Path) -> None:
    folder, stem = tmp_path / "in", tmp_path / "in" / "0" / "vocals.wav"
    stem.parent.mkdir()
    stem.write_bytes(songs[1].path.read_bytes())
    for dry_run in (True, False):
        outcomes = run(folder, [songs[0], Song(stem)], overwrite=True, dry_run=dry_run)
        assert outcomes[0].status == "failed"
        assert "would replace a song" in outcomes[0].error
    assert stem.read_bytes() == songs[1].path.read_bytes()
    [outcome] = run(folder, songs[:1], mix=Mix("karaoke"), filename="{track}")
    assert "would replace the song itself" in outcome.error


def test_results_among_the_songs_are_not_taken_for_songs(songs: list[Song], tmp_path: Path) -> None:
    folder, custom = tmp_path / "in", {"filename": "{track} {stem}"}
    stem_files = {"output_format": "stem.mp4"}
    for request in ({}, {"mix": Mix("karaoke")}, stem_files, {}, custom, custom):
        outcomes = run(folder, find_songs([str(folder)])[0], **request)
        assert len(outcomes) == 6
    assert counts(outcomes) == "6 skipped"
    # Stem files without their song are songs.
    (tmp_path / "musdb").mkdir()
    for path in folder.glob("*.stem.mp4"):
        path.rename(tmp_path / "musdb" / path.name)
    assert len(run(tmp_path / "musdb", find_songs([str(tmp_path / "musdb")])[0])) == 6
    # A user's songs with the names of stems are songs.
    own = folder / "album" / "vocals.wav"
    own.parent.mkdir()
    own.write_bytes(songs[0].path.read_bytes())
    assert len(run(folder, find_songs([str(folder)])[0], **custom)) == 7


@needs_pipes
def test_a_named_pipe_is_read_once(songs: list[Song], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    content = songs[0].path.read_bytes()
    threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True).start()
    assert counts(run(tmp_path / "out", [Song(pipe), songs[1]], jobs=2)) == "2 done"
    # The next song from the pipe may be another one.
    assert counts(run(tmp_path / "out", [Song(pipe)])) == "1 failed"


class StoppedAtTheThird(Quiet):
    """Sends signals to the program, in the middle of a song."""

    def __init__(self, number: int, times: int) -> None:
        super().__init__()
        self.left, self.number = times, number

    @contextmanager
    def song(self, name: str):
        def report(done: float, total: float | None, left: float | None) -> None:
            if len(self.outcomes) >= 2 and done > 0.1 and self.left:
                self.left -= 1
                os.kill(os.getpid(), self.number)

        yield report


@pytest.mark.skipif(os.name != "posix", reason="signals are otherwise there")
@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_stopping_leaves_whole_songs_only(
    songs: list[Song], tmp_path: Path, jobs: int, number: int
) -> None:
    before = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    display = StoppedAtTheThird(number, times=2)
    try:
        with pytest.raises(Stopped) as stopped:
            run(tmp_path / "out", songs, display=display, jobs=jobs)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert stopped.value.signal == number
    there = contents(tmp_path / "out")
    assert not any(".songsplit" in name for name in there)
    assert {Path(name).parts[0] for name in there} >= {Path(o.song).stem for o in display.outcomes}
    assert len(there) < 12
    assert "skipped" in counts(run(tmp_path / "out", songs))
    assert len(contents(tmp_path / "out")) == 12


@needs_pipes
def test_waiting_for_a_pipe_is_broken_off(songs: list[Song], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    main = threading.main_thread().ident
    assert main is not None
    ended = threading.Event()

    def interrupt() -> None:
        # A signal just before the system call does not interrupt it: users press Ctrl-C again.
        for _ in range(2):
            if not ended.wait(1.0):
                signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Stopped):
            run(tmp_path / "out", [Song(pipe)])
    finally:
        ended.set()
        thread.join()
    assert not contents(tmp_path / "out")
