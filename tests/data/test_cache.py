"""What is filled into a cache comes out of it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from songsplit.data.cache import ClipCache, source_digests
from songsplit.data.songs import AudioPart, Song
from songsplit.errors import DataError
from tests.data import recordings
from tests.data.recordings import fill, song

RATE = 8000


def noise(samples=RATE, level=0.1, seed=0, channels=2):
    rng = np.random.default_rng(seed)
    return (level * rng.normal(size=(channels, samples))).astype(np.float32)


def test_what_goes_in_comes_out(tmp_path):
    written = recordings.songs(tmp_path / "files")
    fill({"musdb18": written}, tmp_path / "cache")
    cache = ClipCache(tmp_path / "cache")
    assert [clip.name for clip in cache.clips] == [song.name for song in written]
    for made, clip in zip(written, cache.clips, strict=True):
        assert (clip.source, clip.split) == ("musdb18", made.split)
        assert set(clip.backing) == {"drums", "bass", "other"}
        for stem, (part,) in made.stems.items():
            audio = recordings.soundfile.read(part.path, dtype="float32")[0].T
            out = cache.read(clip, stem)
            assert out.dtype == np.float32
            np.testing.assert_allclose(out, audio, atol=np.abs(audio).max() / 32767)


def test_parts_of_a_clip(tmp_path):
    made = song(tmp_path, "a", {"vocals": noise(1000)}, rate=RATE)
    cache = fill({"s": [made]}, tmp_path / "cache", RATE)
    (clip,) = cache.clips
    whole = cache.read(clip, "vocals")
    np.testing.assert_array_equal(cache.read(clip, "vocals", 100, 50), whole[:, 100:150])
    raw = cache.read_raw(clip, "vocals", 900, 500)
    assert raw.dtype == np.int16
    assert raw.shape == (2, 100)
    np.testing.assert_allclose(raw * clip.stems["vocals"].scale, whole[:, 900:], rtol=1e-6)
    raw[:] = 0  # a copy, not the cache itself
    np.testing.assert_array_equal(cache.read(clip, "vocals"), whole)
    assert cache.read(clip, "vocals", 2000, 10).shape == (2, 0)
    with pytest.raises(ValueError, match="negative"):
        cache.read(clip, "vocals", -1, 10)


def test_loud_stems_do_not_clip_and_mono_becomes_stereo(tmp_path):
    loud = np.array([[5.99, -7.0, 0.5]])
    cache = fill({"s": [song(tmp_path, "a", {"vocals": loud}, rate=RATE)]}, tmp_path / "c", RATE)
    out = cache.read(cache.clips[0], "vocals")
    np.testing.assert_allclose(out, np.repeat(loud, 2, axis=0), atol=7 / 32767)


def test_of_more_than_two_channels_the_first_two_count(tmp_path):
    audio = noise(100, channels=4)
    cache = fill({"s": [song(tmp_path, "a", {"vocals": audio}, rate=RATE)]}, tmp_path / "c", RATE)
    np.testing.assert_allclose(cache.read(cache.clips[0], "vocals"), audio[:2], atol=1e-4)


@pytest.mark.parametrize("rate", [4000, 11025, 16000])
def test_each_file_is_resampled_from_its_own_rate(tmp_path, rate):
    def tone(at):
        return np.sin(2 * np.pi * 440 * np.arange(at) / at)[np.newaxis]

    made = song(tmp_path, "a", {"vocals": tone(rate)}, rate=rate)
    backing = AudioPart(recordings.write(tmp_path / "backing.wav", tone(8000), 8000))
    made = replace(made, stems={**made.stems, "instrumental": (backing,)})
    cache = fill({"s": [made]}, tmp_path / "cache", RATE)
    (clip,) = cache.clips
    assert clip.samples == RATE
    for stem in clip.stems:
        out = cache.read(clip, stem)[0]
        np.testing.assert_allclose(out[500:-500], tone(RATE)[0, 500:-500], atol=2e-3)


def test_an_instrumental_may_be_what_the_mixture_holds_besides_vocals(tmp_path):
    vocals, backing = noise(seed=1), noise(seed=2)
    stems = {"vocals": vocals, "mixture": vocals + backing}
    cache = fill({"s": [song(tmp_path, "a", stems, rate=RATE)]}, tmp_path / "cache", RATE)
    (clip,) = cache.clips
    assert clip.backing == ["instrumental"]
    np.testing.assert_allclose(cache.read(clip, "instrumental"), backing, atol=1e-4)
    np.testing.assert_allclose(cache.read(clip, "vocals"), vocals, atol=1e-4)


def test_several_parts_of_a_stem_are_summed_and_a_mixture_is_not_needed(tmp_path):
    lead, choir = noise(seed=1), noise(seed=2)
    parts = [AudioPart(recordings.write(tmp_path / f"{i}.wav", audio, RATE))
             for i, audio in enumerate([lead, choir])]  # fmt: skip
    backing = AudioPart(recordings.write(tmp_path / "backing.wav", noise(seed=3), RATE))
    stems = {"vocals": tuple(parts), "instrumental": (backing,)}
    made = Song("a", "s", "train", stems, mixture=AudioPart(tmp_path / "never read.wav"))
    cache = fill({"s": [made]}, tmp_path / "cache", RATE)
    np.testing.assert_allclose(cache.read(cache.clips[0], "vocals"), lead + choir, atol=1e-4)


def test_stems_a_little_longer_than_others_are_cut(tmp_path):
    stems = {"vocals": noise(RATE + 700), "instrumental": noise(RATE)}
    cache = fill({"s": [song(tmp_path, "a", stems, rate=RATE)]}, tmp_path / "cache", RATE)
    (clip,) = cache.clips
    assert clip.samples == RATE
    for stem in clip.stems:
        assert cache.read(clip, stem).shape == (2, RATE)
        assert cache.read_raw(clip, stem, RATE - 10, 100).shape == (2, 10)


def test_activity_tells_where_there_is_sound(tmp_path):
    audio = np.zeros((2, 5 * RATE // 4))
    audio[:, : RATE // 2] = 0.5
    audio[0, RATE:] = 0.2
    stems = {"vocals": audio, "instrumental": np.zeros((2, 5 * RATE // 4))}
    cache = fill({"s": [song(tmp_path, "a", stems, rate=RATE)]}, tmp_path / "cache", RATE)
    (clip,) = cache.clips
    assert clip.stems["vocals"].activity == pytest.approx([0.5, 0, 0.2 / 2**0.5], rel=1e-4)
    assert clip.stems["instrumental"].activity == [0, 0, 0]
    assert not cache.read(clip, "instrumental").any()


def test_clips_are_selected_by_source(tmp_path):
    made = {
        name: [song(tmp_path / name, "a", {"vocals": noise(100, seed=i)}, rate=RATE)]
        for i, name in enumerate(["first", "second", "third"])
    }
    cache = fill(made, tmp_path / "cache", RATE)
    assert [clip.source for clip in cache.select(["third", "first"])] == ["third", "first"]
    with pytest.raises(DataError, match=r"'fourth', only first, second, third"):
        cache.select(["first", "fourth"])


def test_digests_are_of_content_not_of_names(tmp_path):
    def digest(name, seeds, split="train"):
        songs = [
            song(tmp_path / f"{name}{seed}", f"{name} {seed}", {"vocals": noise(4000, seed=seed)},
                 split, RATE) for seed in seeds
        ]  # fmt: skip
        cache = fill({name: songs}, tmp_path / f"cache {name}", RATE)
        return source_digests(cache, [name])[name]

    first = digest("one", [1, 2])
    assert (first["clips"], first["seconds"]) == (2, 1.0)
    assert digest("other", [2, 1]) == first
    assert digest("valid", [1, 2], "valid")["sha256"] != first["sha256"]
    assert digest("changed", [1, 3])["sha256"] != first["sha256"]
    json.dumps(first)


def test_pickled_caches_read_the_same_and_carry_no_audio(tmp_path):
    made = song(tmp_path, "a", {"vocals": noise(50000)}, rate=RATE)
    cache = fill({"s": [made]}, tmp_path / "cache", RATE)
    expected = cache.read(cache.clips[0], "vocals")
    pickled = pickle.dumps(cache)
    assert len(pickled) < 5000
    copy = pickle.loads(pickled)
    np.testing.assert_array_equal(copy.read(copy.clips[0], "vocals"), expected)


def test_audio_that_is_gone_or_cut_is_named(tmp_path):
    made = song(tmp_path, "a", {"vocals": noise()}, rate=RATE)
    cache = fill({"s": [made]}, tmp_path / "cache", RATE)
    path = cache.folder / cache.clips[0].stems["vocals"].file
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=path.name):
        ClipCache(cache.folder).read(cache.clips[0], "vocals")
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        ClipCache(cache.folder).read(cache.clips[0], "vocals")
    again = fill({"s": [made]}, tmp_path / "cache", RATE)
    assert again.read(again.clips[0], "vocals").any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 1, "sample_rate": 8000, "clips": []}', "another version.*delete the folder"),
        ("{", "damaged.*delete the folder"),
        ("[]", "damaged"),
        ('{"format": 2}', "damaged"),
    ],
)
def test_indexes_of_another_version_or_damaged_are_refused(tmp_path, text, message):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(DataError, match=message):
        ClipCache(tmp_path)
    with pytest.raises(DataError, match=message):
        fill({"s": []}, tmp_path, RATE)


def test_folders_without_a_cache_are_refused(tmp_path):
    with pytest.raises(DataError, match="not found"):
        ClipCache(tmp_path / "missing")
    with pytest.raises(DataError, match="not found"):
        fill({}, tmp_path / "missing", RATE)
