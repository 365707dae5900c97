"""Blocks of a mixture in, blocks of its stems out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from songsplit.audio import Resampler
from songsplit.dsp.overlap import ChunkPlan, overlap_add
from songsplit.errors import ModelError
from songsplit.inference.devices import precision
from songsplit.models.loading import Network

Samples = NDArray[np.float32]

# The network looks about two seconds to either side, and so does the measure of the
# level that its input is divided by; what a margin leaves out has little weight.
MARGIN_SECONDS = 2.0
FADE_SECONDS = 0.5
CHUNK_SECONDS = 24.0


def stream_stems(
    model: Network, mixture: Iterable[Samples], sample_rate: int, channels: int
) -> Iterator[Samples]:
    """Separate a mixture of any length, block by block.

    Parameters
    ----------
    model : SeparationModel or SpeedAverage
        In evaluation mode, on the device to use.
    mixture : iterable of ndarray of float32, shape (channels, n)
        Blocks of any length.
    sample_rate : int
        Rate of the mixture in Hz; the stems come at the same rate.
    channels : int
        Number of channels. Two are taken as a stereo pair; of more than two, the first
        two are a stereo pair and each of the others is separated as mono.

    Yields
    ------
    ndarray of float32, shape (targets, channels, n)
        In the order of ``model.config.targets``. All but the last come from the masks;
        the last is the mixture less the others, so that the stems add up to it. The
        blocks together are as long as the mixture. Memory does not grow with length.

    Raises
    ------
    ModelError
        If the network computes values that are not finite.
    """
    kept: list[Samples] = []  # mixture whose stems are not out yet

    def remembered() -> Iterator[Samples]:
        for block in mixture:
            kept.append(block)
            yield block

    rate = model.config.sample_rate
    outer = channels * (len(model.config.targets) - 1)
    blocks: Iterable[Samples] = _resampled(remembered(), sample_rate, rate, channels)
    estimates: Iterable[Samples] = (
        block.reshape(outer, -1)
        for block in overlap_add(blocks, _Chunk(model, channels), chunk_plan(model))
    )
    for block in _resampled(estimates, rate, sample_rate, outer):
        whole, kept[:] = _take(kept, block.shape[-1])
        # Resampling there and back may end a sample late.
        block = block[:, : whole.shape[-1]]
        if block.shape[-1]:
            yield _with_rest(block.reshape(-1, channels, block.shape[-1]), whole)
    if kept:
        # Or early; the few samples then belong to the last stem.
        whole = np.concatenate(kept, axis=-1)
        shape = (len(model.config.targets) - 1, *whole.shape)
        yield _with_rest(np.zeros(shape, np.float32), whole)


def chunk_plan(model: Network) -> ChunkPlan:
    """Plan chunks whose starts keep to the grid of the network's coarsest frames."""
    config = model.config
    grid = config.hop_length * config.frame_multiple

    def on_grid(seconds: float) -> int:
        return max(1, round(seconds * config.sample_rate / grid)) * grid

    margin, fade = on_grid(MARGIN_SECONDS), on_grid(FADE_SECONDS)
    chunk = max(on_grid(CHUNK_SECONDS), 2 * (2 * margin + fade))
    return ChunkPlan(chunk, margin, fade)


class _Chunk:
    """Separate one chunk at the model's rate into all targets but the last."""

    def __init__(self, model: Network, channels: int) -> None:
        self.model = model
        self.channels = channels
        self.device = next(model.parameters()).device

    def __call__(self, mixture: Samples) -> Samples:
        """Map (channels, n) to (targets - 1, channels, n)."""
        # The network is indifferent to level, float32 is not: this keeps squares of
        # very loud or very quiet samples within its range.
        peak = float(np.abs(mixture).max())
        if peak == 0:
            return np.zeros((len(self.model.config.targets) - 1, *mixture.shape), np.float32)
        pairs = torch.from_numpy(self._pairs(mixture / peak)).to(self.device)
        with torch.inference_mode(), precision(self.device):
            stems: Samples = self.model.foreground(pairs).float().cpu().numpy()
        if not np.isfinite(stems).all():
            raise ModelError("the network computed values that are not finite: is it damaged?")
        return (self._unpaired(stems) * peak).astype(np.float32, copy=False)

    def _pairs(self, mixture: Samples) -> Samples:
        """Arrange channels as stereo items, shape (items, 2, n)."""
        paired = 0 if self.channels == 1 else 2
        doubled = np.repeat(mixture[paired:, np.newaxis], 2, axis=1)
        return np.concatenate([mixture[np.newaxis, :2], doubled]) if paired else doubled

    def _unpaired(self, stems: Samples) -> Samples:
        """Turn (items, targets, 2, n) back into (targets, channels, n)."""
        paired = 0 if self.channels == 1 else 1
        single: Samples = stems[paired:].mean(axis=2).swapaxes(0, 1)
        return np.concatenate([stems[0], single], axis=1) if paired else single


def _resampled(
    blocks: Iterable[Samples], from_rate: int, to_rate: int, channels: int
) -> Iterator[Samples]:
    resampler = Resampler(from_rate, to_rate, channels)
    for block in blocks:
        out = resampler.process(block)
        if out.shape[-1]:
            yield out
    yield resampler.flush()


def _take(blocks: list[Samples], samples: int) -> tuple[Samples, list[Samples]]:
    """Split blocks into their first samples, joined, and the rest."""
    joined = np.concatenate(blocks, axis=-1) if blocks else np.zeros((1, 0), np.float32)
    head, rest = joined[:, :samples], joined[:, samples:]
    return head, [rest] if rest.shape[-1] else []


def _with_rest(stems: Samples, mixture: Samples) -> Samples:
    """Append the mixture less the stems."""
    return np.concatenate([stems, (mixture - stems.sum(axis=0))[np.newaxis]])
