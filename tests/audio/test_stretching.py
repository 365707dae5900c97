from __future__ import annotations

import sys

import numpy as np
import pytest

from songsplit.audio import Stretcher, stretching
from songsplit.errors import MissingExtraError, OutputError

RATE = 44100


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
    monkeypatch.setattr(stretching, "_SEGMENT_SECONDS", 2.0)
    result = stretched(tone(), 30_000, tempo=0.8, key=0)
    assert result.shape == (2, 10 * RATE)
    middle = result[0, RATE:-RATE]
    # Of a tone, a step shows as a jump in the second difference.
    assert np.abs(np.diff(middle, 2)).max() < 3 * 0.5 * (2 * np.pi * 440 / RATE) ** 2


def test_short_and_slow_audio() -> None:
    assert stretched(tone()[:, :1], 1, tempo=0.5, key=1).shape == (2, 2)
    with pytest.raises(OutputError, match="higher rate"):
        Stretcher(1000, 1, tempo=0.5, key=0)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    with pytest.raises(MissingExtraError, match=r"songsplit\[practice\]"):
        Stretcher(RATE, 1, tempo=0.5, key=0)
