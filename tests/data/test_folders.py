"""Finding songs in folders; nothing is decoded, so the files are empty."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.data.folders import (
    find_recordings,
    require_songs,
    scan_folder,
    stem_at_end,
    stem_in_folder,
)
from songsplit.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Make a folder "music" with empty files."""

    def make(*names):
        for name in names:
            path = tmp_path / "music" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "music"

    return make


def find_songs(root, source):
    return require_songs(root, scan_folder(root, source))


def found(root):
    """Stems of each song, with the names of their files."""
    return {
        song.name: {stem: [part.path.name for part in parts] for stem, parts in song.stems.items()}
        | ({"mixture": [song.mixture.path.name]} if song.mixture else {})
        for song in find_songs(root, "mine")
    }


def problems(root, severity):
    scan = scan_folder(root, "mine")
    return {p.path.name: p.text for p in scan.problems if p.severity == severity}


def test_a_folder_for_each_song_at_any_depth(folder):
    root = folder(
        "b/vocals.wav", "b/instrumental.wav",
        "pop/a/Vox.FLAC", "pop/a/DRUMS.flac", "pop/a/bass.flac", "pop/a/guitar.flac",
        "c/mixture.wav", "c/vocals.wav", "c/notes.txt",
    )  # fmt: skip
    assert found(root) == {
        "b": {"vocals": ["vocals.wav"], "instrumental": ["instrumental.wav"]},
        "c": {"vocals": ["vocals.wav"], "mixture": ["mixture.wav"]},
        "pop/a": {
            "vocals": ["Vox.FLAC"],
            "drums": ["DRUMS.flac"],
            "bass": ["bass.flac"],
            "other": ["guitar.flac"],
        },
    }
    songs = find_songs(root, "mine")
    assert [song.name for song in songs] == ["b", "c", "pop/a"]
    assert {(song.source, song.split) for song in songs} == {("mine", "train")}
    assert songs[1].subtracts
    assert len(songs[1].parts) == 2
    assert not scan_folder(root, "mine").problems


def test_flat_files_are_grouped_by_what_precedes_the_stem(folder):
    root = folder(
        "Song A_vocals.wav", "Song A - instrumental.flac",
        "Song B (Drums).wav", "Song B (Lead Vocals).wav", "Song B [bass].wav", "Song B.wav",
        "01_vocals.wav", "01_karaoke.wav", "02_vocals.wav", "02_mix.wav",
        "Don't Stop (feat. X) - no vocals.mp3", "Don't Stop (feat. X) - Acapella.mp3",
        "1_Bass Song_(Vocals)_model.wav", "1_Bass Song_(Instrumental)_model.wav",
    )  # fmt: skip
    assert found(root) == {
        "01": {"vocals": ["01_vocals.wav"], "instrumental": ["01_karaoke.wav"]},
        "02": {"vocals": ["02_vocals.wav"], "mixture": ["02_mix.wav"]},
        "Don't Stop (feat. X)": {
            "vocals": ["Don't Stop (feat. X) - Acapella.mp3"],
            "instrumental": ["Don't Stop (feat. X) - no vocals.mp3"],
        },
        "1_Bass Song": {
            "vocals": ["1_Bass Song_(Vocals)_model.wav"],
            "instrumental": ["1_Bass Song_(Instrumental)_model.wav"],
        },
        "Song A": {
            "vocals": ["Song A_vocals.wav"],
            "instrumental": ["Song A - instrumental.flac"],
        },
        "Song B": {
            "vocals": ["Song B (Lead Vocals).wav"],
            "drums": ["Song B (Drums).wav"],
            "bass": ["Song B [bass].wav"],
            "mixture": ["Song B.wav"],
        },
    }


def test_a_stray_mix_does_not_make_one_song_of_a_flat_folder(folder):
    root = folder("A_vocals.wav", "A_bass.wav", "B_vocals.wav", "B_bass.wav", "mix.wav", "demo.wav")
    assert set(found(root)) == {"A", "B"}
    assert problems(root, "warning").keys() == {"mix.wav", "demo.wav"}


def test_names_with_two_stems_are_refused(folder):
    root = folder("a/vocals.wav", "a/bass.wav", "a/drums and piano.wav", "B - vocals bass.wav")
    assert found(root)["a"] == {"vocals": ["vocals.wav"], "bass": ["bass.wav"]}
    refused = problems(root, "warning")
    assert "drums and other: rename it" in refused["drums and piano.wav"]
    assert "bass and vocals" in refused["B - vocals bass.wav"]
    assert stem_at_end("All About That Bass - Vocals").stem == "vocals"


