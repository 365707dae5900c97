"""A network at work: on which device, how many chunks at once, and what if memory runs out."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray

from songsplit.errors import DeviceError, ModelError
from songsplit.inference.devices import precision
from songsplit.inference.turns import Turn
from songsplit.models.config import MaskUNetConfig
from songsplit.models.loading import Network

Samples = NDArray[np.float32]

_GPU_ITEMS = 8  # stereo chunks at once, to begin with


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
        return max(1, self._items // _pairs(channels))

    def foreground(self, chunks: Samples, *, split: bool = False) -> list[Samples]:
        """Separate all targets but the last.

        Parameters
        ----------
        chunks : ndarray of float32, shape (chunks, channels, n)
            At the network's rate.
        split : bool, optional
            Whether to take the share of each stem in what lies above the network's band
            out of it, and to give that share as well.

        Returns
        -------
        list of ndarray of float32, shape (targets - 1, channels, n)
            Stems of each chunk. If split, of shape (2, targets - 1, channels, n): stem
            less share times mixture, and share.

        Raises
        ------
        ModelError
            If the network computes values that are not finite.
        DeviceError
            If the device does not work in this process.
        """
        if self._turn.forked and self._device.type != "cpu":
            raise DeviceError(
                f"{self._device} cannot be used in a process forked from one that uses it: start "
                "processes with the method 'spawn', or separate on the CPU"
            )
        # The network is indifferent to level, float32 is not: this keeps squares of
        # very loud or very quiet samples within its range.
        peaks = np.abs(chunks).max(axis=(1, 2), keepdims=True)
        scaled = chunks / np.where(peaks > 0, peaks, np.float32(1))
        items = _as_pairs(scaled.astype(np.float32, copy=False))
        with self._turn:
            stems, highs = self._run(items.reshape(-1, 2, items.shape[-1]))
        shape = *items.shape[:2], *stems.shape[1:]
        stems = _from_pairs(stems.reshape(shape), chunks.shape[1])
        if not np.isfinite(stems).all():
            raise ModelError("the network computed values that are not finite: is it damaged?")
        if not split:
            return list(stems * peaks[:, np.newaxis])
        highs = _from_pairs(highs.reshape(shape), chunks.shape[1])
        stems = (stems - highs * scaled[:, np.newaxis]) * peaks[:, np.newaxis]
        return list(np.stack([stems, highs], axis=1))

    def _run(self, items: Samples) -> tuple[Samples, Samples]:
        """Run the network over stereo items, as many at once as memory allows."""
        stems, highs, start = [], [], 0
        while start < len(items):
            part = torch.from_numpy(items[start : start + self._items])
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


def _pairs(channels: int) -> int:
    """Return how many stereo items a chunk becomes."""
    return 1 if channels <= 2 else channels - 1


def _as_pairs(chunks: Samples) -> Samples:
    """Arrange (chunks, channels, n) as stereo items, shape (chunks, items, 2, n)."""
    paired = 0 if chunks.shape[1] == 1 else 2
    doubled = np.repeat(chunks[:, paired:, np.newaxis], 2, axis=2)
    return np.concatenate([chunks[:, np.newaxis, :2], doubled], axis=1) if paired else doubled


def _from_pairs(stems: Samples, channels: int) -> Samples:
    """Turn (chunks, items, targets, 2, n) back into (chunks, targets, channels, n)."""
    paired = 0 if channels == 1 else 1
    single: Samples = stems[:, paired:].mean(axis=3).swapaxes(1, 2)
    return np.concatenate([stems[:, 0], single], axis=2) if paired else single
