"""Separation with PyTorch, with fewer chunks at once if the device runs out of memory."""

from __future__ import annotations

import os
import threading
import warnings
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from songsplit.errors import DeviceError
from songsplit.models.separation_model import SeparationModel

Samples = NDArray[np.float32]

_GPU_ITEMS = 8  # stereo chunks at once, initially
_FORK_SECONDS = 60.0  # a chunk takes a second or two


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the network runs: bfloat16 if the hardware supports it.

    bfloat16 changes stems by less than -40 dB of the mixture, far less than the network's errors.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


class TorchEngine:
    """Runs a model, in evaluation mode, over stacks of chunks.

    If the device runs out of memory, the number of chunks per call is halved. If a single chunk
    does not fit, all further work moves to the CPU, with a warning. If the device is `shared` with
    other work, chunks are processed one by one and the device's error is raised.
    """

    def __init__(
        self, model: SeparationModel, device: str | torch.device, *, shared: bool = False
    ) -> None:
        device = torch.device(device)
        self._model = model.to(device)
        self.config = model.config
        self._device = device
        self.chunk_seconds = 24.0
        self._shared = shared
        self.items = 1 if shared or device.type == "cpu" else _GPU_ITEMS
        self._forks = _forks
        _turns[device]

    @property
    def device(self) -> str:
        """Name of the compute device."""
        return str(self._device)

    def foreground(self, pairs: Samples) -> tuple[Samples, Samples]:
        """Separate all targets but the last, with as many pairs at once as memory allows."""
        if self._forks < _forks and self._device.type != "cpu":
            raise DeviceError(
                f"{self._device} cannot be used in a process forked from one that uses it: start "
                "processes with the method 'spawn', or separate on the CPU"
            )
        with _turns[self._device]:
            return self._run(pairs)

    def _run(self, pairs: Samples) -> tuple[Samples, Samples]:
        done: list[list[Samples]] = []
        start = 0
        while start < len(pairs):
            part = torch.from_numpy(pairs[start : start + self.items])
            try:
                with torch.inference_mode(), precision(self._device):
                    found = self._model.foreground(part.to(self._device))
                    done.append([values.float().cpu().numpy() for values in found])
            except RuntimeError as error:
                is_full = self._device.type != "cpu" and "out of memory" in str(error).lower()
                if self._shared or not is_full:
                    raise
            else:
                start += len(part)
                continue
            # Inside the handler, the exception would keep the memory of the failed run.
            self._use_less_memory()
        stems, highs = (np.concatenate(parts) for parts in zip(*done, strict=True))
        return stems, highs

    def _use_less_memory(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if self.items > 1:
            self.items //= 2
            return
        warnings.warn(
            f"{self._device} ran out of memory: continuing on the CPU", RuntimeWarning, stacklevel=2
        )
        self._device = torch.device("cpu")
        self._model = self._model.to(self._device)


# Threads that separate on one device take turns: each would start as many threads as there are
# processors, and need as much memory.
_turns: defaultdict[torch.device, threading.Lock] = defaultdict(threading.Lock)
_forking = threading.Lock()
_held: list[threading.Lock] = []
_forks = 0


def _before_fork() -> None:
    # The child would inherit locks that another thread holds and never release them.
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
    # A fork does not copy the threads that PyTorch starts with a network, and the child would wait
    # for them. One thread computes the same results.
    if _turns:
        torch.set_num_threads(1)
    _turns.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
