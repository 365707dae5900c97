"""Reference songs: their mixtures, their true stems, and songs that are refused.

MUSDB18 and MUSDB18-HQ have the songs, samples and splits that the package musdb has.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import songsplit.evaluation.references as ours
from songsplit.data.songs import Song
from songsplit.data.sources import validation_names
from songsplit.errors import DataError
from songsplit.evaluation.references import ReferenceSong, musdb_songs, own_songs
from songsplit.evaluation.track_scores import FIVE_TARGETS

from .conftest import STEMS, write_stems
from .conftest import song as made_song

VALID = "ANiMAL - Rockshow"
TRAIN = "ANiMAL - Clinic A"


def noise(seed: int, channels: int = 2, samples: int = 9000) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, samples)).astype("f4")


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize("letter", ["x", "é", "\N{MUSICAL SYMBOL G CLEF}", "\udcff"])
def test_names_of_files_are_flat_and_not_too_long(letter: str):
    long = letter * 250
    songs = [f"{long}1", f"{long}2", f"{long}/{long}", "A/Song"]
    names = [ReferenceSong(Song(s, "references", "train", {})).file_name for s in songs]
    assert len(set(names)) == 4
    assert names[-1] == "A - Song"
    for name in names:
        assert len(os.fsencode(name)) <= 200
        assert "/" not in name


def test_own_songs_keep_their_rate_and_channels(tmp_path: Path):
    vocals, backing, mixture = (noise(seed, 1) for seed in range(3))
    write_stems(tmp_path / "Band" / "A", {"Lead Vocals": vocals, "karaoke": backing}, 8000)
    stems = {"vocals": vocals, "instrumental": backing, "mixture": mixture}
    write_stems(tmp_path / "Band" / "B", stems, 8000)
    songs, passed_over = own_songs(tmp_path)
    assert passed_over == []
    assert [song.file_name for song in songs] == ["Band - A", "Band - B"]
    assert [len(song.files) for song in songs] == [2, 3]
    # An existing mixture is used, whether or not it is the sum of the stems.
    for song, separated in zip(songs, (vocals + backing, mixture), strict=True):
        audio = song.read()
        assert audio.sample_rate == 8000
        np.testing.assert_array_equal(audio.references["vocals"], vocals)
        np.testing.assert_array_equal(audio.references["accompaniment"], backing)
        np.testing.assert_array_equal(audio.mixture, separated)


@pytest.mark.parametrize(
    ("stem", "audio", "rate"),
    [
        ("instrumental", noise(1, 1), 44100),
        ("instrumental", noise(1), 48000),
        ("mixture", noise(1, 2, 8999), 44100),
    ],
)
def test_parts_that_do_not_agree_are_refused(tmp_path: Path, stem: str, audio, rate: int):
    write_stems(tmp_path / "A", {"vocals": noise(0), "instrumental": noise(2)})
    write_stems(tmp_path / "A", {stem: audio}, rate)
    ((song,), _) = own_songs(tmp_path)
    with pytest.raises(DataError, match=rf"{stem}\.wav holds .*but .*vocals\.wav 9000 samples"):
        song.read()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vocals": noise(0) + noise(1)}, "the stem vocals contains the other stem"),
        ({"instrumental": noise(0) + noise(1)}, "the stem instrumental contains the other stem"),
        ({"instrumental": 0 * noise(0)}, "the stem instrumental is silent"),
        # With a mixture, even the quietest other stem is detected.
        (
            {"vocals": 0.01 * noise(0), "instrumental": noise(1), "mixture": noise(1)},
            "the file of accompaniment holds the mixture",
        ),
    ],
)
def test_a_stem_that_is_the_mixture_or_silent_is_refused(tmp_path: Path, changed, message):
    write_stems(tmp_path / "A", {"vocals": noise(0), "instrumental": noise(1)} | changed)
    ((song,), _) = own_songs(tmp_path)
    with pytest.raises(DataError, match=f"'A': {message}"):
        song.read()


def test_song_of_musdb_hq(hq_root: Path):
    songs = musdb_songs(hq_root)
    assert [song.name for song in songs] == ["Band - Song's End", "Àrtist [1] - Ébb"]
    song = songs[0]
    assert song.subset == "test"
    assert len(song.files) == 5
    audio = song.read()
    assert audio.sample_rate == 44100
    assert tuple(audio.references) == FIVE_TARGETS
    backing = sum(audio.references[name] for name in ("drums", "bass", "other"))
    np.testing.assert_allclose(audio.references["accompaniment"], backing, atol=1e-7)
    vocals = made_song(seed=1)["vocals"]
    np.testing.assert_allclose(audio.references["vocals"], vocals, atol=1 / 32768)
    # The released mixture, which is rounded separately.
    everything = audio.references["accompaniment"] + audio.references["vocals"]
    assert 0 < np.abs(audio.mixture - everything).max() < 4 / 32768


def test_musdb18_is_rounded_to_16_bits_as_published_scores_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    touch(tmp_path / "test" / "Band - Song.stem.mp4")
    # Less than half a step, more than half, and beyond both ends of the range.
    audio = np.array([[0.4, -0.6, 40000, -40000]] * 2, dtype="f4") / np.float32(32768)
    monkeypatch.setattr(ours, "read_streams", lambda path: ([audio] * 5, 44100))
    (song,) = musdb_songs(tmp_path)
    read = song.read()
    expected = [0, -1, 32767, -32768]
    for part in (read.mixture, *(read.references[name] for name in STEMS)):
        assert (part[0] * 32768).tolist() == expected
    # Rounded before it is summed.
    assert (read.references["accompaniment"][0] * 32768).tolist() == [3 * x for x in expected]


@pytest.mark.parametrize(
    ("shapes", "rate", "message"),
    [
        ([(2, 5)] * 4, 44100, "4 audio streams"),
        ([(2, 5)] * 5, 48000, "48000 Hz"),
        ([(1, 5)] * 5, 44100, "1 channel"),
        ([(2, 6)] + [(2, 5)] * 4, 44100, "6 samples in 2 channel"),
    ],
)
def test_stem_file_unlike_musdb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shapes, rate: int, message: str
):
    touch(tmp_path / "test" / "A - b.stem.mp4")
    streams = [np.zeros(shape, dtype=np.float32) for shape in shapes]
    monkeypatch.setattr(ours, "read_streams", lambda path: (streams, rate))
    (song,) = musdb_songs(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        song.read()
    assert "A - b.stem.mp4" in str(caught.value)


def test_incomplete_hq_song_is_named(hq_root: Path):
    folder = hq_root / "test" / "Band - Song's End"
    (folder / "mixture.wav").unlink()
    with pytest.raises(DataError, match=r"Song's End.*download the song again"):
        musdb_songs(hq_root)[0].read()
    (folder / "bass.wav").unlink()
    with pytest.raises(DataError, match=r"Song's End: .*unpack MUSDB18 again"):
        musdb_songs(hq_root)


def test_split_follows_the_list_of_musdb_without_its_import(tmp_path: Path, monkeypatch):
    pytest.importorskip("yaml")
    monkeypatch.delitem(sys.modules, "musdb", raising=False)
    monkeypatch.setenv("PATH", "")
    try:
        assert len(validation_names()) == 14
    except ImportError:
        pytest.skip("musdb is not installed")
    for name in (TRAIN, VALID):
        touch(tmp_path / "train" / f"{name}.stem.mp4")

    def names(split):
        return [song.name for song in musdb_songs(tmp_path, "train", split)]

    assert (names(None), names("train"), names("valid")) == ([TRAIN, VALID], [TRAIN], [VALID])
    (tmp_path / "train" / f"{VALID}.stem.mp4").unlink()
    with pytest.raises(DataError, match="no song of 'train' belongs to split 'valid'"):
        names("valid")
    assert "musdb" not in sys.modules


def test_folders_without_songs_are_named(tmp_path: Path):
    with pytest.raises(DataError, match="test: no such folder"):
        musdb_songs(tmp_path)
    touch(tmp_path / "test" / "song.mp3")
    with pytest.raises(DataError, match="test: no songs"):
        musdb_songs(tmp_path)


@pytest.mark.data
@pytest.mark.ffmpeg
def test_same_songs_and_samples_as_musdb(musdb_root: Path):
    import musdb

    is_wav = not list((musdb_root / "train").glob("*.stem.mp4"))
    for split in ("train", "valid"):
        theirs = musdb.DB(root=str(musdb_root), subsets="train", split=split, is_wav=is_wav)
        songs = musdb_songs(musdb_root, "train", split)
        assert [song.name for song in songs] == [track.name for track in theirs]
    assert len(songs) == 14

    song, reference = songs[0].read(), theirs[0]
    pairs = [(song.mixture, reference)]
    pairs += [(song.references[name], reference.targets[name]) for name in STEMS]
    for audio, expected in pairs:
        # musdb decodes to 16 bits and so clips.
        np.testing.assert_allclose(
            np.clip(audio.T, -1, 1), expected.audio, rtol=0, atol=2 / 32768, strict=False
        )
        assert audio.shape == expected.audio.T.shape
