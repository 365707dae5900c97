"""How many chunks go through a network at once, and what happens if memory runs out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from songsplit.inference.runner import Runner
from songsplit.models.separation import Foreground
from tests.models.tiny import TINY, tiny_model


class SmallDevice:
    """A network on a device that holds only so many items; CPUs hold any number."""

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
    runner = Runner(network, torch.device("meta"))
    assert runner.group(channels=2) == 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stems = runner.foreground(np.ones((8, 2, 100), np.float32))
    assert len(stems) == 8
    assert network.runs == [("meta", 2)] * 4
    assert runner.group(channels=2) == 2


def test_without_enough_memory_for_one_the_cpu_takes_over():
    network = SmallDevice(holds=0)
    runner = Runner(network, torch.device("meta"))
    with pytest.warns(RuntimeWarning, match="out of memory") as caught:
        runner.foreground(np.ones((3, 2, 100), np.float32))
    assert len(caught) == 1
    runner.foreground(np.ones((1, 2, 100), np.float32))
    assert sum(items for _, items in network.runs) == 4
    assert {device for device, _ in network.runs} == {"cpu"}
    assert runner.device.type == "cpu"


def test_work_beside_other_work_raises_what_the_device_raises():
    network = SmallDevice(holds=0)
    runner = Runner(network, torch.device("meta"), shared=True)
    assert runner.group(channels=2) == 1
    with pytest.raises(torch.OutOfMemoryError):
        runner.foreground(np.ones((3, 2, 100), np.float32))
    assert network.device.type == "meta"


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    network = SmallDevice(holds=8)
    network.foreground = lambda items: 1 // 0
    with pytest.raises(ZeroDivisionError):
        Runner(network, torch.device("meta")).foreground(np.ones((1, 2, 100), np.float32))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_number_of_chunks_at_once_changes_nothing(channels):
    chunks = np.random.default_rng(0).normal(size=(5, channels, 9000)).astype(np.float32)
    chunks[1] = 0
    runner = Runner(tiny_model(), torch.device("cpu"))
    alone = [runner.foreground(chunk[None], split=True)[0] for chunk in chunks]
    runner._items = 3
    together = runner.foreground(chunks, split=True)
    assert alone[0].shape == (2, 1, channels, 9000)
    error = np.square(np.subtract(alone, together)).mean()
    assert error < 1e-4 * np.square(alone).mean()
