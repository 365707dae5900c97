"""The number of chunks per call, and full memory of a device."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from songsplit.inference.torch_engine import TorchEngine
from songsplit.models.separation_model import Foreground
from tests.models.tiny import TINY, tiny_model


class SmallDevice:
    """A network on a device with room for a limited number of items; CPUs have no limit."""

    config = TINY

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.device = torch.device("cpu")
        self.runs: list[tuple[str, int]] = []

    def to(self, device: torch.device) -> SmallDevice:
        self.device = device
        return self

    def foreground(self, items: torch.Tensor) -> Foreground:
        if self.device.type != "cpu" and len(items) > self.holds:
            raise torch.OutOfMemoryError("device out of memory")
        self.runs.append((self.device.type, len(items)))
        stems = torch.zeros(len(items), 1, 2, items.shape[-1])
        return Foreground(stems, stems)


def test_less_memory_means_fewer_chunks_at_once():
    network = SmallDevice(holds=3)
    engine = TorchEngine(network, torch.device("meta"))
    assert engine.items == 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stems, _ = engine.foreground(np.ones((8, 2, 100), np.float32))
    assert len(stems) == 8
    assert network.runs == [("meta", 2)] * 4
    assert engine.items == 2


def test_without_enough_memory_for_one_the_cpu_takes_over():
    network = SmallDevice(holds=0)
    engine = TorchEngine(network, torch.device("meta"))
    with pytest.warns(RuntimeWarning, match="out of memory") as caught:
        engine.foreground(np.ones((3, 2, 100), np.float32))
    assert len(caught) == 1
    engine.foreground(np.ones((1, 2, 100), np.float32))
    assert sum(items for _, items in network.runs) == 4
    assert {device for device, _ in network.runs} == {"cpu"}
    assert engine.device == "cpu"


def test_work_beside_other_work_raises_what_the_device_raises():
    network = SmallDevice(holds=0)
    engine = TorchEngine(network, torch.device("meta"), shared=True)
    assert engine.items == 1
    with pytest.raises(torch.OutOfMemoryError):
        engine.foreground(np.ones((3, 2, 100), np.float32))
    assert network.device.type == "meta"


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    network = SmallDevice(holds=8)
    network.foreground = lambda items: 1 // 0
    with pytest.raises(ZeroDivisionError):
        TorchEngine(network, torch.device("meta")).foreground(np.ones((1, 2, 100), np.float32))


def test_the_number_of_chunks_at_once_changes_nothing():
    chunks = np.random.default_rng(0).normal(size=(5, 2, 9000)).astype(np.float32)
    chunks[1] = 0
    engine = TorchEngine(tiny_model(), torch.device("cpu"))
    alone = np.concatenate([engine.foreground(chunk[None]) for chunk in chunks], axis=1)
    engine.items = 3
    together = np.stack(engine.foreground(chunks))
    assert together.shape == (2, 5, 1, 2, 9000)
    error = np.square(alone - together).mean()
    assert error < 1e-4 * np.square(alone).mean()


FORKED = """
import os, sys, time
import numpy as np
import songsplit

audio = np.random.default_rng(0).normal(size=(2, 4410)).astype("float32") / 10
separator = songsplit.Separator(device="cpu", engine=sys.argv[1])
expected = separator.separate(audio, 44100).vocals if "used" in sys.argv else None
child = os.fork()
if not child:
    vocals = separator.separate(audio, 44100).vocals
    sys.exit(0 if expected is None or np.allclose(vocals, expected, atol=1e-5) else 3)
end = time.monotonic() + 60
while time.monotonic() < end:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.05)
os.kill(child, 9)
sys.exit("the child hangs")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("state", ["unused", "used"])
def test_a_forked_process_separates_whether_or_not_its_parent_has(state, engine):
    # The parent uses threads, which a fork does not copy.
    env = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FORKED, engine, state], env=env, stderr=subprocess.PIPE
    )
    assert done.returncode == 0, done.stderr.decode()


WAITING = """
import atexit, os, sys
from songsplit.cli import main
atexit.register(lambda: print(os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules))
sys.argv = ["songsplit", "--version"]
main()
"""


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({}, "PASSIVE"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"),
        ({"GOMP_SPINCOUNT": "9"}, "None"),
    ],
)
def test_threads_of_the_command_sleep_while_they_wait_unless_the_user_says_otherwise(given, policy):
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    env = {**env, "PYTHONPATH": os.pathsep.join(sys.path), **given}
    done = subprocess.run([sys.executable, "-c", WAITING], env=env, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{policy} False"
