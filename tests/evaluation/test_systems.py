from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit.errors import DataError
from songsplit.evaluation.references import ReferenceSong, SongAudio, stems_as_targets
from songsplit.evaluation.systems import EstimatesFolder
from songsplit.evaluation.track_scores import FIVE_TARGETS, TWO_TARGETS

from .conftest import write_stems

NAME = "Àrtist [1] - Ébb"
FOUR = ("vocals", "drums", "bass", "other")
STEREO = np.ones((2, 50), dtype=np.float32)


def reference(name: str = NAME, subset: str = "test") -> ReferenceSong:
    def read() -> SongAudio:
        raise AssertionError("nobody needs the references")

    return ReferenceSong(name, subset, (), read)


# Unlike all estimates that are made here.
REFERENCE = 0.3 * STEREO * (-1) ** np.arange(50)
AUDIO = SongAudio(STEREO, dict.fromkeys(TWO_TARGETS, REFERENCE), 44100)


def stems(*names: str) -> dict[str, np.ndarray]:
    """Levels 0.1, 0.2, ... in order."""
    return {name: STEREO * np.float32((index + 1) / 10) for index, name in enumerate(names)}


def levels(estimates: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {target: round(float(audio[0, 0]), 5) for target, audio in estimates.items()}


@pytest.mark.parametrize(
    ("vocals", "backing"),
    [
        # Spleeter, Demucs and songsplit.
        ("{0}/vocals", "{0}/accompaniment"),
        ("{0}/vocals", "{0}/no_vocals"),
        ("{0}/vocals", "{0}/instrumental"),
        ("{0} - vocals", "{0} - instrumental"),
        ("{0}/{0} - vocals", "{0}/{0} - instrumental"),
        ("{0}_(Vocals)", "{0}_(Instrumental)"),
        # As audio-separator names its output: the word in brackets is the stem.
        ("{0}_(Vocals)_UVR_Kim_Vocal_2", "{0}_(Instrumental)_UVR_Kim_Vocal_2"),
        ("{0}/{0}_(Vocals)_UVR_Kim_Vocal_2", "{0}/{0}_(Instrumental)_UVR_Kim_Vocal_2"),
        ("{0}/vocals/part", "{0}/instrumental/part"),
        ("vocals/{0}", "instrumental/{0}"),
    ],
)
def test_stems_as_programs_lay_them_out(tmp_path: Path, vocals: str, backing: str):
    for song in (NAME, "Another song"):
        for path, audio in stems(vocals.format(song), backing.format(song)).items():
            write_stems((tmp_path / path).parent, {Path(path).name: audio})
    found, remark = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert levels(found) == {"vocals": 0.1, "accompaniment": 0.2}
    assert remark == ""
    with pytest.raises(DataError, match=r"no stems of 'Third': .* 'Third - vocals\.wav'"):
        EstimatesFolder(tmp_path).find(reference("Third"))


def test_a_stem_may_be_in_several_files_of_its_folder(tmp_path: Path):
    # As in MoisesDB.
    for stem, audio in stems("vocals", "instrumental").items():
        write_stems(tmp_path / NAME / stem, {"part": audio})
    write_stems(tmp_path / NAME / "vocals", {"more": STEREO})
    write_stems(tmp_path / NAME / "wind", {"more": STEREO})
    found, remark = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert levels(found)["vocals"] == 1.1
    assert "no stem is named: wind/more.wav" in remark


@pytest.mark.parametrize(
    ("names", "expected", "remark"),
    [
        (FOUR, (0.1, 0.9, 0.2, 0.3, 0.4), ""),
        # As of a system with six stems.
        ((*FOUR, "guitar", "piano"), (0.1, 2.0, 0.2, 0.3, 1.5), ""),
        (("vocals", "no_vocals", "bass"), (0.1, 0.2), "bass not scored: the others are missing"),
        # Nothing is taken for a stem, or left out of a sum, only because it lies there.
        (("vocals", "no_vocals", "take 7"), (0.1, 0.2), "no stem is named: take 7.wav"),
        ((*FOUR, "banjo"), (0.1,), "vocals alone are scored"),
        ((*FOUR, "banjo", "accompaniment"), (0.1, 0.6), "no stem is named: banjo.wav"),
    ],
)
def test_what_stems_are_there_decides_about_the_targets(tmp_path: Path, names, expected, remark):
    write_stems(tmp_path / NAME, stems(*names))
    found, said = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert levels(found) == dict(zip(FIVE_TARGETS, expected, strict=False))
    assert remark in said
    assert bool(remark) == bool(said)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("lead vocals", "vocals", "no_vocals"), r"lead vocals\.wav and vocals\.wav"),
        (("vocals", "no_vocals", "instrumental"), r"instrumental\.wav and no_vocals\.wav"),
        (("vocals", "kick", "snare"), r"are all taken for drums: leave one file"),
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
    found, remark = EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    assert tuple(found) == ("accompaniment",)
    assert "the accompaniment alone is scored" in remark


