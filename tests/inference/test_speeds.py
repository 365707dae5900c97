"""The mean of several speeds."""

from __future__ import annotations

import numpy as np
import pytest

from songsplit.inference.speeds import SpeedAverage
from songsplit.inference.torch_engine import TorchEngine
from tests.models.tiny import all_vocals, tiny_model


@pytest.mark.parametrize("samples", [1, 100, 20011])
def test_stems_have_the_shape_of_the_mixture(samples):
    pairs = np.random.default_rng(0).normal(size=(3, 2, samples)).astype(np.float32) / 10
    stems, highs = SpeedAverage(TorchEngine(tiny_model(), "cpu")).foreground(pairs)
    assert stems.shape == highs.shape == (3, 1, 2, samples)
    assert stems.dtype == np.float32
    assert np.isfinite(stems).all()


def test_the_runs_line_up_in_time():
    seconds = np.arange(20011, dtype=np.float32) / 44100
    tone = np.sin(2 * np.pi * 440 * seconds) * seconds
    pairs = np.stack([tone, -tone])[np.newaxis]
    stems, _ = SpeedAverage(TorchEngine(all_vocals(), "cpu")).foreground(pairs)
    # The tone ends abruptly, and rings a little there.
    np.testing.assert_allclose(stems[:, 0, :, :19000], pairs[..., :19000], atol=1e-3)
