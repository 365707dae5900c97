"""MUSDB18 and MUSDB18-HQ: the songs, samples and splits that the package musdb has."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import songsplit.evaluation.references as ours
from songsplit.data.sources import validation_names
from songsplit.errors import DataError
from songsplit.evaluation.references import musdb_songs
from songsplit.evaluation.track_scores import FIVE_TARGETS

from .conftest import STEMS
from .conftest import song as made_song

VALID = "ANiMAL - Rockshow"
TRAIN = "ANiMAL - Clinic A"

needs_list = pytest.mark.skipif(
    importlib.util.find_spec("musdb") is None, reason="musdb is not installed"
)


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


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
    assert audio.references["vocals"].dtype == np.float32
    vocals = made_song(seed=1)["vocals"]
    np.testing.assert_allclose(audio.references["vocals"], vocals, atol=1 / 32768)
    # The mixture as released, which is rounded by itself.
    everything = audio.references["accompaniment"] + audio.references["vocals"]
    assert 0 < np.abs(audio.mixture - everything).max() < 4 / 32768


def test_musdb18_is_rounded_to_16_bits_as_published_scores_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "Band - Song.stem.mp4").touch()
    # Less than half a step, more than half, and beyond both ends of the range.
    audio = np.array([[0.4, -0.6, 40000, -40000]] * 2, dtype="f4") / np.float32(32768)
    monkeypatch.setattr(ours, "read_streams", lambda path: ([audio] * 5, 44100))
    (song,) = musdb_songs(tmp_path)
    read = song.read()
    expected = [0, -1, 32767, -32768]
    for part in (read.mixture, *(read.references[name] for name in STEMS)):
        assert (part[0] * 32768).tolist() == expected
        assert part.dtype == np.float32
    # Rounded before it is summed.
    assert (read.references["accompaniment"][0] * 32768).tolist() == [3 * x for x in expected]


@pytest.mark.parametrize(
    ("shapes", "rate", "message"),
    [
        ([(2, 5)] * 4, 44100, "4 audio streams"),
        ([(2, 5)] * 5, 48000, "48000 Hz"),
        ([(1, 5)] * 5, 44100, "1 channel"),
        ([(2, 5)] * 3 + [(1, 5), (2, 5)], 44100, "5 samples in 1 channel"),
        ([(2, 6)] + [(2, 5)] * 4, 44100, "no mixture like the stems"),
    ],
)
def test_stem_file_unlike_musdb_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shapes: list[tuple[int, int]],
    rate: int,
    message: str,
):
    touch(tmp_path / "test" / "A - b.stem.mp4")
    streams = [np.zeros(shape, dtype=np.float32) for shape in shapes]
    monkeypatch.setattr(ours, "read_streams", lambda path: (streams, rate))
    (song,) = musdb_songs(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        song.read()
    assert "A - b.stem.mp4" in str(caught.value)


def test_songs_of_musdb_hq_may_be_kept_as_flac(hq_root: Path):
    before = [song.read() for song in musdb_songs(hq_root)]
    for path in hq_root.rglob("*.wav"):
        soundfile.write(path.with_suffix(".flac"), *soundfile.read(path))
        path.unlink()
    for old, song in zip(before, musdb_songs(hq_root), strict=True):
        np.testing.assert_array_equal(song.read().mixture, old.mixture)


def test_incomplete_hq_song_is_named(hq_root: Path):
    folder = hq_root / "test" / "Band - Song's End"
    (folder / "mixture.wav").unlink()
    with pytest.raises(DataError, match=r"Song's End.*download the song again"):
        musdb_songs(hq_root)[0].read()
    (folder / "bass.wav").unlink()
    with pytest.raises(DataError, match=r"Song's End: .*unpack it again"):
        musdb_songs(hq_root)


@needs_list
def test_split_follows_the_list(tmp_path: Path):
    for name in (TRAIN, VALID):
        touch(tmp_path / "train" / f"{name}.stem.mp4")
    touch(tmp_path / "train" / "notes.txt")
    touch(tmp_path / "train" / f"._{TRAIN}.stem.mp4")

    def names(split):
        return [song.name for song in musdb_songs(tmp_path, "train", split)]

    assert names(None) == [TRAIN, VALID]
    assert names("train") == [TRAIN]
    assert names("valid") == [VALID]
    (tmp_path / "train" / f"{VALID}.stem.mp4").unlink()
    with pytest.raises(DataError, match="no song of 'train' belongs to split 'valid'"):
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
        musdb_songs(tmp_path)
    touch(tmp_path / "test" / "song.mp3")
    with pytest.raises(DataError, match="test: no songs"):
        musdb_songs(tmp_path)


@pytest.mark.data
@pytest.mark.ffmpeg
def test_same_songs_and_samples_as_musdb(musdb_root: Path):
    import musdb

    is_wav = not list((musdb_root / "train").glob("*.stem.mp4"))
    names = {}
    for split in ("train", "valid"):
        theirs = musdb.DB(root=str(musdb_root), subsets="train", split=split, is_wav=is_wav)
        names[split] = [track.name for track in theirs]
        assert [song.name for song in musdb_songs(musdb_root, "train", split)] == names[split]
    assert len(names["valid"]) == 14

    reference = theirs[0]
    song = musdb_songs(musdb_root, "train", "valid")[0].read()
    pairs = [(song.mixture, reference)]
    pairs += [(song.references[name], reference.targets[name]) for name in STEMS]
    for audio, expected in pairs:
        # musdb decodes to 16 bits and so clips.
        np.testing.assert_allclose(
            np.clip(audio.T, -1, 1), expected.audio, rtol=0, atol=2 / 32768, strict=False
        )
        assert audio.shape == expected.audio.T.shape
