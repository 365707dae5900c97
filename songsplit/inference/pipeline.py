"""Blocks of a mixture in, blocks of its stems out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import Resampler
from songsplit.dsp.overlap_add import ChunkPlan, overlap_add
from songsplit.dsp.varispeed import Interpolator
from songsplit.inference.runner import Runner

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Chunking:
    """How a song is cut into chunks of `seconds` that are separated one by one.

    The first and last `margin` seconds of a chunk only give context. The network looks about a
    second to either side; the level that its input is divided by is measured over two, but what
    lies far away has little weight. Over `fade` seconds one chunk fades into the next. Where
    chunks are `grouped`, several are waited for and computed at once if the device likes that.
    """

    seconds: float
    margin: float = 1.5
    fade: float = 0.5
    grouped: bool = True

    def plan(self, sample_rate: int, grid: int) -> ChunkPlan:
        """Round to multiples of a number of samples."""

        def on_grid(seconds: float) -> int:
            return max(1, round(seconds * sample_rate / grid)) * grid

        margin, fade = on_grid(self.margin), on_grid(self.fade)
        return ChunkPlan(max(on_grid(self.seconds), 2 * (2 * margin + fade)), margin, fade)


LONG = Chunking(24.0)
"""For files and arrays: little is computed twice."""

MEDIUM = Chunking(16.0)
"""The same for several speeds, which take more memory for each second."""

SHORT = Chunking(9.5, grouped=False)
"""For streams: stems come at most ten seconds after the mixture."""


def stream_stems(
    runner: Runner,
    mixture: Iterable[Samples],
    sample_rate: int,
    channels: int,
    chunking: Chunking = LONG,
) -> Iterator[Samples]:
    """Separate a mixture of any length, block by block; memory does not grow with length.

    The network works at a rate of its own. Resampling to it and back loses what lies above the
    lower of the two Nyquist frequencies. With the mixture ``x``, resampling back ``B``, the stem
    ``v`` and its share ``h`` of all that lies above the network's band, the result is
    ``B(v - h x) + h x``: as much of the lost highs as ``h`` says. If a mask is one everywhere,
    ``v`` is ``x`` and so is the result, at any rate.

    Parameters
    ----------
    runner : Runner
        The network at work.
    mixture : iterable of ndarray of float32, shape (channels, n)
        Blocks of any length.
    sample_rate : int
        Rate of the mixture in Hz; the stems come at the same rate.
    channels : int
        Number of channels. Two are taken as a stereo pair; of more than two, the first two are
        a stereo pair and each of the others is separated as mono.
    chunking : Chunking, optional

    Yields
    ------
    ndarray of float32, shape (targets, channels, n)
        In the order of ``runner.config.targets``. All but the last come from the masks; the
        last is the mixture less the others, so that the stems add up to it. The blocks together
        are as long as the mixture.

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

    config = runner.config
    rate, foreground = config.sample_rate, len(config.targets) - 1
    # Chunks start on the grid of the network's coarsest frames, wherever they are cut.
    plan = chunking.plan(rate, config.hop_length * config.frame_multiple)
    group = runner.group(channels) if chunking.grouped else 1
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

    def estimates() -> Iterator[Samples]:
        blocks = _resampled(remembered(), sample_rate, rate, channels)
        for block in overlap_add(blocks, process, plan, group):
            if is_resampled:
                shares.push(block[foreground:])
            yield block[:foreground].reshape(foreground * channels, -1)

    def complete(stems: Samples, whole: Samples) -> Samples:
        if is_resampled:
            stems = stems + shares.read(whole.shape[-1]) * whole
        return np.concatenate([stems, (whole - stems.sum(axis=0))[np.newaxis]])

    for block in _resampled(estimates(), rate, sample_rate, foreground * channels):
        whole, kept[:] = _take(kept, block.shape[-1])
        # Resampling there and back may end some samples late.
        block = block[:, : whole.shape[-1]]
        if block.shape[-1]:
            yield complete(block.reshape(-1, channels, block.shape[-1]), whole)
    if kept:
        # Or early.
        whole = np.concatenate(kept, axis=-1)
        yield complete(np.zeros((foreground, *whole.shape), np.float32), whole)


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
