from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.errors import AudioInputError
from songsplit.evaluation import spectrogram
from songsplit.evaluation.spectrogram import log_spectrogram

RATE = 8000


@pytest.mark.parametrize("hertz", [70.0, 440.0, 3000.0])
@pytest.mark.parametrize("seconds", [0.5, 40.0])
def test_a_tone_is_where_and_as_loud_as_it_should_be(hertz: float, seconds: float):
    tone = np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    power, (low, high) = log_spectrogram(tone[None], RATE, columns=50)
    edges = np.geomspace(low, high, len(power) + 1)
    column = power[:, power.shape[1] // 2]
    band = int(column.argmax())
    # Bins are 15.6 Hz apart.
    assert edges[band] - 16 <= hertz <= edges[band + 1] + 16
    # A band that is wider than the tone has its power, less what it has room for besides.
    assert 10 ** (-1.2) < column.max() <= 1.1


def test_silence_has_no_power():
    power, _ = log_spectrogram(np.zeros((2, RATE)), RATE)
    assert not power.any()


@settings(max_examples=20, deadline=None)
@given(where=st.integers(0, 60 * RATE - 1))
def test_no_moment_of_a_long_song_is_passed_over(where: int):
    audio = np.zeros((1, 60 * RATE), dtype=np.float32)
    audio[0, where] = 1
    power, _ = log_spectrogram(audio, RATE, columns=100)
    column = int(power.sum(axis=0).argmax())
    assert power[:, column].any()
    assert abs(column - where / audio.shape[1] * 100) <= 1.5


@pytest.mark.parametrize("shape", [(1, 1), (2, 37), (3, 5000)])
def test_short_audio_and_any_number_of_channels(shape: tuple[int, int]):
    power, _ = log_spectrogram(np.ones(shape, dtype=np.int16), 44100, columns=200, bands=30)
    assert power.shape[0] == 30
    assert 1 <= power.shape[1] <= 200
    assert np.isfinite(power).all()


def test_pieces_leave_no_seams(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    audio = rng.standard_normal((2, 3 * RATE)).astype(np.float32)
    whole, _ = log_spectrogram(audio, RATE, columns=70)
    monkeypatch.setattr(spectrogram, "FRAMES_AT_ONCE", 7)
    pieces, _ = log_spectrogram(audio, RATE, columns=70)
    np.testing.assert_allclose(pieces, whole, rtol=1e-5)


def test_memory_does_not_grow_with_the_song():
    peaks = []
    for seconds in (20, 80):
        audio = np.ones((2, seconds * 44100), dtype=np.float32)
        tracemalloc.start()
        log_spectrogram(audio, 44100)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("shape", [(100,), (2, 0), (0, 100), (1, 2, 3)])
def test_what_is_no_audio_is_refused(shape: tuple[int, ...]):
    with pytest.raises(AudioInputError, match="channels, samples"):
        log_spectrogram(np.zeros(shape), RATE)