@pytest.mark.parametrize(
    "folder",
    [
        NAME,
        f"test/{NAME}",
        f"htdemucs/{NAME}",
        f"a/b/{unicodedata.normalize('NFD', NAME)}",
        f"{NAME}.stem",
        ".",
    ],
)
def test_folder_of_a_song_is_found(tmp_path: Path, folder: str):
    root = tmp_path / (NAME if folder == "." else "peer")
    write_stems(root / folder, stems("vocals", "no_vocals"))
    write_stems(tmp_path / "train" / "Another song", stems("vocals", "no_vocals"))
    assert EstimatesFolder(root).find(reference())[0]["vocals"][0].parent == root / folder


def test_two_folders_for_a_song_are_refused(tmp_path: Path):
    folders = (NAME, f"test/{NAME}")
    for folder in folders:
        write_stems(tmp_path / folder, stems("vocals", "no_vocals"))
    with pytest.raises(DataError, match="more than one folder") as caught:
        EstimatesFolder(tmp_path).find(reference())
    assert all(str(tmp_path / folder) in str(caught.value) for folder in folders)


def test_missing_folders_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=f"files like '{re.escape(NAME)}/vocals.wav'"):
        EstimatesFolder(tmp_path).find(reference())
    with pytest.raises(DataError, match="there is no such folder"):
        EstimatesFolder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="this is a file"):
        EstimatesFolder(tmp_path / "file")


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (
            STEREO,
            48000,
            r"vocals.wav has 2 channel\(s\) at 48000 Hz, but the song 2 channel\(s\) at 44100 Hz",
        ),
        (STEREO[:1], 44100, r"vocals.wav has 1 channel\(s\) at 44100 Hz, but the song 2"),
    ],
)
def test_nothing_is_resampled_or_mixed(tmp_path: Path, audio, rate: int, message: str):
    write_stems(tmp_path / NAME, {"vocals": audio, "no_vocals": audio}, rate)
    with pytest.raises(DataError, match=message):
        EstimatesFolder(tmp_path).estimates(reference(), AUDIO)


def test_settings_change_with_the_content_of_files_alone(tmp_path: Path):
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals"))
    before = EstimatesFolder(tmp_path).settings(reference())
    (tmp_path / NAME / "no_vocals.wav").rename(tmp_path / NAME / "karaoke.wav")
    os.utime(tmp_path / NAME / "vocals.wav", ns=(1, 1))
    assert EstimatesFolder(tmp_path).settings(reference()) == before
    # Of the same size and time, as out of an archive made to be reproducible.
    soundfile.write(tmp_path / NAME / "vocals.wav", STEREO.T / 3, 44100, subtype="FLOAT")
    os.utime(tmp_path / NAME / "vocals.wav", ns=(1, 1))
    assert EstimatesFolder(tmp_path).settings(reference()) != before


@pytest.mark.parametrize("stem", ["vocals", "no_vocals"])
def test_a_stem_that_is_another_is_refused(tmp_path: Path, stem: str):
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals") | {stem: STEREO})
    name = "vocals" if stem == "vocals" else "accompaniment"
    with pytest.raises(DataError, match=f"Ébb': the file of {name} holds the mixture"):
        EstimatesFolder(tmp_path).estimates(reference(), AUDIO)
    # One can also be the other.
    audio = SongAudio(STEREO, {"vocals": 0.2 * STEREO, "accompaniment": 0.1 * STEREO}, 44100)
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals"))
    with pytest.raises(DataError, match="vocals holds the accompaniment and accomp"):
        EstimatesFolder(tmp_path).estimates(reference(), audio)
    # A system that finds no vocals is right to leave the mixture as it is.
    write_stems(tmp_path / NAME, {"vocals": 0 * STEREO, "no_vocals": STEREO})
    EstimatesFolder(tmp_path).estimates(reference(), AUDIO)


def test_files_with_the_words_of_two_stems_are_named(tmp_path: Path):
    for name in (f"{NAME}_vocals_Inst_3", f"{NAME}_instrumental_Kim_Vocal", f"{NAME} 2"):
        write_stems(tmp_path, stems(name))
    with pytest.raises(DataError, match=r"found: .*_instrumental_Kim_Vocal\.wav, .*Inst_3\.wav\)"):
        EstimatesFolder(tmp_path).find(reference())


def test_stems_of_models_as_targets():
    parts = stems("vocals", "drums", "bass", "other")
    assert levels(stems_as_targets(parts))["accompaniment"] == 0.9
    assert set(stems_as_targets(parts)) == set(FIVE_TARGETS)
    with_instrumental = stems_as_targets(stems("vocals", "instrumental", "guitar"))
    assert levels(with_instrumental) == {"vocals": 0.1, "accompaniment": 0.2}
