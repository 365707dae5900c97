"""Faults: kills, threads, forks, pipes and folders.

After each, finished files are whole, and a rerun gives what an undisturbed run gives.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import songsplit
from songsplit import Separator
from tests.zoo.encoding import RATE, song, song_bytes

ROOT = Path(__file__).parents[2]
LIMIT = 120  # seconds after which a run counts as hanging

pytestmark = pytest.mark.skipif(os.name != "posix", reason="about signals and files of Unix")


def contents(folder: Path) -> dict[str, str]:
    """A digest of every file below a folder, without hidden ones."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def start(songs: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "songsplit", str(songs), "-o", str(out), "-d", "cpu"]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def run(songs: Path, out: Path, *options: str, code: int = 0) -> str:
    process = start(songs, out, *options)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    return errors


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    for index in range(4):
        path = folder / ("", "disc")[index % 2] / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).normal(0, 0.1, (RATE, 2))
        soundfile.write(path, noise, RATE)
    return folder


@pytest.mark.slow
def test_a_batch_that_is_killed_is_completed_by_a_rerun(songs: Path, tmp_path: Path) -> None:
    soundfile.write(songs / "long.wav", song(RATE * 30).T, RATE)
    out, moments, options = tmp_path / "out", random.Random(0), ("--jobs", "2", "-f", "flac")
    began = time.monotonic()
    run(songs, tmp_path / "whole", *options)
    seconds, reference = time.monotonic() - began, contents(tmp_path / "whole")
    assert len(reference) == 10
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        process = start(songs, out, *options)
        time.sleep(moments.uniform(0.4, 0.9) * seconds)
        process.send_signal(number)
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode in (0, -number, 128 + number), errors
        assert contents(out).items() <= reference.items()
    run(songs, out, *options)
    assert contents(out) == reference


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (2, RATE)).astype(np.float32)


def test_threads_share_a_separator(separator: Separator, noise: np.ndarray) -> None:
    expected = separator.separate(noise, RATE).vocals
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: separator.separate(noise, RATE).vocals, range(8)))
    for vocals in found:
        np.testing.assert_array_equal(vocals, expected)


def forked(work: Callable[[], bool]) -> bool:
    """Return whether a condition holds in a forked child, which is ended if it hangs."""
    process = os.fork()
    if not process:
        code = 2
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(LIMIT)
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitpid(process, 0)[1] == 0


def test_forks_and_pickles_separate_alike(separator: Separator, noise: np.ndarray) -> None:
    expected = separator.separate(noise, RATE).vocals

    def same(one: Separator = separator) -> bool:
        return np.array_equal(one.separate(noise, RATE).vocals, expected)

    assert forked(same)
    assert forked(lambda: forked(same))
    busy = threading.Thread(target=separator.separate, args=(np.tile(noise, 10), RATE))
    busy.start()
    assert forked(same)
    busy.join()
    assert same(pickle.loads(pickle.dumps(separator)))


def test_links_folders_pipes_and_devices(separator: Separator, tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_bytes(song_bytes("wav"))
    expected = separator.separate(tmp_path / "song.wav").vocals
    (tmp_path / "link.mp3").symlink_to("song.wav")
    np.testing.assert_array_equal(separator.separate(tmp_path / "link.mp3").vocals, expected)
    source, sink = os.pipe()
    writer = threading.Thread(target=lambda: [os.write(sink, song_bytes("wav")), os.close(sink)])
    writer.start()
    with os.fdopen(source, "rb") as reader:
        np.testing.assert_array_equal(separator.separate(reader).vocals, expected)
    writer.join()
    (tmp_path / "gone.wav").symlink_to("nothing.wav")
    (tmp_path / "circle.wav").symlink_to("circle.wav")
    (tmp_path / "folder.wav").mkdir()
    for name in ("gone.wav", "circle.wav", "folder.wav", "a" * 256 + ".wav", "x/" * 3000 + "a.wav"):
        with pytest.raises(songsplit.SongsplitError) as caught:
            separator.separate(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
    for odd in ("/dev/null", "", "a\0b.wav"):
        with pytest.raises(songsplit.SongsplitError):
            separator.separate(odd)