def test_stem_files(folder):
    root = folder("train/A - B.stem.mp4", "Loud.Stem.MP4")
    first, second = find_songs(root, "mine")
    assert (first.name, second.name) == ("Loud", "train/A - B")
    streams = {stem: part.stream for stem, (part,) in second.stems.items()}
    assert streams == {"drums": 1, "bass": 2, "other": 3, "vocals": 4}
    assert second.mixture is not None
    assert second.mixture.stream == 0


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("01 vocals", "vocals"),
        ("MySong - Vocals", "vocals"),
        ("02 - MySong_LeadVox", "vocals"),
        ("Vox verse 2 dry", "vocals"),
        ("backing-vocals 3", "vocals"),
        ("A Cappella", "vocals"),
        ("Accompaniment", "instrumental"),
        ("MySong minus one", "instrumental"),
        ("MySong", "mixture"),
        ("MySong (Master)", "mixture"),
        ("04_Kick_in", "drums"),
        ("MySong drumkit", "drums"),
        ("drum mix", "drums"),
        ("Bass Guitar", "bass"),
        ("bass synth", "bass"),
        ("03 synth", "other"),
        ("MySong bass (Vocals) v2", "vocals"),
        ("Kazoo", "other"),
    ],
)
def test_names_in_the_folder_of_a_song(folder, name, stem):
    # With these files the song is complete, so that the stem of the tested file shows.
    beside = {"vocals", "drums", "bass", "other"} - {stem}
    if stem == "instrumental":
        beside = {"vocals"}
    root = folder(f"7. MySong/{name}.wav", *(f"7. MySong/{other}.wav" for other in beside))
    (stems,) = found(root).values()
    assert stems[stem] == [f"{name}.wav"]


def test_instrumental_or_separate_stems(folder):
    root = folder(
        *(f"some/{stem}.wav" for stem in ("vocals", "instrumental", "drums", "guitar")),
        *(f"all/{stem}.wav" for stem in ("vocals", "instrumental", "drums", "bass", "guitar")),
    )
    assert set(found(root)["some"]) == {"vocals", "instrumental"}
    assert set(found(root)["all"]) == {"vocals", "drums", "bass", "other"}


def test_the_same_audio_is_not_taken_twice(folder):
    root = folder(
        "a/vocals.mp3", "a/vocals.wav", "a/acapella.wav", "a/karaoke.wav", "a/instrumental.wav",
        "a/mix.wav", "a/master.wav",
    )  # fmt: skip
    assert found(root)["a"] == {
        "vocals": ["acapella.wav"],
        "instrumental": ["instrumental.wav"],
        "mixture": ["mix.wav"],
    }
    passed_over = problems(root, "warning")
    assert "vocals.wav taken instead" in passed_over["vocals.mp3"]
    assert passed_over.keys() == {"vocals.mp3", "vocals.wav", "karaoke.wav", "master.wav"}


def test_incomplete_songs_are_passed_over(folder):
    root = folder(
        "good/vocals.wav", "good/mix.wav",
        "alone/vocals.wav",
        "instrumental/drums.wav", "instrumental/bass.wav", "instrumental/mixture.wav",
        "C - vocals.wav",
    )  # fmt: skip
    assert set(found(root)) == {"good"}
    errors = problems(root, "error")
    assert errors.keys() == {"alone", "instrumental", "C"}
    assert "vocals alone" in errors["alone"]
    assert "no vocals" in errors["instrumental"]


def test_moisesdb_has_a_folder_for_each_stem(folder):
    stems = ("vocals/1", "vocals/2", "drums/3", "percussion/4", "bass/5", "wind/6", "other_keys/7")
    root = folder("v0.1/one/data.json", *(f"v0.1/one/{stem}.wav" for stem in stems))
    assert found(root) == {
        "v0.1/one": {
            "vocals": ["1.wav", "2.wav"],
            "drums": ["3.wav", "4.wav"],
            "bass": ["5.wav"],
            "other": ["7.wav", "6.wav"],
        }
    }
    assert not scan_folder(root, "mine").problems
    # Without data.json, the folders may hold recordings of several songs.
    (root / "v0.1/one/data.json").unlink()
    with pytest.raises(DataError, match=r"no songs found .*: expected a folder for each song"):
        find_songs(root, "mine")


def test_two_songs_of_one_name(folder):
    root = folder("A.stem.mp4", "A - vocals.wav", "A - drums.wav")
    assert len(scan_folder(root, "mine").songs) == 1
    (text,) = problems(root, "error").values()
    assert "another song 'A'" in text


