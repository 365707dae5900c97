from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.audio import Resampler, resample, resampled_length

RATES = st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000])


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 5000), from_rate=RATES, to_rate=RATES, channels=st.integers(1, 3))
def test_lengths_are_exact_there_and_back(
    frames: int, from_rate: int, to_rate: int, channels: int
) -> None:
    samples = np.random.default_rng(frames).uniform(-1, 1, (channels, frames)).astype(np.float32)
    there = resample(samples, from_rate, to_rate)
    assert there.shape == (channels, resampled_length(frames, from_rate, to_rate))
    assert abs(there.shape[1] - frames * to_rate / from_rate) <= 1
    assert there.dtype == np.float32
    back = resample(there, to_rate, from_rate, length=frames)
    assert back.shape == samples.shape
    assert np.isfinite(back).all()


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 4000), max_size=5), to_rate=RATES)
def test_blocks_give_what_the_whole_gives(cuts: list[int], to_rate: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 4000)).astype(np.float32)
    resampler = Resampler(44100, to_rate, 2)
    pieces = [resampler.process(block) for block in np.split(samples, sorted(cuts), axis=1)]
    joined = np.concatenate([*pieces, resampler.flush()], axis=1)
    np.testing.assert_allclose(joined, resample(samples, 44100, to_rate), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(48000, 44100), (22050, 44100), (96000, 44100)])
def test_a_tone_keeps_pitch_level_and_place(from_rate: int, to_rate: int) -> None:
    def tone(rate: int) -> np.ndarray:
        return 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)[None]

    result = resample(tone(from_rate).astype(np.float32), from_rate, to_rate)
    inner = slice(2000, -2000)
    np.testing.assert_allclose(result[:, inner], tone(to_rate)[:, inner], rtol=0, atol=1e-4)


def test_equal_rates_change_nothing() -> None:
    samples = np.ones((2, 10), np.float32)
    assert resample(samples, 44100, 44100) is samples
    assert resample(samples, 44100, 44100, length=12)[:, 10:].tolist() == [[0, 0], [0, 0]]
    assert resample(samples, 44100, 44100, length=3).shape == (2, 3)


def test_nothing_in_nothing_out() -> None:
    assert resample(np.zeros((2, 0), np.float32), 48000, 44100).shape == (2, 0)
