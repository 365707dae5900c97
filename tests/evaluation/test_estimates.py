from __future__ import annotations

import os
import pickle
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit.errors import AudioFileError, DataError
from songsplit.evaluation.estimates import EstimatesFolder
from songsplit.evaluation.scores import FIVE_TARGETS, TWO_TARGETS
from songsplit.evaluation.songs import ReferenceSong, SongAudio

from .conftest import write_stems

NAME = "Àrtist [1] - Ébb"
STEREO = np.ones((2, 50), dtype=np.float32)


def reference(name: str = NAME, subset: str = "test") -> ReferenceSong:
    def read() -> SongAudio:
        raise AssertionError("nobody needs the references")

    return ReferenceSong(name, name, subset, (), FIVE_TARGETS, read)


AUDIO = SongAudio(STEREO, {}, 44100)


def stems(*names: str) -> dict[str, np.ndarray]:
    """Levels 0.1, 0.2, ... in order."""
    return {name: STEREO * np.float32((index + 1) / 10) for index, name in enumerate(names)}


def levels(estimates: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {target: round(float(audio[0, 0]), 5) for target, audio in estimates.items()}


@pytest.mark.parametrize(
    "names",
    [
        ("vocals", "accompaniment"),
        ("vocals", "no_vocals"),
        ("vocals", "instrumental"),
        (f"1_{NAME}_(Vocals)", f"1_{NAME}_(Instrumental)"),
    ],
    ids=["spleeter", "demucs", "songsplit", "uvr"],
)
def test_stems_as_programs_call_them(tmp_path: Path, names: tuple[str, str]):
    write_stems(tmp_path / NAME, stems(*names))
    found = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert levels(found.audio) == {"vocals": 0.1, "accompaniment": 0.2}
    assert found.remark == ""


def test_four_stems_make_five_targets(tmp_path: Path):
    write_stems(tmp_path / NAME, stems("vocals", "drums", "bass", "other"))
    system = EstimatesFolder(tmp_path)
    found = system.estimates(reference(), AUDIO)
    assert tuple(found.audio) == FIVE_TARGETS
    assert system.settings(reference())["targets"] == list(FIVE_TARGETS)
    assert levels(found.audio) == {
        "vocals": 0.1,
        "accompaniment": 0.9,
        "drums": 0.2,
        "bass": 0.3,
        "other": 0.4,
    }


def test_accompaniment_beside_four_stems_is_taken_as_it_is(tmp_path: Path):
    write_stems(tmp_path / NAME, stems("vocals", "drums", "bass", "other", "accompaniment"))
    found = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert levels(found.audio)["accompaniment"] == 0.5
    assert set(found.audio) == set(FIVE_TARGETS)


def test_vocals_alone_are_scored_and_said_so(tmp_path: Path):
    write_stems(tmp_path / NAME, stems("vocals", "mixture"))
    found = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert set(found.audio) == {"vocals"}
    assert "accompaniment is missing" in found.remark


def test_incomplete_backing_is_left_out_and_said_so(tmp_path: Path):
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals", "bass", "take 7"))
    found = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert tuple(found.audio) == TWO_TARGETS
    assert "bass not scored without drums, other" in found.remark
    # Nothing is taken for a stem only because it lies there.
    assert "take 7.wav" in found.remark


@pytest.mark.parametrize(
    ("further", "remarks"),
    [
        (
            ("guitar",),
            ("guitar.wav and other.wav are both taken for other: sum them into other",),
        ),
        (("guitar", "piano"), ("guitar.wav and other.wav and piano.wav are all taken for other",)),
        (("banjo",), ("a part may be in banjo.wav: sum it into other",)),
        (("take 7", "guitar"), ("sum them into other", "no stem is named: take 7.wav")),
    ],
)
@pytest.mark.parametrize("accompaniment", [(), ("accompaniment",)], ids=["summed", "given"])
def test_other_instruments_beside_are_not_left_out_of_sums(
    tmp_path: Path, accompaniment, further, remarks
):
    parts = stems("vocals", "drums", "bass", "other", *further, *accompaniment)
    write_stems(tmp_path / NAME, parts)
    system = EstimatesFolder(tmp_path)
    found = system.estimates(reference(), AUDIO)
    assert tuple(found.audio) == ("vocals", *accompaniment)
    assert system.settings(reference())["targets"] == list(found.audio)
    for remark in remarks:
        assert remark in found.remark
    assert ("vocals alone are scored" in found.remark) == (not accompaniment)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("lead vocals", "vocals", "no_vocals"), r"lead vocals\.wav and vocals\.wav"),
        (("vocals", "no_vocals", "instrumental"), r"instrumental\.wav and no_vocals\.wav"),
        (("vocals", "kick", "snare"), r"leave one file that holds all of drums"),
        (("guitar", "piano"), r"neither vocals nor .* \(found: guitar\.wav, piano\.wav\)"),
        (("drums", "bass", "other"), r"neither vocals nor accompaniment \(found: bass\.wav"),
        (("mixture",), r"neither vocals nor accompaniment \(found: no stems\)"),
    ],
)
def test_what_is_there_twice_or_missing_is_named(tmp_path: Path, names, message: str):
    write_stems(tmp_path / NAME, stems(*names))
    with pytest.raises(DataError, match=message) as caught:
        EstimatesFolder(tmp_path).settings(reference())
    assert NAME in str(caught.value)


@pytest.mark.parametrize("further", [(), ("drums", "bass", "other")])
def test_accompaniment_alone_is_scored_and_told(tmp_path: Path, further):
    write_stems(tmp_path / NAME, stems("no_vocals", *further))
    found = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert tuple(found.audio) == ("accompaniment",)
    assert "the accompaniment alone is scored" in found.remark


