"""The engine with models that nobody ships, and its use of memory."""

from __future__ import annotations

import numpy as np
import pytest

from songsplit.inference.engine import chunk_plan, stream_stems
from tests.models.tiny import tiny_model


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate": 8000},
        {"sample_rate": 100},
        {"widths": (2,) * 7, "subbands": 1},
        {"targets": ("vocals", "drums", "bass", "other")},
    ],
)
def test_every_model_that_can_be_made_can_separate(settings):
    model = tiny_model(**settings)
    samples = int(2.5 * chunk_plan(model).chunk)
    mixture = np.random.default_rng(0).normal(size=(1, samples)).astype(np.float32)
    blocks = list(stream_stems(model, [mixture], model.config.sample_rate, channels=1))
    stems = np.concatenate(blocks, axis=-1)
    assert stems.shape == (len(model.config.targets), 1, samples)
    np.testing.assert_allclose(stems.sum(axis=0), mixture, atol=1e-5)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_blocks_come_while_the_song_is_read(rate):
    # What keeps memory from growing with length.
    model = tiny_model()
    read = 0

    def song():
        nonlocal read
        for _ in range(60):
            read += rate
            yield np.full((2, rate), 0.1, np.float32)

    out = 0
    for block in stream_stems(model, song(), rate, channels=2):
        out += block.shape[-1]
        assert read - out < 27 * rate
    assert out == 60 * rate
