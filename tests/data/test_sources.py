from __future__ import annotations

import csv
import os

import numpy as np
import pytest

from songsplit.data.musdb import validation_names
from songsplit.data.songs import AudioPart, Song
from songsplit.data.sources import SourceConfig, find_source
from songsplit.errors import ConfigError, DataError
from tests.data import recordings

COLUMNS = ("path", "kind", "source", "split", "sample_rate")
STEMS = ("drums", "bass", "other", "vocals")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "tapes"),
        ("weight", -1.0),
        ("weight", float("nan")),
        ("vocals_weight", float("inf")),
        ("backing_weight", -0.1),
        ("same_song_weight", -1.0),
        ("valid_share", 1.0),
        ("valid_share", -0.1),
        ("bandwidth", 0.0),
        ("bandwidth", float("nan")),
        ("only", {"source": "x"}),
    ],
)
def test_impossible_settings_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=key):
        SourceConfig(**{"kind": "songs", key: value})


def test_yaml_becomes_sources(tmp_path):
    import jsonargparse

    def collect(sources: dict[str, SourceConfig]):
        return sources

    (tmp_path / "config.yaml").write_text(
        "sources:\n"
        "  musdb18: {kind: musdb, path: data/musdb18hq, licence: research only}\n"
        "  corpus: {kind: manifest, path: a.csv, weight: 2, only: {source: [a, b], kind: vocals}}\n"
        "  old: {kind: songs}\n"
    )
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(collect)
    parsed = parser.instantiate(parser.parse_path(str(tmp_path / "config.yaml"))).sources
    assert parsed == {
        "musdb18": SourceConfig("musdb", "data/musdb18hq", licence="research only"),
        "corpus": SourceConfig(
            "manifest", "a.csv", weight=2.0, only={"source": ["a", "b"], "kind": "vocals"}
        ),
        "old": SourceConfig("songs"),
    }


def test_a_source_without_a_path_cannot_be_searched():
    with pytest.raises(ConfigError, match="'mine' has no path"):
        find_source("mine", SourceConfig("songs"))


def test_musdb_stem_files_are_five_streams(tmp_path):
    (tmp_path / "train").mkdir()
    valid = sorted(validation_names())[0]
    for name in (valid, "Somebody - Something"):
        (tmp_path / "train" / f"{name}.stem.mp4").touch()
    found = {song.name: song for song in find_source("m", SourceConfig("musdb", str(tmp_path)))}
    assert {name: song.split for name, song in found.items()} == {
        valid: "valid",
        "Somebody - Something": "train",
    }
    song = found[valid]
    path = tmp_path / "train" / f"{valid}.stem.mp4"
    assert song.source == "m"
    assert song.mixture == AudioPart(path, 0)
    assert not song.subtracts
    assert dict(song.stems) == {
        "drums": (AudioPart(path, 1),),
        "bass": (AudioPart(path, 2),),
        "other": (AudioPart(path, 3),),
        "vocals": (AudioPart(path, 4),),
    }


def test_musdb_hq_is_a_folder_of_files_for_each_song(tmp_path):
    folder = tmp_path / "train" / "A - B"
    for name in ("mixture", *STEMS):
        recordings.write(folder / f"{name}.wav", np.zeros((2, 9)))
    (song,) = find_source("m", SourceConfig("musdb", str(tmp_path)))
    assert song.split == "train"
    assert {name: part.path for name, (part,) in song.stems.items()} == {
        name: folder / f"{name}.wav" for name in STEMS
    }


@pytest.fixture
def many(tmp_path):
    """Add songs to a folder; returns the splits of all."""

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


def test_two_songs_of_one_name_are_refused_with_their_files(tmp_path, monkeypatch):
    twins = [
        Song("twin", "s", "train", {"vocals": (AudioPart(tmp_path / file),)})
        for file in ("one.wav", "two.wav")
    ]
    monkeypatch.setattr("songsplit.data.sources.find_recordings", lambda *_: twins)
    with pytest.raises(DataError, match=r"'twin'.*one\.wav.*two\.wav"):
        find_source("s", SourceConfig("vocals", str(tmp_path)))