def test_hidden_files_are_ignored_but_not_titles_with_dots(folder):
    root = folder(
        "a/vocals.wav", "a/bass.wav", "a/._drums.wav", ".trash/b/vocals.wav", ".trash/b/mix.wav",
        "__MACOSX/a/._vocals.wav", "__MACOSX/a/._bass.wav",
        "...Baby One More Time - vocals.wav", "...Baby One More Time - bass.wav",
    )  # fmt: skip
    title = "...Baby One More Time"
    assert found(root) == {
        "a": {"vocals": ["vocals.wav"], "bass": ["bass.wav"]},
        title: {"vocals": [f"{title} - vocals.wav"], "bass": [f"{title} - bass.wav"]},
    }
    assert not scan_folder(root, "mine").problems


def test_names_of_songs(folder):
    assert set(found(folder("vocals.wav", "music_bass.wav"))) == {"music"}
    # Names do not depend on the Unicode form of the system.
    name = unicodedata.normalize("NFD", "Café")
    assert set(found(folder(f"{name}/vocals.wav", f"{name}/mix.wav"))) == {"music", "Café"}


def test_links_that_lead_in_circles(folder):
    root = folder("a/vocals.wav", "a/bass.wav")
    (root / "a" / "again").symlink_to(root)
    assert set(found(root)) == {"a"}


def test_nothing_found(folder, tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        find_songs(tmp_path / "nowhere", "mine")
    root = folder("readme.txt", "alone/vocals.wav")
    with pytest.raises(DataError, match=r"music: no songs found .*alone.*expected a folder for"):
        find_songs(root, "mine")
    with pytest.raises(DataError, match="this is a file"):
        find_songs(root / "readme.txt", "mine")


def test_recordings(folder, tmp_path):
    root = folder("x/2.mp3", "1.wav", "x/._1.wav", "list.csv")
    songs = find_recordings(root, "singers", "vocals").songs
    assert [(song.name, song.split) for song in songs] == [("1.wav", "train"), ("x/2.mp3", "train")]
    assert set(songs[0].stems) == {"vocals"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no audio files found: expected recordings of voc"):
        find_recordings(tmp_path / "empty", "singers", "vocals")
    folder("song.stem.mp4")
    (problem,) = find_recordings(root, "backing", "instrumental").problems
    assert (problem.path.name, problem.severity) == ("song.stem.mp4", "error")


@pytest.mark.parametrize(
    ("text", "stem", "song"),
    [
        ("Song - no_vocals", "instrumental", "Song"),
        ("a_song_no_vocals", "instrumental", "a_song"),
        ("01 Without_Vox", "instrumental", "01"),
        ("I Said No_vocals", "vocals", "I Said No"),
        ("I Said No - vocals", "vocals", "I Said No"),
        ("Song - off vocal", "instrumental", "Song"),
    ],
)
def test_a_track_without_vocals_is_an_instrumental(text, stem, song):
    found = stem_at_end(text)
    assert (found.stem, found.song) == (stem, song)


@pytest.mark.parametrize(
    ("name", "at_end", "in_folder"),
    [
        ("Song_(Instrumental)_Kim_Vocal_2", "instrumental", "instrumental"),
        ("Song_(Vocals)_UVR-MDX-NET-Inst_HQ_3", "vocals", "vocals"),
        ("Song_(Vocals)_vocals_mel_band_roformer", "vocals", "vocals"),
        ("Song_(Vocals)_m_(Lead Vocals)_n", "vocals", "vocals"),
        ("1_Song [bass]_(No Vocals)", None, None),
        ("Song_(Vocals)_m_(Instrumental)_n", None, None),  # of vocals that were separated again
        ("Song (Original Mix)_(Drums)_htdemucs", "drums", "drums"),
        ("Song (Piano)_(Vocals)_m", None, None),
        ("Song_Instrumental_Kim_Vocal_2", "vocals", None),  # the vocals of "Song_Instrumental_Kim"
        ("Song_instrumental_vocals_mel_band_roformer", None, None),
        ("Song_vocals_split_by_lalalai", None, "vocals"),
    ],
)
def test_names_by_programs_that_separate(name, at_end, in_folder):
    found = stem_at_end(name), stem_in_folder(name, "Song")
    assert [None if stem is None else stem.stem for stem in found] == [at_end, in_folder]


def test_a_title_in_brackets_does_not_count():
    assert stem_in_folder("02 Song (Piano)_(Vocals)_m", "Song (Piano)").stem == "vocals"
    assert stem_in_folder("Song (Piano)", "Song (Piano)").stem == "mixture"


@settings(max_examples=50)
@given(st.text(), st.text())
def test_any_name_is_understood_or_refused(text, folder):
    at_end = stem_at_end(text)
    if at_end is not None:
        assert unicodedata.normalize("NFC", text).startswith(at_end.song)
    in_folder = stem_in_folder(text, folder)
    assert in_folder is None or in_folder.stem in ("mixture", "vocals", "instrumental", "drums",
                                                   "bass", "other")  # fmt: skip
