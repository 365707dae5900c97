"""Separation with ONNX Runtime and NumPy on the CPU, for the models that come with songsplit."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from songsplit.dsp import EDGE_BINS, numpy_stft
from songsplit.models.config import MaskUNetConfig

Samples = NDArray[np.float32]
_LOGGING = 3  # errors only


class OnnxEngine:
    """Runs a network file made by :func:`songsplit.models.onnx.onnx_network`.

    `items` is the best number of stereo chunks per call.
    """

    device = "cpu"
    items = 1
    chunk_seconds = 24.0

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._session, self._forks = _session(content), _forks
        described = self._session.get_modelmeta().custom_metadata_map
        self.config = MaskUNetConfig.from_json(described["config"])
        self.card: Mapping[str, Any] = json.loads(described["card"])

    def __reduce__(self) -> tuple[type[OnnxEngine], tuple[bytes]]:
        return OnnxEngine, (self._content,)

    def foreground(self, pairs: Samples) -> tuple[Samples, Samples]:
        """Separate all targets but the last, as in :class:`songsplit.inference.engine.Engine`."""
        if self._forks < _forks:
            # A fork does not copy the session's threads. Deleting the session would wait for them.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            self._session, self._forks = _session(self._content), _forks
        with _turns:
            results = [self._separate(pair) for pair in pairs]
        stems, highs = (np.stack(values) for values in zip(*results, strict=True))
        return stems, highs

    def _separate(self, pair: Samples) -> tuple[Samples, Samples]:
        """Separate one stereo pair (2, n)."""
        config, samples = self.config, pair.shape[1]
        # NumPy releases the GIL.
        with ThreadPoolExecutor(2) as pool:
            spectra = list(pool.map(self._spectrogram, pair))
            (masks,) = self._session.run(None, {"powers": self._powers(spectra, pool)})
            # To (targets - 1, 2, frames, bands), in the memory order of the spectra.
            masks = masks.reshape(-1, 2, *masks.shape[2:]).swapaxes(2, 3)
            edges = self._edges(masks)

            def stem(index: tuple[int, int]) -> Samples:
                spectrum, mask, edge = spectra[index[1]], masks[index], edges[index]
                blocks = numpy_stft.blocks(len(mask))
                masked = (self._masked(spectrum[b], mask[b], edge[b]) for b in blocks)
                return numpy_stft.inverse(masked, config.n_fft, config.hop_length, samples)

            stems = list(pool.map(stem, np.ndindex(*masks.shape[:2])))
        highs = _between_frames(edges, config.hop_length, samples)
        return np.stack(stems).reshape(*masks.shape[:2], samples), highs

    def band_powers(self, pair: Samples) -> Samples:
        """Return the network's input (1, 4, bands, frames) for a stereo pair (2, n)."""
        with ThreadPoolExecutor(2) as pool:
            return self._powers([self._spectrogram(side) for side in pair], pool)

    def _spectrogram(self, side: Samples) -> numpy_stft.Spectrogram:
        return numpy_stft.spectrogram(side, self.config.n_fft, self.config.hop_length)

    def _powers(self, spectra: list[numpy_stft.Spectrogram], pool: ThreadPoolExecutor) -> Samples:
        """Return the powers of left, right, mid and side in each band."""
        bins, frames = self.config.bins, len(spectra[0])
        powers = np.empty((1, 4, self.config.band_count, frames), np.float32)

        def fill(block: slice) -> None:
            left, right = (side[block, :bins] for side in spectra)
            for index, signal in enumerate((left, right, (left + right) / 2, (left - right) / 2)):
                squares = np.square(signal.real) + np.square(signal.imag)
                start = row = 0
                for stop, width in self.config.bands:
                    part, count = squares[:, start:stop], (stop - start) // width
                    pooled = sum((part[:, n::width] for n in range(1, width)), part[:, ::width])
                    powers[0, index, row : row + count, block] = pooled.T / np.float32(width)
                    start, row = stop, row + count

        list(pool.map(fill, numpy_stft.blocks(frames)))
        return powers

    def _edges(self, masks: Samples) -> Samples:
        """Return the mean mask of the highest masked bins (targets - 1, 2, frames)."""
        bands = np.repeat(np.arange(self.config.band_count), self.config.band_widths)[-EDGE_BINS:]
        edges: Samples = masks[..., bands].mean(axis=-1)
        return edges

    def _masked(
        self, spectrum: NDArray[np.complex64], mask: Samples, edge: Samples
    ) -> NDArray[np.complex64]:
        """Multiply a spectrum (frames, bins) by a mask of bands, with `edge` above the bands."""
        whole = np.empty(spectrum.shape, np.float32)
        bins = self.config.bins
        whole[:, :bins] = np.repeat(mask, self.config.band_widths, axis=1)
        whole[:, bins:] = edge[:, np.newaxis]
        return spectrum * whole


def _between_frames(values: Samples, hop_length: int, samples: int) -> Samples:
    """Interpolate values of frames (..., frames) for every sample (..., samples)."""
    following = np.concatenate([values[..., 1:], values[..., -1:]], axis=-1)
    share = np.arange(hop_length, dtype=np.float32) / np.float32(hop_length)
    between = values[..., np.newaxis] * (1 - share) + following[..., np.newaxis] * share
    whole: Samples = between.reshape(*values.shape[:-1], -1)
    return whole[..., :samples]


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOGGING
    options.intra_op_num_threads = _threads()
    # Memory patterns keep the memory of one chunk while the next one runs: a quarter more memory.
    options.enable_mem_pattern = False
    # Spinning threads take CPU time from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _threads() -> int:
    """Return the number of threads: available processors, or OMP_NUM_THREADS if lower."""
    if _forks:
        return 1
    allowed = getattr(os, "sched_getaffinity", None)
    count = len(allowed(0)) if allowed else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(count, int(wanted)) if wanted.isdigit() and int(wanted) else count


# Threads that separate songs take turns, because each one uses all processors and its own memory.
_turns = threading.Lock()
_forks = 0


def _after_fork_in_child() -> None:
    global _forks, _turns
    _forks += 1
    _turns = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
