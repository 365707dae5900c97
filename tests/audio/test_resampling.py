from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.audio import Resampler, Stretcher, resample, resampled_length, resampling
from songsplit.errors import MissingExtraError, OutputError

RATE = 44100
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


def tone(seconds: float = 8, hertz: float = 440) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return np.stack([0.5 * np.sin(2 * np.pi * hertz * times)] * 2).astype(np.float32)


def stretched(audio: np.ndarray, step: int, **options: float) -> np.ndarray:
    pytest.importorskip("python_stretch")
    stretch = Stretcher(RATE, 2, **options)
    blocks = [stretch.process(audio[:, i : i + step]) for i in range(0, audio.shape[1], step)]
    return np.concatenate([*blocks, stretch.rest()], axis=1)


def loudest(audio: np.ndarray) -> float:
    middle = audio[0, RATE : 3 * RATE] * np.hanning(2 * RATE)
    return np.argmax(np.abs(np.fft.rfft(middle))) / 2


@pytest.mark.parametrize(("tempo", "key"), [(0.8, -2), (1.5, 3)])
def test_tempo_changes_the_length_and_key_the_pitch(tempo: float, key: float) -> None:
    result = stretched(tone(), 50_000, tempo=tempo, key=key)
    assert result.shape == (2, round(8 * RATE / tempo))
    assert loudest(result) == pytest.approx(440 * 2 ** (key / 12), rel=0.01)


def test_what_happens_stays_in_its_place() -> None:
    clicks = np.zeros((2, 6 * RATE), np.float32)
    places = np.array([1.5, 3.0, 4.5])
    for place in places:
        clicks[:, int(place * RATE) :][:, :50] = np.hanning(50)
    result = np.abs(stretched(clicks, 4410, tempo=0.75, key=0)[0])
    for place in places / 0.75:
        near = result[int((place - 0.5) * RATE) : int((place + 0.5) * RATE)]
        assert abs(np.argmax(near) / RATE - 0.5) < 0.02


def test_long_songs_go_through_in_pieces_without_clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "_SEGMENT_SECONDS", 2.0)
    result = stretched(tone(), 30_000, tempo=0.8, key=0)
    assert result.shape == (2, 10 * RATE)
    middle = result[0, RATE:-RATE]
    # A step in a tone is a jump in the second difference.
    assert np.abs(np.diff(middle, 2)).max() < 3 * 0.5 * (2 * np.pi * 440 / RATE) ** 2


def test_short_and_slow_audio() -> None:
    assert stretched(tone()[:, :1], 1, tempo=0.5, key=1).shape == (2, 2)
    with pytest.raises(OutputError, match="higher rate"):
        Stretcher(1000, 1, tempo=0.5, key=0)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    with pytest.raises(MissingExtraError, match=r"songsplit\[practice\]"):
        Stretcher(RATE, 1, tempo=0.5, key=0)
