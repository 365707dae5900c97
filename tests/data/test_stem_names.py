"""Which stem a file's name says that it holds."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.data.stem_names import stem_at_end, stem_in_folder


@pytest.mark.parametrize(
    ("text", "stem", "song"),
    [
        ("Song - no_vocals", "instrumental", "Song"),
        ("a_song_no_vocals", "instrumental", "a_song"),
        ("01 Without_Vox", "instrumental", "01"),
        ("I Said No - vocals", "vocals", "I Said No"),
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
