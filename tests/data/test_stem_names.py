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
        ("I Said No_vocals", "vocals", "I Said No"),
        ("I Said No - vocals", "vocals", "I Said No"),
    ],
)
def test_a_track_without_vocals_is_an_instrumental(text, stem, song):
    found = stem_at_end(text)
    assert (found.stem, found.song) == (stem, song)


@settings(max_examples=50)
@given(st.text(), st.text())
def test_any_name_is_understood_or_refused(text, folder):
    at_end = stem_at_end(text)
    if at_end is not None:
        assert unicodedata.normalize("NFC", text).startswith(at_end.song)
    in_folder = stem_in_folder(text, folder)
    assert in_folder is None or in_folder.stem in ("mixture", "vocals", "instrumental", "drums",
                                                   "bass", "other")  # fmt: skip
