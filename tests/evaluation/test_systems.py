"""Stems of other systems are found in their folders and identified by their names."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from songsplit.data.songs import Song
from songsplit.errors import DataError
from songsplit.evaluation.references import ReferenceSong, SongAudio, stems_as_targets
from songsplit.evaluation.systems import EstimatesFolder
from songsplit.evaluation.track_scores import FIVE_TARGETS, TWO_TARGETS

from .conftest import write_stems

NAME = "Àrtist [1] - Ébb"
FOUR = ("vocals", "drums", "bass", "other")
STEREO = np.ones((2, 50), dtype=np.float32)
# Different from all estimates below.
REFERENCE = 0.3 * STEREO * (-1) ** np.arange(50)
AUDIO = SongAudio(STEREO, dict.fromkeys(TWO_TARGETS, REFERENCE), 44100)
SONG = ReferenceSong(Song(NAME, "references", "train", {}))


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
        ("{0} - vocals", "{0} - instrumental"),
        ("{0}/{0} - vocals", "{0}/{0} - instrumental"),
        # As audio-separator names its output: the word in brackets is the stem.
        ("{0}_(Vocals)_UVR_Kim_Vocal_2", "{0}_(Instrumental)_UVR_Kim_Vocal_2"),
        ("{0}/{0}_(Vocals)_UVR_Kim_Vocal_2", "{0}/{0}_(Instrumental)_UVR_Kim_Vocal_2"),
        # As in MoisesDB.
        ("{0}/vocals/part", "{0}/instrumental/part"),
        ("vocals/{0}", "instrumental/{0}"),
    ],
)
def test_stems_as_programs_lay_them_out(tmp_path: Path, vocals: str, backing: str):
    for song in (NAME, "Another song"):
        for path, audio in stems(vocals.format(song), backing.format(song)).items():
            write_stems((tmp_path / path).parent, {Path(path).name: audio})
    folder = EstimatesFolder(tmp_path)
    assert levels(folder.estimates(SONG, AUDIO)) == {"vocals": 0.1, "accompaniment": 0.2}
    assert folder.settings(SONG)["remark"] == ""


def test_a_stem_may_be_in_several_files_of_its_folder(tmp_path: Path):
    for stem, audio in stems("vocals", "instrumental").items():
        write_stems(tmp_path / NAME / stem, {"part": audio})
    write_stems(tmp_path / NAME / "vocals", {"more": STEREO})
    write_stems(tmp_path / NAME / "wind", {"more": STEREO})
    folder = EstimatesFolder(tmp_path)
    assert levels(folder.estimates(SONG, AUDIO))["vocals"] == 1.1
    assert "names no stem: wind/more.wav" in folder.settings(SONG)["remark"]


@pytest.mark.parametrize(
    ("names", "expected", "remark"),
    [
        (FOUR, (0.1, 0.9, 0.2, 0.3, 0.4), ""),
        # The stems of a system with six stems.
        ((*FOUR, "guitar", "piano"), (0.1, 2.0, 0.2, 0.3, 1.5), ""),
        # A part is not the accompaniment.
        (("vocals", "no_vocals", "bass"), (0.1, 0.2), "bass not scored: the others are missing"),
        (("vocals", "drums", "bass"), (0.1,), "only vocals are scored"),
        # Other files are not treated as stems, and stems are not left out because of them.
        (("vocals", "no_vocals", "take 7"), (0.1, 0.2), "names no stem: take 7.wav"),
        ((*FOUR, "banjo"), (0.1,), "only vocals are scored"),
        ((*FOUR, "banjo", "accompaniment"), (0.1, 0.6), "names no stem: banjo.wav"),
    ],
)
def test_what_stems_are_there_decides_about_the_targets(tmp_path: Path, names, expected, remark):
    write_stems(tmp_path / NAME, stems(*names))
    folder = EstimatesFolder(tmp_path)
    found, said = folder.estimates(SONG, AUDIO), folder.settings(SONG)["remark"]
    assert levels(found) == dict(zip(FIVE_TARGETS, expected, strict=False))
    assert remark in said
    assert bool(remark) == bool(said)


@pytest.mark.parametrize("further", [(), ("drums", "bass", "other")])
def test_accompaniment_alone_is_scored_and_told(tmp_path: Path, further):
    write_stems(tmp_path / NAME, stems("no_vocals", *further))
    folder = EstimatesFolder(tmp_path)
    assert levels(folder.estimates(SONG, AUDIO)) == {"accompaniment": 0.1}
    assert "only the accompaniment is scored" in folder.settings(SONG)["remark"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("lead vocals", "vocals", "no_vocals"), r"lead vocals\.wav and vocals\.wav"),
        (("vocals", "no_vocals", "instrumental"), r"instrumental\.wav and no_vocals\.wav"),
        (("vocals", "kick", "snare"), r"are all named as drums: keep one file"),
        (("guitar", "piano"), r"no vocals or accompaniment .* \(found: guitar\.wav, piano\.wav\)"),
        (("drums", "bass", "other"), r"\(found: bass\.wav, drums\.wav, other\.wav\)"),
        (("mixture",), r"\(found: no stems\): name files like 'Àrtist \[1\] - Ébb/vocals\.wav'"),
    ],
)
def test_what_is_there_twice_or_missing_is_named(tmp_path: Path, names, message: str):
    write_stems(tmp_path / NAME, stems(*names))
    write_stems(tmp_path / "Another song", stems("vocals", "no_vocals"))
    with pytest.raises(DataError, match=message) as caught:
        EstimatesFolder(tmp_path).settings(SONG)
    assert NAME in str(caught.value)


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
    assert EstimatesFolder(root).find(SONG)[0]["vocals"] == [root / folder / "vocals.wav"]


def test_two_folders_for_a_song_are_refused(tmp_path: Path):
    folders = (NAME, f"test/{NAME}")
    for folder in folders:
        write_stems(tmp_path / folder, stems("vocals", "no_vocals"))
    with pytest.raises(DataError, match="more than one folder") as caught:
        EstimatesFolder(tmp_path).find(SONG)
    assert all(str(tmp_path / folder) in str(caught.value) for folder in folders)


@pytest.mark.parametrize(
    ("channels", "rate", "message"),
    [
        (2, 48000, r"2 channel\(s\) at 48000 Hz, but the song 2 channel\(s\) at 44100 Hz"),
        (1, 44100, r"vocals.wav has 1 channel\(s\) at 44100 Hz, but the song 2"),
    ],
)
def test_nothing_is_resampled_or_mixed(tmp_path: Path, channels: int, rate: int, message: str):
    write_stems(tmp_path / NAME, dict.fromkeys(("vocals", "no_vocals"), STEREO[:channels]), rate)
    with pytest.raises(DataError, match=message):
        EstimatesFolder(tmp_path).estimates(SONG, AUDIO)


@pytest.mark.parametrize("stem", ["vocals", "no_vocals"])
def test_a_stem_that_is_another_is_refused(tmp_path: Path, stem: str):
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals") | {stem: STEREO})
    name = "vocals" if stem == "vocals" else "accompaniment"
    with pytest.raises(DataError, match=f"Ébb': the file of {name} holds the mixture"):
        EstimatesFolder(tmp_path).estimates(SONG, AUDIO)
    # Both may also be exchanged.
    swapped = SongAudio(STEREO, {"vocals": 0.2 * STEREO, "accompaniment": 0.1 * STEREO}, 44100)
    write_stems(tmp_path / NAME, stems("vocals", "no_vocals"))
    with pytest.raises(DataError, match="vocals holds the accompaniment and accomp"):
        EstimatesFolder(tmp_path).estimates(SONG, swapped)
    # A system that finds no vocals may return the mixture.
    write_stems(tmp_path / NAME, {"vocals": 0 * STEREO, "no_vocals": STEREO})
    EstimatesFolder(tmp_path).estimates(SONG, AUDIO)


def test_files_with_the_words_of_two_stems_are_named(tmp_path: Path):
    for name in (f"{NAME}_vocals_Inst_3", f"{NAME}_instrumental_Kim_Vocal", f"{NAME} 2"):
        write_stems(tmp_path, stems(name))
    with pytest.raises(DataError, match=r"found: .*_instrumental_Kim_Vocal\.wav, .*Inst_3\.wav\)"):
        EstimatesFolder(tmp_path).find(SONG)


def test_parts_of_other_lengths_are_not_summed(tmp_path: Path):
    write_stems(tmp_path / NAME, stems(*FOUR) | {"piano": STEREO[:, 1:]})
    with pytest.raises(DataError, match="stems of 49 and 50 samples cannot be summed"):
        EstimatesFolder(tmp_path).estimates(SONG, AUDIO)


def test_an_instrumental_counts_more_than_parts():
    found = stems_as_targets(stems("vocals", "instrumental", "guitar"))
    assert levels(found) == {"vocals": 0.1, "accompaniment": 0.2}
