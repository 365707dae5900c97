from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

import songsplit.evaluation.references as ours
from songsplit.errors import DataError
from songsplit.evaluation.references import ReferenceSong, own_songs

from .conftest import write_stems


def noise(seed: int, channels: int = 2, samples: int = 900) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, samples)).astype("f4")


@pytest.mark.parametrize("letter", ["x", "é", "\N{MUSICAL SYMBOL G CLEF}", "\udcff"])
def test_names_of_files_are_flat_and_not_too_long(letter: str):
    long = letter * 250
    songs = [f"{long}1", f"{long}2", f"{long}/{long}", "A/Song"]
    names = [ReferenceSong(song, "test", (), lambda: None).file_name for song in songs]
    assert len(set(names)) == 4
    assert names[-1] == "A - Song"
    for name in names:
        assert len(os.fsencode(name)) <= 200
        assert "/" not in name


def test_own_songs_keep_their_rate_and_channels(tmp_path: Path):
    vocals, backing, mixture = (noise(seed, 1) for seed in range(3))
    stems = {"vocals": vocals, "instrumental": backing}
    write_stems(tmp_path / "A", {"Lead Vocals": vocals, "karaoke": backing}, 8000)
    write_stems(tmp_path / "B", stems | {"mixture": mixture}, 8000)
    write_stems(tmp_path / "C", stems | {"mix": noise(2)}, 8000)
    songs, passed_over = own_songs(tmp_path)
    assert passed_over == []
    assert [len(song.files) for song in songs] == [2, 3, 3]
    # A mixture that is there counts, whether or not it is the sum; one unlike the stems does not.
    expected = (vocals + backing, mixture, vocals + backing)
    for song, separated in zip(songs, expected, strict=True):
        audio = song.read()
        assert audio.sample_rate == 8000
        np.testing.assert_array_equal(audio.references["vocals"], vocals)
        np.testing.assert_array_equal(audio.references["accompaniment"], backing)
        np.testing.assert_array_equal(audio.mixture, separated)
        assert ("mix.wav holds 900 samples in 2 channel" in audio.remark) == (song.name == "C")


@pytest.mark.parametrize(
    "other",
    [(noise(1, 1), 44100), (noise(1, 2, 899), 44100), (noise(1), 48000)],
    ids=["mono", "shorter", "another rate"],
)
@pytest.mark.parametrize("stem", ["instrumental", "mixture"])
def test_parts_that_do_not_agree_are_refused(tmp_path: Path, other, stem: str):
    audio, rate = other
    write_stems(tmp_path / "A", {"vocals": noise(0)})
    write_stems(tmp_path / "A", {stem: audio}, rate)
    ((song,), _) = own_songs(tmp_path)
    with pytest.raises(DataError, match=rf"{stem}\.wav holds .*but .*vocals\.wav 900 samples"):
        song.read()


def test_a_stem_that_is_the_mixture_or_silent_is_refused(tmp_path: Path):
    stems = {"vocals": noise(0), "instrumental": noise(1), "mixture": noise(0) + noise(1)}
    write_stems(tmp_path / "A", stems | {"vocals": stems["mixture"]})
    write_stems(tmp_path / "B", stems | {"instrumental": stems["mixture"]})
    write_stems(tmp_path / "C", stems | {"instrumental": 0 * noise(0)})
    write_stems(tmp_path / "D", {"vocals": noise(0), "mixture": noise(0)})
    messages = (
        "vocals holds",
        "accompaniment holds",
        "'C': accomp.* silent",
        "'D': accomp.* silent",
    )
    for song, message in zip(own_songs(tmp_path)[0], messages, strict=True):
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
    audio = [np.full((2, 5), float(index), dtype="f4") for index in range(5)]
    monkeypatch.setattr(ours, "read_streams", lambda path: (audio, 48000))
    ((song,), _) = own_songs(tmp_path)
    assert len(song.files) == 1
    read = song.read()
    values = {name: part[0, 0] for name, part in read.references.items()}
    assert values == {"vocals": 4, "accompaniment": 6, "drums": 1, "bass": 2, "other": 3}
    assert (read.mixture[0, 0], read.sample_rate) == (0, 48000)
