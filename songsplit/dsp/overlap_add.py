"""Process long signals in overlapping chunks, with cross-fades whose weights add up to one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


class ChunkPlan(NamedTuple):
    """How a signal is cut into overlapping chunks of `chunk` samples.

    At either end of a chunk, `margin` samples are context only and are discarded, except at the
    ends of the signal. Consecutive chunks are cross-faded over `fade` samples. A chunk is at least
    twice as long as its overlap.
    """

    chunk: int
    margin: int
    fade: int

    @property
    def hop(self) -> int:
        """Samples from the start of a chunk to the start of the next."""
        return self.chunk - 2 * self.margin - self.fade


def overlap_add(
    blocks: Iterable[Samples],
    process: Callable[[list[Samples]], Iterable[Samples]],
    plan: ChunkPlan,
    group: int = 1,
) -> Iterator[Samples]:
    """Process a signal chunk by chunk, with linear cross-fades between the chunks.

    The signal arrives in blocks (channels, n) of any length. The results are blocks
    (..., channels, n) of the same total length. `process` maps up to `group` chunks of equal length
    to as many results of that length. Memory and delay are those of one group of chunks.
    """
    # The ramp lies strictly between 0 and 1, so that both chunks contribute to every sample.
    rise = (np.arange(1, plan.fade + 1, dtype=np.float32)) / np.float32(plan.fade + 1)
    tail: Samples | None = None  # end of the last chunk, not yet faded out
    for chunks, is_last in _grouped(blocks, plan, group):
        for chunk in process(chunks):
            if tail is not None:
                chunk = chunk[..., plan.margin :].copy()
                chunk[..., : plan.fade] = tail * (1 - rise) + chunk[..., : plan.fade] * rise
            end = chunk.shape[-1] if is_last else chunk.shape[-1] - plan.margin - plan.fade
            yield chunk[..., :end]
            tail = chunk[..., end : end + plan.fade]


def _grouped(
    blocks: Iterable[Samples], plan: ChunkPlan, group: int
) -> Iterator[tuple[list[Samples], bool]]:
    """Yield groups of overlapping chunks; the last chunk is a group of its own."""
    pending: list[Samples] = []
    held = 0
    for block in blocks:
        pending.append(block)
        held += block.shape[-1]
        # A chunk is only yielded when more samples have arrived after it, which shows that it is
        # not the last one.
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
