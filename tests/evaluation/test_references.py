"""Songs of one's own: what is separated, what it is compared with, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import songsplit.evaluation.references as ours
from songsplit.errors import DataError
from songsplit.evaluation.references import own_songs

from .conftest import write_stems


def noise(seed: int, channels: int = 2, samples: int = 9000) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, samples)).astype("f4")


def test_own_songs_keep_their_rate_and_channels(tmp_path: Path):
    vocals, backing, mixture = (noise(seed, 1) for seed in range(3))
    write_stems(tmp_path / "Band" / "A", {"Lead Vocals": vocals, "karaoke": backing}, 8000)
    stems = {"vocals": vocals, "instrumental": backing, "mixture": mixture}
    write_stems(tmp_path / "Band" / "B", stems, 8000)
    songs, passed_over = own_songs(tmp_path)
    assert passed_over == []
    assert [song.file_name for song in songs] == ["Band - A", "Band - B"]
    assert [len(song.files) for song in songs] == [2, 3]
    # A mixture that is there counts, whether or not it is the sum.
    for song, separated in zip(songs, (vocals + backing, mixture), strict=True):
        audio = song.read()
        assert audio.sample_rate == 8000
        np.testing.assert_array_equal(audio.references["vocals"], vocals)
        np.testing.assert_array_equal(audio.references["accompaniment"], backing)
        np.testing.assert_array_equal(audio.mixture, separated)


@pytest.mark.parametrize(
    "other",
    [(noise(1, 1), 44100), (noise(1, 2, 8999), 44100), (noise(1), 48000)],
    ids=["mono", "shorter", "another rate"],
)
@pytest.mark.parametrize("stem", ["instrumental", "mixture"])
def test_parts_that_do_not_agree_are_refused(tmp_path: Path, other, stem: str):
    audio, rate = other
    write_stems(tmp_path / "A", {"vocals": noise(0), "instrumental": noise(2)})
    write_stems(tmp_path / "A", {stem: audio}, rate)
    ((song,), _) = own_songs(tmp_path)
    with pytest.raises(DataError, match=rf"{stem}\.wav holds .*but .*vocals\.wav 9000 samples"):
        song.read()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vocals": noise(0) + noise(1)}, "the stem vocals holds the other one too"),
        ({"instrumental": noise(0) + noise(1)}, "the stem instrumental holds the other one"),
        ({"instrumental": 0 * noise(0)}, "the stem instrumental is silent"),
    ],
)
def test_a_stem_that_is_the_mixture_or_silent_is_refused(tmp_path: Path, changed, message):
    write_stems(tmp_path / "A", {"vocals": noise(0), "instrumental": noise(1)} | changed)
    ((song,), _) = own_songs(tmp_path)
    with pytest.raises(DataError, match=message):
        song.read()


def test_what_is_passed_over_is_told(tmp_path: Path):
    write_stems(tmp_path / "A", {"vocals": noise(0), "instrumental": noise(1)})
    soundfile.write(tmp_path / "A" / "vocals.flac", noise(0).T, 44100)
    write_stems(tmp_path / "B", {"vocals": noise(0)})
    (songs, passed_over) = own_songs(tmp_path)
    assert [song.name for song in songs] == ["A"]
    assert {finding.path.name for finding in passed_over} == {"vocals.flac", "B"}


def test_own_stem_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "A.stem.mp4").touch()
    audio = [noise(seed) for seed in range(5)]
    monkeypatch.setattr(ours, "read_streams", lambda path: (audio, 48000))
    ((song,), _) = own_songs(tmp_path)
    assert len(song.files) == 1
    read = song.read()
    mixture, drums, bass, other, vocals = audio
    expected = {"vocals": vocals, "accompaniment": drums + bass + other}
    expected |= {"drums": drums, "bass": bass, "other": other}
    assert list(read.references) == list(expected)
    for name, samples in expected.items():
        np.testing.assert_array_equal(read.references[name], samples)
    np.testing.assert_array_equal(read.mixture, mixture)
    assert read.sample_rate == 48000