@pytest.fixture
def manifest(tmp_path):
    rows = [
        ("solo.wav", "vocals", "choir", "train", 44100),
        ("phone.wav", "vocals", "choir", "train", 16000),
        ("band.wav", "instrumental", "games", "train", 44100),
        ("hidden.wav", "instrumental", "games", "valid", 44100),
        ("secret.wav", "vocals", "choir", "test", 44100),
        ("duo_vocals.wav", "multitrack-vocals", "duos", "train", 44100),
        ("duo_accomp.wav", "multitrack-accomp", "duos", "train", 44100),
        ("trio_vocals.wav", "multitrack-vocals", "duos", "valid", 44100),
        ("trio_instrumental.wav", "multitrack-instrumental", "duos", "valid", 16000),
    ]
    for name, *_ in rows:
        (tmp_path / name).touch()
    return write(tmp_path / "list.csv", rows)


def write(path, rows, columns=COLUMNS):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def listed(manifest, **settings):
    found = find_source("list", SourceConfig("manifest", str(manifest), **settings))
    return {song.name: song for song in found}


def test_rows_of_a_list_become_songs(manifest):
    found = {
        name: (song.source, song.split, tuple(song.stems), song.bandwidth)
        for name, song in listed(manifest).items()
    }
    assert found == {
        "solo.wav": ("list", "train", ("vocals",), None),
        "phone.wav": ("list", "train", ("vocals",), 0.96 * 8000),
        "band.wav": ("list", "train", ("instrumental",), None),
        "duo": ("list", "train", ("vocals", "instrumental"), None),
        "trio": ("list", "valid", ("vocals", "instrumental"), 0.96 * 8000),
    }
    (part,) = listed(manifest)["duo"].stems["instrumental"]
    assert part == AudioPart(manifest.parent / "duo_accomp.wav")


def test_only_rows_with_given_values_count(manifest):
    assert set(listed(manifest, only={"source": "choir"})) == {"solo.wav", "phone.wav"}
    assert set(listed(manifest, only={"source": ["choir", "games"], "sample_rate": "44100"})) == {
        "solo.wav",
        "band.wav",
    }
    with pytest.raises(DataError, match=r"no recording.*opera"):
        listed(manifest, only={"source": "opera"})
    with pytest.raises(DataError, match="'sauce'"):
        listed(manifest, only={"sauce": "choir"})


def test_a_bandwidth_in_the_list_counts_more_than_rate_and_config(manifest):
    rows = [
        ("solo.wav", "vocals", "x", "train", 44100, 8500),
        ("band.wav", "vocals", "x", "train", 44100, ""),
    ]
    write(manifest, rows, (*COLUMNS, "bandwidth"))
    found = listed(manifest, bandwidth=12000.0)
    assert [song.bandwidth for song in found.values()] == [8500, 12000]


SOLO = ("solo.wav", "vocals", "x", "train", 44100)
DUO = ("duo_vocals.wav", "multitrack-vocals", "duos", "train", 44100)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([DUO], "duo has no partner"),
        ([SOLO, SOLO], r"line 2 and .*line 3: solo\.wav is listed twice"),
        ([DUO, ("duo_accomp.wav", "multitrack-accomp", "duos", "valid", 44100)], "two splits"),
        ([("none.wav", *SOLO[1:])], r"line 2: .*none\.wav: there is no such file"),
        ([SOLO, (*SOLO[:4], "fast")], "line 3.*fast"),
        ([("solo.wav", "Vocals", *SOLO[2:])], "line 2: kind 'Vocals' is none of vocals"),
        ([("solo.wav", "vocals")], "line 2: path and source"),
        ([], "no rows with the column 'path'"),
    ],
)
def test_faults_of_a_list_are_named(manifest, rows, message):
    write(manifest, rows)
    with pytest.raises(DataError, match=message):
        listed(manifest)


def test_lists_that_are_none_are_refused(manifest):
    write(manifest, [("solo.wav", "vocals")], ("path", "kind"))
    with pytest.raises(DataError, match="'source'"):
        listed(manifest)
    with pytest.raises(DataError, match=r"gone\.csv"):
        listed(manifest.parent / "gone.csv")
    manifest.write_bytes(b"path\xff")
    with pytest.raises(DataError, match="cannot be read as a CSV"):
        listed(manifest)


def test_what_is_passed_over_is_not_passed_over_in_silence(tmp_path):
    for stem in ("vocals", "instrumental"):
        recordings.write(tmp_path / "whole" / f"{stem}.wav", np.full((2, 400), 0.1))
    recordings.write(tmp_path / "half" / "instrumental.wav", np.full((2, 400), 0.1))
    with pytest.warns(UserWarning, match=r"1 songs or files are passed over.*half.*no vocals"):
        songs = find_source("mine", SourceConfig(kind="songs", path=str(tmp_path)))
    assert [song.name for song in songs] == ["whole"]
