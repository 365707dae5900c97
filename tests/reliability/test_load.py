"""A separator in threads, in processes, and after a fork: a short version of load.py."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from songsplit import Separator
from songsplit.audio import read_audio
from songsplit.errors import DeviceError
from songsplit.inference.runner import Runner
from tests.api.test_runner import SmallDevice

ROOT = Path(__file__).parents[2]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
_SECONDS = 60


def forked(work: Callable[[], bool]) -> bool:
    """Say whether something holds in a forked child, which ends if it hangs."""
    process = os.fork()
    if not process:
        code = 2
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_SECONDS)
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitpid(process, 0)[1] == 0


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (2, 44100)).astype(np.float32)


def test_threads_processes_and_forks_give_what_one_thread_gives() -> None:
    # In a process of its own, which loads PyTorch as the script wants it.
    command = [sys.executable, "-m", "tests.reliability.load", "--songs", "12"]
    done = subprocess.run(
        [*command, "--threads", "4", "--processes", "2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=_SECONDS * 10,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_fork
def test_a_fork_after_work_in_threads(separator: Separator, noise: np.ndarray) -> None:
    expected = separator.separate(noise, 44100).vocals
    tensor = torch.from_numpy(noise).repeat(1, 4)

    def work() -> bool:
        # Tensors of this size are computed with by several threads, if there are any.
        separator.separate(tensor, 44100)
        return np.array_equal(separator.separate(noise, 44100).vocals, expected)

    assert forked(work)
    assert forked(lambda: forked(work))
    assert np.array_equal(separator.separate(noise, 44100).vocals, expected)


@needs_fork
def test_a_fork_while_another_thread_has_the_turn(noise: np.ndarray) -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(SmallDevice):
        def foreground(self, items: torch.Tensor):
            if threading.current_thread() is not threading.main_thread():
                inside.set()
                go_on.wait(_SECONDS)
            return super().foreground(items)

    runner = Runner(Slow(holds=9), torch.device("cpu"))
    thread = threading.Thread(target=runner.foreground, args=(noise[None],))
    thread.start()
    inside.wait()
    threading.Timer(0.2, go_on.set).start()
    assert forked(lambda: len(runner.foreground(noise[None])) == 1)
    thread.join()
    assert len(runner.foreground(noise[None])) == 1


@needs_fork
def test_a_device_that_does_not_survive_a_fork_is_told(noise: np.ndarray) -> None:
    runner = Runner(SmallDevice(holds=9), torch.device("meta"))

    def work() -> bool:
        with pytest.raises(DeviceError, match="spawn"):
            runner.foreground(noise[None])
        return True

    assert forked(work)
    assert len(runner.foreground(noise[None])) == 1


@needs_fork
def test_a_fork_while_another_thread_opens_a_file(tmp_path: Path, noise: np.ndarray) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, noise.T, 44100)
    lock = getattr(soundfile.SoundFile, "_sf_error_lock", threading.Lock())
    with lock:
        assert forked(lambda: read_audio(path)[0].shape == noise.shape)


def test_a_separator_can_be_pickled_for_another_process(
    separator: Separator, noise: np.ndarray
) -> None:
    copy = pickle.loads(pickle.dumps(separator))
    assert np.array_equal(
        copy.separate(noise, 44100).vocals, separator.separate(noise, 44100).vocals
    )
