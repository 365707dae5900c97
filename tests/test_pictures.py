from __future__ import annotations

import numpy as np
import pytest

from songsplit import pictures
from songsplit.pictures import Overview, SongPicture

RATE = 44100


def overview(audio: np.ndarray, step: int = 10_000, rate: int = RATE) -> tuple:
    result = Overview(rate)
    for start in range(0, audio.shape[1], step):
        result.add(audio[:, start : start + step])
    return result, *result.finished()


def test_a_tone_shows_where_it_is(monkeypatch) -> None:
    monkeypatch.setattr(pictures, "_COLUMNS", 50)
    times = np.arange(20 * RATE) / RATE
    audio = np.sin(2 * np.pi * 1000 * times) * (times > 10)
    # Opposite channels do not cancel.
    result, decibels, peaks = overview(np.stack([audio, -audio]).astype(np.float32))
    assert result.seconds == pytest.approx(20)
    band = np.argmax(decibels[:, -5])
    assert result.edges[band] <= 1000 <= result.edges[band + 1]
    assert decibels[band, -5] == pytest.approx(0, abs=8)
    half = decibels.shape[1] // 2
    assert decibels[:, : half - 2].max() < -100
    assert peaks[: half - 2].max() == 0
    assert peaks[half + 2 :].min() > 0.99


@pytest.mark.parametrize("rate", [8, 1000, 8000, 44100])
@pytest.mark.parametrize("samples", [1, 5000, 200_000])
def test_columns_are_bounded_whatever_the_length(rate: int, samples: int, monkeypatch) -> None:
    monkeypatch.setattr(pictures, "_COLUMNS", 20)
    audio = np.random.default_rng(0).normal(size=(1, samples)).astype(np.float32)
    result, decibels, peaks = overview(audio, 999, rate)
    assert 1 <= decibels.shape[1] <= 41
    assert decibels.shape == (len(result.edges) - 1, len(peaks))
    assert np.isfinite(decibels).all()
    assert peaks.max() <= np.abs(audio).max()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("samples", [1, 30_000])
def test_a_picture_with_any_title(samples: int) -> None:
    pytest.importorskip("matplotlib")
    made = []
    for _ in range(2):
        picture = SongPicture("$ong 歌 \U00013000\n" + "x" * 200, ("vocals", "rest"), RATE)
        block = np.full((2, samples), 0.1, np.float32)
        stems = {"vocals": block, "rest": block}
        assert [list(passed) for passed in picture.watching([stems])] == [list(stems)]
        made.append(picture.png())
    assert made[0].startswith(b"\x89PNG")
    assert made[0] == made[1]
