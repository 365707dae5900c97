from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import songsplit.data.musdb as ours
from songsplit.data.musdb import MusdbTrack, musdb_tracks, validation_names
from songsplit.errors import ConfigError, DataError

from .conftest import STEMS

VALID = "ANiMAL - Rockshow"
TRAIN = "ANiMAL - Clinic A"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


needs_list = pytest.mark.skipif(
    importlib.util.find_spec("musdb") is None, reason="musdb is not installed"
)


def test_stem_file_streams_get_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path / "test" / "A - b.stem.mp4")
    streams = [np.full((2, 5), index, dtype=np.float32) for index in range(5)]
    monkeypatch.setattr(ours, "read_streams", lambda path: (streams, 44100))
    (track,) = musdb_tracks(tmp_path, "test")
    assert track.name == "A - b"
    mixture, stems = track.audio()
    assert mixture[0, 0] == 0
    values = {name: stem[0, 0] for name, stem in stems.items()}
    assert values == {"drums": 1, "bass": 2, "other": 3, "vocals": 4}


@pytest.mark.parametrize(
    ("shapes", "rate", "message"),
    [
        ([(2, 5)] * 4, 44100, "4 audio streams"),
        ([(2, 5)] * 5, 48000, "48000 Hz"),
        ([(2, 5)] * 4 + [(1, 5)], 44100, "1 x 5"),
        ([(2, 5)] * 4 + [(2, 6)], 44100, "2 x 6"),
    ],
)
def test_stem_file_unlike_musdb_is_refused(
    monkeypatch: pytest.MonkeyPatch, shapes: list[tuple[int, int]], rate: int, message: str
):
    streams = [np.zeros(shape, dtype=np.float32) for shape in shapes]
    monkeypatch.setattr(ours, "read_streams", lambda path: (streams, rate))
    with pytest.raises(DataError, match=message) as caught:
        MusdbTrack("A - b", Path("some/A - b.stem.mp4")).audio()
    assert "A - b.stem.mp4" in str(caught.value)


@pytest.mark.parametrize("name", ["bass", "mixture"])
def test_incomplete_hq_song_is_named(hq_root: Path, name: str):
    track = musdb_tracks(hq_root, "test")[0]
    (track.path / f"{name}.wav").unlink()
    with pytest.raises(DataError, match=rf"{name}\.wav"):
        track.audio()


@needs_list
def test_split_follows_the_list(tmp_path: Path):
    for name in (TRAIN, VALID):
        touch(tmp_path / "train" / f"{name}.stem.mp4")
    touch(tmp_path / "train" / "notes.txt")
    touch(tmp_path / "train" / f"._{TRAIN}.stem.mp4")

    def names(split):
        return [track.name for track in musdb_tracks(tmp_path, "train", split)]

    assert names(None) == [TRAIN, VALID]
    assert names("train") == [TRAIN]
    assert names("valid") == [VALID]
    (tmp_path / "train" / f"{VALID}.stem.mp4").unlink()
    with pytest.raises(DataError, match="none of its songs"):
        names("valid")


@needs_list
def test_list_of_validation_songs_needs_no_import(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "musdb", raising=False)
    monkeypatch.setenv("PATH", "")
    assert len(validation_names()) == 14
    assert VALID in validation_names()
    assert "musdb" not in sys.modules


def test_folders_without_songs_are_named(tmp_path: Path):
    with pytest.raises(DataError, match="test: no such folder"):
        musdb_tracks(tmp_path, "test")
    touch(tmp_path / "test" / "song.mp3")
    with pytest.raises(DataError, match="test: no songs"):
        musdb_tracks(tmp_path, "test")


@pytest.mark.parametrize(
    ("subset", "split"), [("valid", None), ("train", "test"), ("test", "valid")]
)
def test_impossible_choices_are_refused(tmp_path: Path, subset, split):
    with pytest.raises(ConfigError):
        musdb_tracks(tmp_path, subset, split)


@pytest.mark.data
@pytest.mark.ffmpeg
def test_same_songs_and_samples_as_musdb(musdb_root: Path):
    import musdb

    is_wav = not list((musdb_root / "train").glob("*.stem.mp4"))
    names = {}
    for split in ("train", "valid"):
        theirs = musdb.DB(root=str(musdb_root), subsets="train", split=split, is_wav=is_wav)
        names[split] = [track.name for track in theirs]
        assert [track.name for track in musdb_tracks(musdb_root, "train", split)] == names[split]
    assert len(names["valid"]) == 14

    reference = theirs[0]
    mixture, stems = musdb_tracks(musdb_root, "train", "valid")[0].audio()
    pairs = [(mixture, reference)] + [(stems[name], reference.targets[name]) for name in STEMS]
    for audio, expected in pairs:
        # musdb decodes to 16 bits and so clips.
        np.testing.assert_allclose(
            np.clip(audio.T, -1, 1), expected.audio, rtol=0, atol=2 / 32768, strict=False
        )
        assert audio.shape == expected.audio.T.shape
