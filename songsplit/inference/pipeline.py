"""Separate blocks of a mixture into blocks of its stems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import Resampler
from songsplit.dsp.overlap_add import ChunkPlan, overlap_add
from songsplit.dsp.varispeed import Interpolator
from songsplit.errors import ModelError
from songsplit.inference.engine import Engine

Samples = NDArray[np.float32]

_LIVE_SECONDS = 9.5  # of a chunk; stems follow the mixture by at most ten seconds
# The network sees about one second to either side. Its input is divided by a level measured over
# two seconds, but distant frames have little weight.
_MARGIN_SECONDS = 1.5
_FADE_SECONDS = 0.5
# Covariance of left and right, divided by the power of the louder one. In any ten seconds with
# vocals of a hundred songs, it was at least 0.22.
_APART_FROM, _APART_UNTIL = 0.1, 0.2
# Correlation of left and right, which was above zero in these songs.
_OPPOSITE_FROM, _OPPOSITE_UNTIL = -0.4, 0.0


def chunk_plan(seconds: float, sample_rate: int, grid: int) -> ChunkPlan:
    """Plan chunks of a duration, rounded to multiples of `grid` samples."""

    def on_grid(seconds: float) -> int:
        return max(1, round(seconds * sample_rate / grid)) * grid

    margin, fade = on_grid(_MARGIN_SECONDS), on_grid(_FADE_SECONDS)
    return ChunkPlan(max(on_grid(seconds), 2 * (2 * margin + fade)), margin, fade)


class _Sides:
    """Decides for each chunk how the channels of a song are passed to the network.

    The network is trained on songs with similar left and right channels. If one side is silent,
    faulty or much quieter, each side is separated as mono. If the sides are nearly opposite, the
    right one is inverted before and after the separation. If there are more than two channels, the
    first two are left and right and the others are mono.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._is_apart = self._is_opposite = False
        self._loudest = 0.0

    def pairs(self, chunk: Samples, peak: float) -> tuple[NDArray[np.int64], Samples]:
        """Return pairs of channel numbers for left and right, and a sign for each channel.

        The chunk is normalised to a peak of 1.
        """
        signs = np.ones((self._channels, 1), np.float32)
        pairs = [(channel, channel) for channel in range(self._channels)]
        if self._channels > 1:
            self._decide(chunk[:2], peak)
            signs[1] = -1 if self._is_opposite else 1
            pairs = pairs if self._is_apart else [(0, 1), *pairs[2:]]
        return np.array(pairs), signs

    def _decide(self, sides: Samples, peak: float) -> None:
        # The covariance ignores the offset of a dead input.
        (left, both), (_, right) = np.cov(sides, ddof=0, dtype=np.float32)
        louder = max(left, right)
        power = float(louder) * peak**2
        self._loudest = max(self._loudest, power)
        # Hysteresis keeps decisions from alternating. Chunks 20 dB below the loudest one, such as
        # a fade-out, are ignored.
        if power > self._loudest / 100:
            least = _APART_UNTIL if self._is_apart else _APART_FROM
            self._is_apart = abs(both) < least * louder
            most = _OPPOSITE_UNTIL if self._is_opposite else _OPPOSITE_FROM
            self._is_opposite = both < most * np.sqrt(left * right)


