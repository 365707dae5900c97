from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.dsp.overlap_add import ChunkPlan, overlap_add


@st.composite
def plans(draw):
    margin, fade = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    overlap = 2 * margin + fade
    chunk = draw(st.integers(max(2 * overlap, overlap + 1), 2 * overlap + 40))
    return ChunkPlan(chunk, margin, fade)


@settings(max_examples=200, deadline=None)
@given(plan=plans(), samples=st.integers(1, 400), block=st.integers(1, 90), group=st.integers(1, 5))
def test_a_process_that_changes_nothing_gives_back_its_input(plan, samples, block, group):
    signal = np.random.default_rng(samples).normal(size=(2, samples)).astype(np.float32)
    blocks = [signal[:, i : i + block] for i in range(0, samples, block)]
    sizes = []

    def nothing(chunks):
        assert len(chunks) <= group
        assert len({chunk.shape for chunk in chunks}) == 1
        sizes.append(chunks[0].shape[-1])
        return chunks

    out = np.concatenate(list(overlap_add(blocks, nothing, plan, group)), axis=-1)
    assert out.shape == signal.shape
    np.testing.assert_allclose(out, signal, atol=1e-6)
    assert max(sizes) <= plan.chunk


def test_chunks_fade_into_each_other_without_a_step():
    plan = ChunkPlan(chunk=100, margin=10, fade=20)
    calls = iter(range(100))
    ones = np.ones((1, 1000), np.float32)
    out = np.concatenate(
        list(overlap_add([ones], lambda cs: [c * (next(calls) % 2) for c in cs], plan)), -1
    )
    assert np.abs(np.diff(out)).max() <= 1 / 20
    assert out.min() == 0
    assert out.max() == 1


def test_the_margins_of_a_chunk_are_not_heard():
    plan = ChunkPlan(chunk=100, margin=10, fade=20)

    def spoilt(chunks):
        chunk = chunks[0].copy()
        chunk[:, :10] = chunk[:, -10:] = 99
        return [chunk]

    out = np.concatenate(list(overlap_add([np.zeros((1, 1000), np.float32)], spoilt, plan)), -1)
    assert not out[:, 10:-10].any()