def test_same_stem_in_two_formats_is_refused(tmp_path: Path):
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals"))
    soundfile.write(tmp_path / NAME / "vocals.flac", STEREO.T, 44100)
    with pytest.raises(DataError, match=r"vocals\.flac and vocals\.wav"):
        EstimatesFolder(tmp_path).find(reference())


@pytest.mark.parametrize(
    "folder",
    [
        NAME,
        f"test/{NAME}",
        f"htdemucs/{NAME}",
        f"a/b/{unicodedata.normalize('NFD', NAME)}",
        f"{NAME}.stem",
    ],
)
def test_folder_of_a_song_is_found(tmp_path: Path, folder: str):
    write_stems(tmp_path / folder, stems("vocals", "no_vocals"))
    write_stems(tmp_path / "train" / "Another song", stems("vocals", "no_vocals"))
    assert EstimatesFolder(tmp_path).find(reference()).folder == tmp_path / folder


def test_case_counts_only_where_both_are_there(tmp_path: Path):
    write_stems(tmp_path / "x" / NAME.lower(), stems("vocals", "no_vocals"))
    assert EstimatesFolder(tmp_path).find(reference()).folder.name == NAME.lower()
    write_stems(tmp_path / "x" / NAME, stems("vocals", "no_vocals"))
    if len(list((tmp_path / "x").iterdir())) == 2:  # elsewhere case never counts
        assert EstimatesFolder(tmp_path).find(reference()).folder.name == NAME


def test_song_in_folders_within_folders(tmp_path: Path):
    for artist in ("A", "B"):
        write_stems(tmp_path / "out" / artist / "Song", stems("vocals", "no_vocals"))
    found = EstimatesFolder(tmp_path).find(reference("B/Song"))
    assert found.folder == tmp_path / "out" / "B" / "Song"


@pytest.mark.parametrize(
    "folders",
    [(NAME, f"test/{NAME}"), (f"htdemucs/{NAME}", f"mdx/{NAME}")],
    ids=["direct", "below"],
)
def test_two_folders_for_a_song_are_refused(tmp_path: Path, folders):
    for folder in folders:
        write_stems(tmp_path / folder, stems("vocals", "no_vocals"))
    with pytest.raises(DataError, match="more than one folder") as caught:
        EstimatesFolder(tmp_path).find(reference())
    assert all(str(tmp_path / folder) in str(caught.value) for folder in folders)


def test_missing_folders_are_named(tmp_path: Path):
    with pytest.raises(DataError, match="no folder called 'Àrtist"):
        EstimatesFolder(tmp_path).find(reference())
    with pytest.raises(DataError, match="there is no such folder"):
        EstimatesFolder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="this is a file"):
        EstimatesFolder(tmp_path / "file")


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (STEREO, 48000, "vocals.wav is at 48000 Hz, but the song at 44100 Hz"),
        (STEREO[:1], 44100, "vocals.wav has 1 channel, but the song 2 channels"),
    ],
)
def test_nothing_is_resampled_or_mixed(tmp_path: Path, audio, rate: int, message: str):
    write_stems(tmp_path / NAME, {"vocals": audio, "no_vocals": audio}, rate)
    with pytest.raises(DataError, match=message):
        EstimatesFolder(tmp_path).estimates(reference(), AUDIO)


def test_stems_of_unequal_length_are_not_summed(tmp_path: Path):
    parts = stems("vocals", "drums", "bass", "other")
    write_stems(tmp_path / NAME, parts | {"bass": parts["bass"][:, 1:]})
    with pytest.raises(DataError, match="last 50, 49, 50 samples"):
        EstimatesFolder(tmp_path).estimates(reference(), AUDIO)


def test_damaged_file_is_named(tmp_path: Path):
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals"))
    (tmp_path / NAME / "vocals.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioFileError, match=r"vocals\.wav"):
        EstimatesFolder(tmp_path).estimates(reference(), AUDIO)


def test_settings_change_with_the_content_of_files_alone(tmp_path: Path):
    for system in ("one", "two"):
        write_stems(tmp_path / system / NAME, stems("vocals", "no_vocals"))
        (tmp_path / system / NAME / "._vocals.wav").touch()
        for file in (tmp_path / system / NAME).iterdir():
            os.utime(file, ns=(1, 1))
    one, two = EstimatesFolder(tmp_path / "one"), EstimatesFolder(tmp_path / "two")
    before = one.settings(reference())
    assert two.settings(reference()) == before
    # Of the same size and time, as out of an archive made to be reproducible.
    changed = tmp_path / "two" / NAME / "vocals.wav"
    soundfile.write(changed, STEREO.T / 3, 44100, subtype="FLOAT")
    os.utime(changed, ns=(1, 1))
    assert two.settings(reference()) != before
    (tmp_path / "one" / NAME / "no_vocals.wav").rename(tmp_path / "one" / NAME / "karaoke.wav")
    os.utime(tmp_path / "one" / NAME / "vocals.wav")
    assert one.settings(reference()) == before
    (tmp_path / "one" / NAME / "take 7.wav").touch()
    assert one.settings(reference()) != before


def test_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals"))
    system = EstimatesFolder(tmp_path)
    before = system.settings(reference())

    def refuse(*_):
        raise AssertionError("hashed again")

    monkeypatch.setattr("hashlib.file_digest", refuse)
    # Also in worker processes.
    for same in (system, pickle.loads(pickle.dumps(system))):
        assert same.settings(reference()) == before


def test_name_is_that_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my system").mkdir()
    monkeypatch.chdir(tmp_path / "my system")
    assert EstimatesFolder(Path()).name == "my system"
