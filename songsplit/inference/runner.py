"""A network at work: on which device, how many chunks at once, and what if memory runs out."""

from __future__ import annotations

import os
import threading
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray

from songsplit.errors import DeviceError, ModelError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation_model import SeparationModel, SpeedAverage

Network: TypeAlias = SeparationModel | SpeedAverage
Samples = NDArray[np.float32]

_GPU_ITEMS = 8  # stereo chunks at once, to begin with
_FORK_SECONDS = 60.0  # a chunk takes a second or two


def choose_device(name: str | None) -> torch.device:
    """Turn a name such as ``"cuda:1"`` into a device, ``None`` and ``"auto"`` into the fastest.

    Raises DeviceError if there is no such device on this machine.
    """
    if name is None or name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DeviceError(
            f"device {name!r} cannot be used ({reason}): use 'cpu' or leave the choice to songsplit"
        ) from error
    if device.type == "meta":
        raise DeviceError("device 'meta' computes nothing: use 'cpu'")
    return device


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Context in which the network runs: bfloat16 where the hardware has it.

    Stems made in bfloat16 differ from those made in float32 by less than -40 dB of the
    mixture (tests/test_quality.py), far below what separates them from perfect ones.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


class Runner:
    """Runs a network over stacks of chunks.

    If the device runs out of memory, half as many chunks go through at once, down to a
    single one, and then this and all further work goes on on the CPU, with a warning.

    Parameters
    ----------
    network : SeparationModel or SpeedAverage
        In evaluation mode.
    device : torch.device
        Where to compute.
    shared : bool, optional
        Whether the network and the device have other work too: chunks then go through one
        by one, and without memory the device's own error is raised.
    """

    def __init__(self, network: Network, device: torch.device, *, shared: bool = False) -> None:
        self._network = network.to(device)
        self._device = device
        self._shared = shared
        # Threads that share a separator take turns: several at once would each start as
        # many threads of their own as there are processors, and need as much memory.
        self._turn = Turn()
        self._items = 1 if shared or device.type == "cpu" else _GPU_ITEMS

    @property
    def config(self) -> MaskUNetConfig:
        """Settings of the network."""
        return self._network.config

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self._device

    def group(self, channels: int) -> int:
        """Return how many chunks of a song are best given at once."""
        items = 1 if channels <= 2 else channels - 1
        return max(1, self._items // items)

    def foreground(self, chunks: Samples) -> tuple[Samples, Samples]:
        """Separate all targets but the last.

        Parameters
        ----------
        chunks : ndarray of float32, shape (chunks, channels, n)
            At the network's rate, with a peak of about one.

        Returns
        -------
        stems, highs : ndarray of float32, shape (chunks, targets - 1, channels, n)
            The stems, and their shares in what lies above the network's band.

        Raises
        ------
        ModelError
            If the network computes values that are not finite.
        DeviceError
            If the device does not work in this process.
        """
        if self._turn.is_forked and self._device.type != "cpu":
            raise DeviceError(
                f"{self._device} cannot be used in a process forked from one that uses it: start "
                "processes with the method 'spawn', or separate on the CPU"
            )
        pairs = _as_pairs(chunks)
        with self._turn:
            stems, highs = self._run(pairs.reshape(-1, 2, pairs.shape[-1]))
        shape = *pairs.shape[:2], *stems.shape[1:]
        stems = _from_pairs(stems.reshape(shape), chunks.shape[1])
        if not np.isfinite(stems).all():
            raise ModelError("the network computed values that are not finite: is it damaged?")
        return stems, _from_pairs(highs.reshape(shape), chunks.shape[1])

    def _run(self, pairs: Samples) -> tuple[Samples, Samples]:
        """Run the network over stereo pairs, as many at once as memory allows."""
        stems, highs, start = [], [], 0
        while start < len(pairs):
            part = torch.from_numpy(pairs[start : start + self._items])
            try:
                with torch.inference_mode(), precision(self._device):
                    found = self._network.foreground(part.to(self._device))
                    stems.append(found.stems.float().cpu().numpy())
                    highs.append(found.highs.float().cpu().numpy())
            except RuntimeError as error:
                memory = self._device.type != "cpu" and "out of memory" in str(error).lower()
                if self._shared or not memory:
                    raise
                del stems[len(highs) :]
            else:
                start += len(part)
                continue
            # Outside of the handler, which would keep the memory of the failed run.
            self._use_less_memory()
        return np.concatenate(stems), np.concatenate(highs)

    def _use_less_memory(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if self._items > 1:
            self._items //= 2
            return
        warnings.warn(
            f"{self._device} ran out of memory: going on on the CPU", RuntimeWarning, stacklevel=2
        )
        self._device = torch.device("cpu")
        self._network = self._network.to(self._device)


def _as_pairs(chunks: Samples) -> Samples:
    """Arrange (chunks, channels, n) as stereo pairs, shape (chunks, pairs, 2, n)."""
    paired = 0 if chunks.shape[1] == 1 else 2
    doubled = np.repeat(chunks[:, paired:, np.newaxis], 2, axis=2)
    return np.concatenate([chunks[:, np.newaxis, :2], doubled], axis=1) if paired else doubled


def _from_pairs(stems: Samples, channels: int) -> Samples:
    """Turn (chunks, pairs, targets, 2, n) back into (chunks, targets, channels, n)."""
    paired = 0 if channels == 1 else 1
    single: Samples = stems[:, paired:].mean(axis=3).swapaxes(1, 2)
    return np.concatenate([stems[:, 0], single], axis=2) if paired else single


class Turn:
    """A lock for threads that share a network; each process has its own.

    A process that forks waits until nobody has a turn, since what other threads are at would
    stay as it is in the child for ever. Threads of PyTorch do not come along into a child,
    which would wait for them: after a fork it computes in one thread on the CPU, with the same
    results. A process that is spawned can be given a pickled turn, which is a new one there.
    """

    def __init__(self) -> None:
        global _is_used
        self.lock = threading.Lock()
        self.is_forked = False
        with _forking:
            _turns.add(self)
            # Loading a network has started threads already.
            _is_used = True

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()


_turns: WeakSet[Turn] = WeakSet()
_forking = threading.RLock()
_held: list[threading.Lock] = []
_is_used = False


def _before_fork() -> None:
    _forking.acquire()
    locks = [turn.lock for turn in list(_turns)]
    _held.extend([lock for lock in locks if lock.acquire(timeout=_FORK_SECONDS)])


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()
    _forking.release()


def _after_fork_in_child() -> None:
    global _forking
    _forking = threading.RLock()
    _held.clear()
    for turn in list(_turns):
        turn.lock = threading.Lock()
        turn.is_forked = True
    # Only where a network was loaded: others may fork and compute as they like.
    if _is_used:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
