from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.dsp.overview import Overview

RATE = 44100


def overview(audio: np.ndarray, step: int = 10_000, rate: int = RATE, **options: int) -> Overview:
    result = Overview(rate, **options)
    for start in range(0, audio.shape[1], step):
        result.add(audio[:, start : start + step])
    result.finish()
    return result


def test_a_tone_shows_where_it_is() -> None:
    times = np.arange(20 * RATE) / RATE
    audio = np.sin(2 * np.pi * 1000 * times) * (times > 10)
    # Opposite channels do not cancel.
    result = overview(np.stack([audio, -audio]).astype(np.float32), columns=100)
    assert result.seconds == 20
    band = np.argmax(result.decibels[:, -5])
    assert result.edges[band] <= 1000 <= result.edges[band + 1]
    assert result.decibels[band, -5] == pytest.approx(0, abs=8)
    half = result.decibels.shape[1] // 2
    assert result.decibels[:, : half - 2].max() < -100
    assert result.peaks[: half - 2].max() == 0
    assert result.peaks[half + 2 :].min() > 0.99


@settings(max_examples=25, deadline=None)
@given(
    seconds=st.floats(0, 30),
    step=st.integers(1000, 100_000),
    rate=st.sampled_from([8, 1000, 8000, 44100]),
    columns=st.integers(4, 300),
)
def test_columns_are_bounded_whatever_the_length(
    seconds: float, step: int, rate: int, columns: int
) -> None:
    samples = max(1, int(seconds * rate))
    audio = np.random.default_rng(0).normal(size=(1, samples)).astype(np.float32)
    result = overview(audio, step, rate, columns=columns, bands=24)
    assert 1 <= result.decibels.shape[1] <= columns + 1
    assert result.decibels.shape == (len(result.edges) - 1, len(result.peaks))
    assert np.isfinite(result.decibels).all()
    assert result.peaks.max() <= np.abs(audio).max()


def test_the_division_into_blocks_changes_nothing() -> None:
    audio = np.random.default_rng(0).normal(size=(2, 50_000)).astype(np.float32)
    one, other = overview(audio, 50_000, columns=10), overview(audio, 999, columns=10)
    np.testing.assert_allclose(one.decibels, other.decibels, atol=1e-4)
    np.testing.assert_array_equal(one.peaks, other.peaks)
