"""A network at work: on which device, how many chunks at once, and what if memory runs out."""

from __future__ import annotations

import os
import threading
import warnings
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from songsplit.errors import DeviceError, ModelError
from songsplit.models.separation_model import SeparationModel, SpeedAverage

Network: TypeAlias = SeparationModel | SpeedAverage
Samples = NDArray[np.float32]

_GPU_ITEMS = 8  # stereo chunks at once, to begin with
_FORK_SECONDS = 60.0  # a chunk takes a second or two


def choose_device(name: str | None) -> torch.device:
    """Turn a name such as ``"cuda:1"`` into a device, ``None`` and ``"auto"`` into the fastest."""
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

    That changes stems by less than -40 dB of the mixture, far less than the network's mistakes.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


class Runner:
    """Runs a network, in evaluation mode, over stacks of chunks.

    If the device runs out of memory, half as many chunks go through at once, down to a single
    one, and then all further work moves to the CPU, with a warning. If the device is `shared` with
    other work, chunks go through one by one, and the device's own error is raised.
    """

    def __init__(self, network: Network, device: torch.device, *, shared: bool = False) -> None:
        self._network = network.to(device)
        self.config = network.config
        self.device = device
        self._shared = shared
        self._items = 1 if shared or device.type == "cpu" else _GPU_ITEMS
        # Long chunks: little is computed twice. Several speeds take more memory for each second.
        self.chunk_seconds = 16.0 if isinstance(network, SpeedAverage) else 24.0
        self._forks = _forks
        _turns[device]

    def group(self, channels: int) -> int:
        """Return how many chunks of a song are best given at once."""
        return max(1, self._items // max(1, channels - 1))

    def foreground(self, pairs: Samples) -> tuple[Samples, Samples]:
        """Separate all targets but the last.

        From stereo pairs (pairs, 2, n) at the network's rate, with peaks of about one, to stems
        (pairs, targets - 1, 2, n) and their shares of what lies above the network's band. Where
        both sides are equal, so are those of the result.
        """
        if self._forks < _forks and self.device.type != "cpu":
            raise DeviceError(
                f"{self.device} cannot be used in a process forked from one that uses it: start "
                "processes with the method 'spawn', or separate on the CPU"
            )
        with _turns[self.device]:
            stems, highs = self._run(pairs)
        if not np.isfinite(stems).all():
            raise ModelError("the network computed values that are not finite: is it damaged?")
        is_mono = (pairs[:, 0] == pairs[:, 1]).all(axis=1)
        for values in (stems, highs):
            values[is_mono] = values[is_mono].mean(axis=2, keepdims=True)
        return stems, highs

    def _run(self, pairs: Samples) -> tuple[Samples, Samples]:
        """Run the network over stereo pairs, as many at once as memory allows."""
        done: list[list[Samples]] = []
        start = 0
        while start < len(pairs):
            part = torch.from_numpy(pairs[start : start + self._items])
            try:
                with torch.inference_mode(), precision(self.device):
                    found = self._network.foreground(part.to(self.device))
                    done.append([values.float().cpu().numpy() for values in found])
            except RuntimeError as error:
                is_full = self.device.type != "cpu" and "out of memory" in str(error).lower()
                if self._shared or not is_full:
                    raise
            else:
                start += len(part)
                continue
            # Outside of the handler, which would keep the memory of the failed run.
            self._use_less_memory()
        stems, highs = (np.concatenate(parts) for parts in zip(*done, strict=True))
        return stems, highs

    def _use_less_memory(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self._items > 1:
            self._items //= 2
            return
        warnings.warn(
            f"{self.device} ran out of memory: going on on the CPU", RuntimeWarning, stacklevel=2
        )
        self.device = torch.device("cpu")
        self._network = self._network.to(self.device)


# Threads that separate on one device take turns: several at once would each start as many
# threads of their own as there are processors, and need as much memory.
_turns: defaultdict[torch.device, threading.Lock] = defaultdict(threading.Lock)
_forking = threading.Lock()
_held: list[threading.Lock] = []
_forks = 0


def _before_fork() -> None:
    # A lock that another thread holds would never be released in the child.
    locks = [_forking, *_turns.values()]
    _held.extend([lock for lock in locks if lock.acquire(timeout=_FORK_SECONDS)])


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    global _forks, _forking
    _forks += 1
    _forking = threading.Lock()
    _held.clear()
    # Threads of PyTorch, which loading a network starts, do not come along into a child, which
    # would wait for them. One thread computes the same results.
    if _turns:
        torch.set_num_threads(1)
    _turns.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
