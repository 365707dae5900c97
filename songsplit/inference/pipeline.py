"""Blocks of a mixture in, blocks of its stems out."""

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

_LIVE_SECONDS = 9.5  # of a chunk: stems come at most ten seconds after the mixture
# The network looks about a second to either side. The level that its input is divided by is
# measured over two, but what lies far away has little weight.
_MARGIN_SECONDS = 1.5
_FADE_SECONDS = 0.5
# Covariance of the sides as a share of the louder one's power. In any ten seconds of a hundred
# songs with a voice it was 0.22 at least.
_APART_FROM, _APART_UNTIL = 0.1, 0.2
# Correlation of the sides, which was above zero there.
_OPPOSITE_FROM, _OPPOSITE_UNTIL = -0.4, 0.0


def chunk_plan(seconds: float, sample_rate: int, grid: int) -> ChunkPlan:
    """Plan chunks of some seconds, rounded to multiples of a number of samples."""

    def on_grid(seconds: float) -> int:
        return max(1, round(seconds * sample_rate / grid)) * grid

    margin, fade = on_grid(_MARGIN_SECONDS), on_grid(_FADE_SECONDS)
    return ChunkPlan(max(on_grid(seconds), 2 * (2 * margin + fade)), margin, fade)


class _Sides:
    """Decides for one chunk after another how the network hears the channels of a song.

    It is trained on songs whose sides resemble each other. Where one side is silent, faulty or
    much quieter, the sides are separated apart, each as mono. Where they are about opposite, the
    right one is inverted, and inverted back after. Of more than two channels, the first two are
    left and right and the others are mono.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._is_apart = self._is_opposite = False
        self._loudest = 0.0

    def pairs(self, chunk: Samples, peak: float) -> tuple[NDArray[np.int64], Samples]:
        """Return pairs of channel numbers for left and right, and a sign for each channel.

        The chunk was divided by its peak.
        """
        signs = np.ones((self._channels, 1), np.float32)
        pairs = [(channel, channel) for channel in range(self._channels)]
        if self._channels > 1:
            self._decide(chunk[:2], peak)
            signs[1] = -1 if self._is_opposite else 1
            pairs = pairs if self._is_apart else [(0, 1), *pairs[2:]]
        return np.array(pairs), signs

    def _decide(self, sides: Samples, peak: float) -> None:
        # Without the mean: dead inputs have an offset.
        (left, both), (_, right) = np.cov(sides, ddof=0, dtype=np.float32)
        louder = max(left, right)
        power = float(louder) * peak**2
        self._loudest = max(self._loudest, power)
        # A decision holds until it is clearly wrong, so that stems do not change to and fro. What
        # is 20 dB below the song, such as its fading end, decides nothing.
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

    config = engine.config
    rate, foreground = config.sample_rate, len(config.targets) - 1
    is_resampled = sample_rate != rate

    def process(chunks: list[Samples]) -> Samples:
        """Return stems, and behind them their shares of the highs where these would get lost."""
        stacked = np.stack(chunks)
        # The network is indifferent to level, float32 is not: this keeps squares of
        # very loud or very quiet samples within its range.
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
    # Chunks start on the grid of the network's coarsest frames, wherever they are cut.
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
        # Resampling there and back may end some samples late.
        block = block[:, : whole.shape[-1]]
        if block.shape[-1]:
            yield complete(block.reshape(-1, channels, block.shape[-1]), whole)
    if sum(block.shape[-1] for block in kept):
        # Or early.
        whole = np.concatenate(kept, axis=-1)
        yield complete(np.zeros((foreground, *whole.shape), np.float32), whole)


def _separated(engine: Engine, pairs: Samples) -> tuple[Samples, Samples]:
    """Separate stereo pairs; where both sides are equal, so are those of the result."""
    stems, highs = engine.foreground(pairs)
    if not np.isfinite(stems).all():
        raise ModelError("the network computed values that are not finite: is it damaged?")
    is_mono = (pairs[:, 0] == pairs[:, 1]).all(axis=1)
    for values in (stems, highs):
        values[is_mono] = values[is_mono].mean(axis=2, keepdims=True)
    return stems, highs


def _unpaired(found: Samples, pairs: Sequence[NDArray[np.int64]]) -> Samples:
    """Turn results for pairs, (all pairs, targets, 2, n), into (chunks, targets, channels, n)."""
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
