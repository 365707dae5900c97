from __future__ import annotations

import numpy as np
import pytest

from songsplit.data.cache import ClipCache, RawClip, write_cache
from songsplit.errors import DataError
from tests.data import recordings


def test_what_goes_in_comes_out(tmp_path):
    recordings.cache(tmp_path)
    cache = ClipCache(tmp_path)
    for raw, clip in zip(recordings.clips(), cache.clips, strict=True):
        assert (clip.name, clip.source, clip.split) == (raw.name, raw.source, raw.split)
        for stem, audio in raw.stems.items():
            step = max(np.abs(audio).max(), 1e-9) / 32767
            np.testing.assert_allclose(cache.read(clip, stem), audio, atol=step)
            np.testing.assert_array_equal(
                cache.read(clip, stem, 100, 50), cache.read(clip, stem)[:, 100:150]
            )


def test_loud_stems_do_not_clip_and_mono_becomes_stereo(tmp_path):
    loud = np.array([[5.99, -7.0, 0.5]], np.float32)
    cache = write_cache([RawClip("a", "s", "train", {"vocals": loud}, 8000)], tmp_path, 8000)
    out = cache.read(cache.clips[0], "vocals")
    np.testing.assert_allclose(out, np.repeat(loud, 2, axis=0), atol=1e-3)


def test_resamples(tmp_path):
    t = np.arange(8000) / 8000
    tone = np.sin(2 * np.pi * 440 * t).astype(np.float32)[np.newaxis]
    clip = RawClip("a", "s", "train", {"vocals": tone}, 8000)
    cache = write_cache([clip], tmp_path, 16000)
    out = cache.read(cache.clips[0], "vocals")
    assert out.shape == (2, 16000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(out[0, 500:-500], expected[500:-500], atol=1e-3)


def test_filling_again_adds_and_replaces(tmp_path):
    def clip(name, value):
        return RawClip(name, "s", "train", {"vocals": np.full((2, 9), value, np.float32)}, 8000)

    write_cache([clip("a", 0.1), clip("b", 0.2)], tmp_path, 8000)
    cache = write_cache([clip("b", 0.3), clip("c", 0.4)], tmp_path, 8000)
    levels = {c.name: cache.read(c, "vocals")[0, 0] for c in cache.clips}
    assert levels == pytest.approx({"a": 0.1, "b": 0.3, "c": 0.4}, abs=1e-3)
    with pytest.raises(DataError, match="called a"):
        write_cache([clip("a", 0.1), clip("a", 0.2)], tmp_path, 8000)
    with pytest.raises(DataError, match="8000 Hz"):
        write_cache([clip("a", 0.1)], tmp_path, 16000)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file cannot be filled"):
        write_cache([clip("a", 0.1)], tmp_path / "file", 8000)


def test_empty_missing_and_damaged_caches_are_refused(tmp_path):
    with pytest.raises(DataError, match="no audio"):
        write_cache([], tmp_path / "none", 44100)
    with pytest.raises(DataError, match="not found"):
        ClipCache(tmp_path / "missing")
    recordings.cache(tmp_path)
    (tmp_path / "index.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="another version"):
        ClipCache(tmp_path)