def stream_stems(
    engine: Engine,
    mixture: Iterable[Samples],
    sample_rate: int,
    channels: int,
    *,
    live: bool = False,
) -> Iterator[Samples]:
    """Separate a mixture of any length block by block, in constant memory.

    The mixture arrives in float32 blocks (channels, n). The first two channels are a stereo pair;
    others are separated as mono. The stems are returned in blocks (targets, channels, n) at the
    same rate, in total as long as the mixture. Masks give all targets but the last, which is the
    mixture minus the others, so that the stems add up to the mixture. `live` shortens the delay.

    The network has its own sample rate. Resampling to it and back loses the frequencies above the
    lower Nyquist frequency. With the mixture ``x``, resampling back ``B``, the stem ``v`` and its
    share ``h`` of the frequencies above the network's band, the result is ``B(v - h x) + h x``. It
    restores the share ``h`` of the lost frequencies. If a mask is 1 everywhere, ``v`` equals ``x``,
    and so does the result at any rate.
    """
    kept: list[Samples] = []  # mixture whose stems are still pending

    def remembered() -> Iterator[Samples]:
        for block in mixture:
            kept.append(block)
            yield block

    config = engine.config
    rate, foreground = config.sample_rate, len(config.targets) - 1
    is_resampled = sample_rate != rate

    def process(chunks: list[Samples]) -> Samples:
        """Return stems, followed by their shares of the highs if resampling loses these."""
        stacked = np.stack(chunks)
        # The network does not depend on the level, but squares of very loud or quiet samples
        # would leave the range of float32.
        peaks = np.abs(stacked).max(axis=(1, 2), keepdims=True)
        scaled = (stacked / np.where(peaks > 0, peaks, np.float32(1))).astype(np.float32)
        pairs, signs = zip(*map(sides.pairs, scaled, peaks.flatten().tolist()), strict=True)
        scaled *= signs
        heard = [chunk[numbers] for chunk, numbers in zip(scaled, pairs, strict=True)]
        stems, highs = (_unpaired(f, pairs) for f in _separated(engine, np.concatenate(heard)))
        if is_resampled:
            stems = stems - highs * scaled[:, np.newaxis]
        stems *= (peaks * signs)[:, np.newaxis]
        return np.concatenate([stems, highs], axis=1) if is_resampled else stems

    sides = _Sides(channels)
    shares = Interpolator(rate, sample_rate)
    # All chunks start on the grid of the network's coarsest frames.
    grid = config.hop_length * config.frame_multiple
    plan = chunk_plan(_LIVE_SECONDS if live else engine.chunk_seconds, rate, grid)

    def estimates() -> Iterator[Samples]:
        blocks = _resampled(remembered(), sample_rate, rate, channels)
        group = 1 if live else max(1, engine.items // max(1, channels - 1))
        for block in overlap_add(blocks, process, plan, group):
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
        # Resampling to the network's rate and back may end some samples late.
        block = block[:, : whole.shape[-1]]
        if block.shape[-1]:
            yield complete(block.reshape(-1, channels, block.shape[-1]), whole)
    if sum(block.shape[-1] for block in kept):
        # It may also end early: the rest goes to the last target.
        whole = np.concatenate(kept, axis=-1)
        yield complete(np.zeros((foreground, *whole.shape), np.float32), whole)


def _separated(engine: Engine, pairs: Samples) -> tuple[Samples, Samples]:
    """Separate stereo pairs; pairs with equal sides give stems with equal sides."""
    stems, highs = engine.foreground(pairs)
    if not np.isfinite(stems).all():
        raise ModelError("the network computed values that are not finite: check the model file")
    is_mono = (pairs[:, 0] == pairs[:, 1]).all(axis=1)
    for values in (stems, highs):
        values[is_mono] = values[is_mono].mean(axis=2, keepdims=True)
    return stems, highs


def _unpaired(found: Samples, pairs: Sequence[NDArray[np.int64]]) -> Samples:
    """Rearrange results of pairs (all pairs, targets, 2, n) as (chunks, targets, channels, n)."""
    chunks, start = [], 0
    for numbers in pairs:
        places = [np.argwhere(numbers == channel)[0] for channel in range(numbers.max() + 1)]
        chunks.append(np.stack([found[start + pair, :, side] for pair, side in places], axis=1))
        start += len(numbers)
    return np.stack(chunks)


def _resampled(
    blocks: Iterable[Samples], from_rate: int, to_rate: int, channels: int
) -> Iterator[Samples]:
    resampler = Resampler(from_rate, to_rate, channels)
    for block in chain(blocks, [None]):
        out = resampler.flush() if block is None else resampler.process(block)
        if out.shape[-1]:
            yield out
