from __future__ import annotations

import numpy as np
import pytest

from songsplit.data.cache import RawClip, write_cache
from songsplit.data.remix import RemixConfig, RemixDataset
from songsplit.errors import ConfigError, DataError
from tests.data import recordings

SAMPLES = 20000


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return recordings.cache(tmp_path_factory.mktemp("cache"))


def dataset(cache, seed=0, **config):
    return RemixDataset(cache, RemixConfig(**config), SAMPLES, 100, seed)


def test_an_example_is_a_function_of_seed_and_number(cache):
    first, second, other = dataset(cache), dataset(cache), dataset(cache, seed=1)
    np.testing.assert_array_equal(first[7]["vocals"], second[7]["vocals"])
    assert not np.array_equal(first[7]["vocals"], first[8]["vocals"])
    assert not np.array_equal(first[7]["vocals"], other[7]["vocals"])


def test_shapes_and_types(cache):
    for index in range(20):
        example = dataset(cache)[index]
        for stem in ("vocals", "instrumental"):
            assert example[stem].shape == (2, SAMPLES)
            assert example[stem].dtype == np.float32
            assert np.isfinite(example[stem]).all()


def test_levels_are_drawn_around_the_mean(cache):
    data = dataset(
        cache, same_song_share=0, level_mean=-6, level_deviation=0, second_singer=0,
        silent_vocals=0, silent_backing=0, speed=0,
    )  # fmt: skip
    for index in range(10):
        example = data[index]
        ratio = np.square(example["vocals"]).sum() / np.square(example["instrumental"]).sum()
        assert 10 * np.log10(ratio) == pytest.approx(-6, abs=0.1)


def test_silent_vocals(cache):
    silent = dataset(cache, silent_vocals=1.0)[0]
    assert not silent["vocals"].any()
    assert silent["instrumental"].any()


def test_songs_as_they_are_keep_their_stems_together(cache):
    data = dataset(cache, same_song_share=1.0, silent_vocals=0, silent_backing=0)
    clips = [c for c in cache.clips if c.split == "train"]
    voices = [cache.read(c, "vocals") for c in clips]
    example = data[3]["vocals"]
    # One of the voices, up to gain and channel order: the best match explains it fully.
    best = 0.0
    for voice in voices:
        for channel in voice:
            spectrum = np.fft.rfft(channel, 2**18).conj() * np.fft.rfft(example[0], 2**18)
            match = np.abs(np.fft.irfft(spectrum)).max()
            norm = np.linalg.norm(channel[:SAMPLES]) * np.linalg.norm(example[0])
            best = max(best, match / norm)
    assert best > 0.9


def test_clips_shorter_than_a_chunk_are_filled_with_silence(tmp_path):
    short = np.ones((2, 300), np.float32)
    clip = RawClip("a", "musdb18", "train", {"vocals": short, "instrumental": short}, 44100)
    data = dataset(write_cache([clip], tmp_path, 44100), speed=0, silent_backing=0)
    for index in range(5):
        assert data[index]["instrumental"].shape == (2, SAMPLES)
        assert not data[index]["instrumental"][:, 300:].any()


def test_a_narrow_recording_limits_the_band(tmp_path):
    audio = np.random.default_rng(0).normal(size=(2, 30000)).astype(np.float32)
    stems = {"vocals": audio, "instrumental": audio}
    wide = RawClip("a", "musdb18", "train", stems, 44100)
    narrow = RawClip("b", "narrow", "train", {"vocals": audio}, 44100, bandwidth=8000.0)
    cache = write_cache([wide, narrow], tmp_path, 44100)
    data = dataset(cache, vocals={"narrow": 1.0}, same_song_share=0)
    assert data[0]["bandwidth"] == 8000
    assert dataset(cache, same_song_share=1.0)[0]["bandwidth"] == np.inf


def test_a_source_without_clips_is_named(cache):
    with pytest.raises(DataError, match="'opera'"):
        dataset(cache, vocals={"musdb18": 1.0, "opera": 1.0})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocals", {}),
        ("backing", {"musdb18": 0.0}),
        ("same_song", {"musdb18": -1.0}),
        ("second_singer", 1.5),
        ("speed_range", 1.0),
    ],
)
def test_impossible_settings_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        RemixConfig(**{name: value})
