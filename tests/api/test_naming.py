from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songsplit.errors import ConfigError
from songsplit.naming import check_template, file_name, fill_template


def test_fields_are_filled_in():
    values = {"song": "a", "stem": "vocals", "artist": "Jo", "title": "T"}
    assert fill_template("{artist}/{title} - {stem}", values) == Path("Jo/T - vocals")
    assert fill_template("{album}/{song}", values) == Path("unknown/a")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AC/DC", "AC_DC"),
        ("...", "_"),
        ("..", "_"),
        ("", "_"),
        ("con", "_con"),
        ("COM1.wav", "_COM1.wav"),
        ("what?\n", "what__"),
        ("dots...", "dots"),
        ("sóng ♫", "sóng ♫"),
        ("-o", "-o"),
    ],
)
def test_values_become_file_names(name, expected):
    assert file_name(name) == expected


@given(st.text(), st.text())
def test_no_value_leads_out_of_the_folder(artist, title):
    path = fill_template("{artist}/{title}", {"artist": artist, "title": title})
    assert len(path.parts) == 2
    assert not path.is_absolute()
    for part in path.parts:
        assert part not in ("", ".", "..")
        assert len(part.encode("utf-8", "surrogatepass")) <= 180


@pytest.mark.parametrize(
    "template", ["", "/tmp/{stem}", "../{stem}", "a/../../{stem}", "{year}", "{0}", "{stem", "{}"]
)
def test_impossible_templates_are_refused(template):
    with pytest.raises(ConfigError, match="template"):
        check_template(template)
