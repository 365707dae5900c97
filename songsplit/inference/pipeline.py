"""Blocks of a mixture in, blocks of its stems out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import Resampler
from songsplit.dsp.overlap_add import ChunkPlan, overlap_add
from songsplit.dsp.varispeed import Interpolator
from songsplit.inference.runner import Runner

Samples = NDArray[np.float32]

_LIVE_SECONDS = 9.5  # of a chunk: stems come at most ten seconds after the mixture
# The network looks about a second to either side. The level that its input is divided by is
# measured over two, but what lies far away has little weight.
_MARGIN_SECONDS = 1.5
_FADE_SECONDS = 0.5


def chunk_plan(seconds: float, sample_rate: int, grid: int) -> ChunkPlan:
    """Plan chunks of some seconds, rounded to multiples of a number of samples."""

    def on_grid(seconds: float) -> int:
        return max(1, round(seconds * sample_rate / grid)) * grid

    margin, fade = on_grid(_MARGIN_SECONDS), on_grid(_FADE_SECONDS)
    return ChunkPlan(max(on_grid(seconds), 2 * (2 * margin + fade)), margin, fade)


def stream_stems(
    runner: Runner,
    mixture: Iterable[Samples],
    sample_rate: int,
    channels: int,
    *,
    live: bool = False,
) -> Iterator[Samples]:
    """Separate a mixture of any length, block by block; memory does not grow with length.

    The mixture comes in float32 blocks (channels, n). Two channels are taken as a stereo pair; of
    more than two, the first two are a stereo pair and each of the others is separated as mono.
    The stems come in blocks (targets, channels, n) at the same rate, together as long as the
    mixture. All but the last target come from the masks; the last is the mixture less the others,
    so that the stems add up to it. `live` makes the delay short.

    The network works at a rate of its own. Resampling to it and back loses what lies above the
    lower of the two Nyquist frequencies. With the mixture ``x``, resampling back ``B``, the stem
    ``v`` and its share ``h`` of all that lies above the network's band, the result is
    ``B(v - h x) + h x``: as much of the lost highs as ``h`` says. If a mask is one everywhere,
    ``v`` is ``x`` and so is the result, at any rate.
    """
    kept: list[Samples] = []  # mixture whose stems are not out yet

    def remembered() -> Iterator[Samples]:
        for block in mixture:
            kept.append(block)
            yield block

    config = runner.config
    rate, foreground = config.sample_rate, len(config.targets) - 1
    is_resampled = sample_rate != rate

    def process(chunks: list[Samples]) -> Samples:
        """Return stems, and behind them their shares of the highs where these would get lost."""
        stacked = np.stack(chunks)
        # The network is indifferent to level, float32 is not: this keeps squares of
        # very loud or very quiet samples within its range.
        peaks = np.abs(stacked).max(axis=(1, 2), keepdims=True)
        scaled = (stacked / np.where(peaks > 0, peaks, np.float32(1))).astype(np.float32)
        stems, highs = runner.foreground(scaled)
        if is_resampled:
            stems = stems - highs * scaled[:, np.newaxis]
        stems *= peaks[:, np.newaxis]
        return np.concatenate([stems, highs], axis=1) if is_resampled else stems

    shares = Interpolator(rate, sample_rate)
    # Chunks start on the grid of the network's coarsest frames, wherever they are cut.
    grid = config.hop_length * config.frame_multiple
    plan = chunk_plan(_LIVE_SECONDS if live else runner.chunk_seconds, rate, grid)

    def estimates() -> Iterator[Samples]:
        blocks = _resampled(remembered(), sample_rate, rate, channels)
        for block in overlap_add(blocks, process, plan, 1 if live else runner.group(channels)):
            if is_resampled:
                shares.push(block[foreground:])
            yield block[:foreground].reshape(foreground * channels, -1)

    def complete(stems: Samples, whole: Samples) -> Samples:
        if is_resampled:
            stems = stems + shares.read(whole.shape[-1]) * whole
        return np.concatenate([stems, (whole - stems.sum(axis=0))[np.newaxis]])

    for block in _resampled(estimates(), rate, sample_rate, foreground * channels):
        joined = np.concatenate(kept, axis=-1)
        whole, kept[:] = joined[:, : block.shape[-1]], [joined[:, block.shape[-1] :]]
        # Resampling there and back may end some samples late.
        block = block[:, : whole.shape[-1]]
        if block.shape[-1]:
            yield complete(block.reshape(-1, channels, block.shape[-1]), whole)
    if sum(block.shape[-1] for block in kept):
        # Or early.
        whole = np.concatenate(kept, axis=-1)
        yield complete(np.zeros((foreground, *whole.shape), np.float32), whole)


def _resampled(
    blocks: Iterable[Samples], from_rate: int, to_rate: int, channels: int
) -> Iterator[Samples]:
    resampler = Resampler(from_rate, to_rate, channels)
    for block in chain(blocks, [None]):
        out = resampler.flush() if block is None else resampler.process(block)
        if out.shape[-1]:
            yield out
