from __future__ import annotations

import os

import numpy as np
import pytest

from songsplit.data.sources import SourceConfig, find_source, validation_names
from songsplit.errors import ConfigError, DataError
from tests.data import recordings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "tapes"),
        ("weight", -1.0),
        ("vocals_weight", float("inf")),
        ("valid_share", 1.0),
        ("bandwidth", float("nan")),
    ],
)
def test_impossible_settings_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=key):
        SourceConfig(**{"kind": "songs", key: value})


def test_musdb_has_validation_songs_of_its_own(tmp_path):
    valid = sorted(validation_names())[0]
    for name in (valid, ".Somebody - Something", "._.Somebody - Something"):
        path = tmp_path / "train" / f"{name}.stem.mp4"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = find_source("m", SourceConfig("musdb", str(tmp_path)))
    assert {song.name: song.split for song in found} == {
        valid: "valid",
        ".Somebody - Something": "train",
    }


def test_a_musdb_song_that_lacks_a_stem_is_left_out_by_name(tmp_path):
    for name, stems in {"Whole": 5, "Torn": 4}.items():
        for stem in ("mixture", "vocals", "drums", "other", "bass")[:stems]:
            recordings.write(tmp_path / "train" / name / f"{stem}.wav", np.ones((2, 9)))
    with pytest.warns(UserWarning, match=r"Torn: not used.*unpack MUSDB18 again"):
        found = find_source("m", SourceConfig("musdb", str(tmp_path)))
    assert [song.name for song in found] == ["Whole"]
    with pytest.raises(DataError, match="Torn"):
        find_source("m", SourceConfig("musdb", str(tmp_path)), "stop")


@pytest.fixture
def many(tmp_path):
    """Add songs to a folder; return the splits of all."""

    def add(names, share=0.3):
        for name in names:
            for stem in ("vocals", "instrumental"):
                recordings.write(tmp_path / name / f"{stem}.wav", np.ones((2, 9)))
        found = find_source("mine", SourceConfig("songs", str(tmp_path), valid_share=share))
        return {song.name: song.split for song in found}

    return add


def test_songs_stay_in_their_split_when_others_are_added(many):
    first = many([f"song {n}" for n in range(20)])
    assert 0 < sum(split == "valid" for split in first.values()) < 12
    second = many([f"more {n}" for n in range(20)])
    assert len(second) == 40
    assert {name: second[name] for name in first} == first


def test_small_folders_have_songs_for_training_and_validation_both(many):
    assert list(many(["a"], share=0.99).values()) == ["train"]
    assert sorted(many(["b"], share=1e-9).values()) == ["train", "valid"]
    assert sorted(many([], share=0.999999).values()) == ["train", "valid"]
    assert set(many(["c", "d"], share=0.0).values()) == {"train"}


def test_the_home_folder_and_pools(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = recordings.write(tmp_path / "takes" / "one.wav", np.ones((1, 9)))
    path = os.path.normpath(path)
    for kind, stem in [("vocals", "vocals"), ("instrumentals", "instrumental")]:
        (song,) = find_source("pool", SourceConfig(kind, "~/takes", bandwidth=8000.0))
        assert song.split == "train"
        assert song.bandwidth == 8000
        assert {name: str(part.path) for name, (part,) in song.stems.items()} == {stem: path}


def test_what_is_passed_over_is_not_passed_over_in_silence(tmp_path):
    for stem in ("vocals", "instrumental"):
        recordings.write(tmp_path / "whole" / f"{stem}.wav", np.full((2, 400), 0.1))
    recordings.write(tmp_path / "half" / "instrumental.wav", np.full((2, 400), 0.1))
    with pytest.warns(UserWarning, match=r"1 songs or files are left out.*half.*no vocals"):
        songs = find_source("mine", SourceConfig(kind="songs", path=str(tmp_path)))
    assert [song.name for song in songs] == ["whole"]
    with pytest.raises(DataError, match=r"half.*no vocals"):
        find_source("mine", SourceConfig(kind="songs", path=str(tmp_path)), "stop")
    with pytest.raises(ConfigError, match="'mine' has no path"):
        find_source("mine", SourceConfig("songs"))
