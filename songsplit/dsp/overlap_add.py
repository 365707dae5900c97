"""Chunking of long signals with cross-fades whose weights add up to one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class ChunkPlan:
    """How a signal is cut into overlapping chunks.

    A chunk has `chunk` samples. Of these, `margin` at either end only give context and are
    thrown away, except at the ends of the signal; over `fade` samples one chunk fades into the
    next.
    """

    chunk: int
    margin: int
    fade: int

    def __post_init__(self) -> None:
        if min(self.margin, self.fade) < 0 or self.hop < max(1, self.overlap):
            raise ValueError(f"chunks of {self.chunk} samples are too short for {self}")

    @property
    def overlap(self) -> int:
        """Samples shared by neighbouring chunks."""
        return 2 * self.margin + self.fade

    @property
    def hop(self) -> int:
        """Samples from the start of a chunk to the start of the next."""
        return self.chunk - self.overlap


def overlap_add(
    blocks: Iterable[Samples],
    process: Callable[[list[Samples]], Iterable[Samples]],
    plan: ChunkPlan,
    group: int = 1,
) -> Iterator[Samples]:
    """Process a signal of any length chunk by chunk.

    Neighbouring chunks are cross-faded linearly: with weights ``w`` and ``1 - w`` that add up
    to one at every sample, a process that changes nothing gives back its input. At most a group
    of chunks is held in memory, and that is also the delay.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, shape (channels, n)
        The signal in blocks of any length.
    process : callable
        Maps each of up to `group` chunks (channels, n), all of one length, to
        (..., channels, n); n is at most ``plan.chunk``.
    plan : ChunkPlan
    group : int, optional
        Chunks to wait for and to process together.

    Yields
    ------
    ndarray of float32, shape (..., channels, n)
        The processed signal in blocks, together exactly as long as the input.
    """
    # Ramp values lie strictly between 0 and 1, so no sample of the fade is wasted.
    rise = (np.arange(1, plan.fade + 1, dtype=np.float32)) / np.float32(plan.fade + 1)
    tail: Samples | None = None  # end of the last chunk, still to be faded out
    for chunks, is_last in _grouped(blocks, plan, group):
        for chunk in process(chunks):
            faded = chunk if tail is None else _fade_in(chunk, tail, rise, plan)
            if is_last:
                yield faded
            else:
                end = faded.shape[-1] - plan.margin
                yield faded[..., : end - plan.fade]
                tail = faded[..., end - plan.fade : end]


def _grouped(
    blocks: Iterable[Samples], plan: ChunkPlan, group: int
) -> Iterator[tuple[list[Samples], bool]]:
    """Cut a signal into groups of overlapping chunks, the last one by itself."""
    pending: list[Samples] = []
    held = 0
    for block in blocks:
        pending.append(block)
        held += block.shape[-1]
        # A chunk is given only when more samples are known to follow it, so the last
        # one can be recognised.
        while held > plan.chunk + (group - 1) * plan.hop:
            signal = np.concatenate(pending, axis=-1)
            yield _cut(signal, plan, group), False
            pending, held = [signal[..., group * plan.hop :]], held - group * plan.hop
    if held:
        signal = np.concatenate(pending, axis=-1)
        whole = max(0, -((plan.chunk - held) // plan.hop))
        if whole:
            yield _cut(signal, plan, whole), False
        yield [signal[..., whole * plan.hop :]], True


def _cut(signal: Samples, plan: ChunkPlan, count: int) -> list[Samples]:
    starts = range(0, count * plan.hop, plan.hop)
    return [signal[..., start : start + plan.chunk] for start in starts]


def _fade_in(chunk: Samples, tail: Samples, rise: Samples, plan: ChunkPlan) -> Samples:
    """Drop the leading margin of a chunk and fade it in over the tail of the one before."""
    inner = chunk[..., plan.margin :].copy()
    fade = plan.fade
    inner[..., :fade] = tail * (1 - rise) + inner[..., :fade] * rise
    return inner
