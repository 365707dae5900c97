from __future__ import annotations

import io
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songsplit.errors import ConfigError
from songsplit.naming import (
    FIELDS,
    check_template,
    file_name,
    fill_template,
    is_plain,
    printable,
    track_name,
)


def test_fields_are_filled_in() -> None:
    values = {"track": "a", "stem": "vocals", "artist": "Jo", "title": "T"}
    assert fill_template("{artist}/{title} - {stem}", values) == Path("Jo/T - vocals")
    assert fill_template("{album}/{track}", values) == Path("unknown/a")
    assert fill_template("./{stem}", values) == Path("vocals")
    assert fill_template("{title}", {"track": "a", "title": " "}) == Path("a")
    assert fill_template("a:b/con/{stem}. ", {"stem": "vocals"}) == Path("a_b/_con/vocals")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AC/DC", "AC_DC"),
        ("...", "_"),
        ("", "_"),
        ("con", "_con"),
        ("COM1.wav", "_COM1.wav"),
        ("what?\n", "what__"),
        ("sóng ♫...", "sóng ♫"),
        ("\ud800", "_"),
        (os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe9")),
    ],
)
def test_values_become_file_names(name: str, expected: str) -> None:
    assert file_name(name) == expected


@given(st.text(), st.text(), st.text())
def test_no_value_leads_out_of_the_folder(artist: str, title: str, track: str) -> None:
    values = {"artist": artist, "title": title, "track": track, "stem": "vocals"}
    path = fill_template("{artist}/{title} {track} ({stem})", values)
    assert len(path.parts) == 2
    assert not path.is_absolute()
    for part in path.parts:
        assert part not in ("", ".", "..")
        assert len(os.fsencode(part)) <= 180
    assert path.name.endswith("(vocals)")


def test_long_names_are_shortened_and_stay_apart() -> None:
    names = {
        fill_template("{artist} - {title} ({stem})", {"artist": "é" * 300 + x, "title": "t" * 90})
        for x in "ab"
    }
    assert len(names) == 2
    for name in names:
        assert len(os.fsencode(name)) <= 180
        assert name.name.endswith("(unknown)")
        assert " - ttt" in name.name


@pytest.mark.parametrize(
    "template",
    [
        *("", ".", "/tmp/{stem}", "../{stem}", "a/../../{stem}", "{stem}/", "{year}", "{0}"),
        *("{stem", "{}", "{stem!r}", "{stem:>80}", "{stem.x}", "{stem[0]}", "{ext}"),
    ],
)
def test_impossible_templates_are_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="template"):
        check_template(template)
    with pytest.raises(ConfigError, match=r"add \{stem\}"):
        check_template("{track}", several=True)


@given(st.text(alphabet="{}/.abc!:[]\\ ", max_size=20))
def test_any_template_is_refused_or_filled(template: str) -> None:
    try:
        check_template(template)
    except ConfigError:
        return
    path = fill_template(template, dict.fromkeys(FIELDS, "x"))
    assert not path.is_absolute()
    assert ".." not in path.parts


@pytest.mark.parametrize(
    ("file", "track"),
    [
        *[("a/X - Y.stem.mp4", "X - Y"), (".stem.mp4", ".stem.mp4"), ("a.stem.wav", "a.stem")],
        *[("a/b.mp3", "b"), (Path("b.tar.gz"), "b.tar"), ("...wav", "...wav")],
        *[("<stdin>", "stdin"), (0, "song"), (None, "song"), (b"x.wav", "song")],
    ],
)
def test_songs_go_by_their_files(file: object, track: str) -> None:
    assert track_name(file) == track


def test_only_files_that_can_be_read_again_are_plain(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with (tmp_path / "a").open("rb") as file, Path(os.devnull).open("rb") as device:
        assert is_plain(file)
        assert not is_plain(device)  # although it is seekable
    assert is_plain(io.BytesIO())
    assert is_plain(tmp_path / "missing")
    assert not is_plain(Path(os.devnull))


@given(st.text())
def test_nothing_shown_steers_a_terminal(text: str) -> None:
    assert printable("Björk 歌 👩‍🚀 אב\\b.wav") == "Björk 歌 👩‍🚀 אב\\b.wav"
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in shown)
