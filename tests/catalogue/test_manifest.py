"""What names a catalogue."""

from __future__ import annotations

import pyarrow
import pytest
from pyarrow import parquet

from songsplit.catalogue.manifest import read_catalogue
from songsplit.errors import ConfigError, DataError


def test_tables_name_songs_beside_them_and_in_stores(tmp_path):
    (tmp_path / "lists").mkdir()
    table = tmp_path / "lists" / "songs.csv"
    table.write_text("id,title,uri\n007,One,a.wav\nB,Two,../b.wav\nc,Three,s3://songs/c.wav\n")
    expected = [
        (str(tmp_path / "lists" / "a.wav"), "007"),
        (str(tmp_path / "b.wav"), "B"),
        ("s3://songs/c.wav", "c"),
    ]
    assert read_catalogue(table) == expected
    rows = [{"uri": uri, "id": name} for uri, name in expected]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "songs.parquet")
    assert read_catalogue(str(tmp_path / "songs.parquet")) == expected


def test_folders_and_patterns_name_audio_files(songs):
    (songs / "cover.jpg").write_bytes(b"")
    (songs / "disc 2").mkdir()
    (songs / "song 00.wav").rename(songs / "disc 2" / "song 00.wav")
    names = ["disc 2/song 00.wav", "song 01.wav", "song 02.wav", "song 03.wav"]
    assert sorted(entry.uri for entry in read_catalogue(songs)) == [f"{songs}/{n}" for n in names]
    found = [entry.uri for entry in read_catalogue(f"{songs}/*")]
    assert found == [f"{songs}/{name}" for name in names[1:]]


def test_songs_that_stand_twice_are_one(tmp_path):
    table = tmp_path / "songs.csv"
    table.write_text("uri\na.wav\n./a.wav\nb.wav\n")
    assert len(read_catalogue(table)) == 2


def test_songs_on_the_web_are_fetched_only_if_asked(tmp_path):
    table = tmp_path / "songs.csv"
    table.write_text("uri\nhttps://example.org/a.wav\n")
    with pytest.raises(ConfigError, match="--web"):
        read_catalogue(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na.wav\n", "no column uri, only file"),
        ("uri\n", "no songs"),
        ("uri,id\na.wav,../up\n", "cannot name a folder"),
        ("uri,id\na.wav,.hidden\n", "cannot name a folder"),
        ("uri,id\na.wav,x\nb.wav,X\n", "same ID"),
        ("uri,id\na.wav,x\na.wav,y\n", "two IDs"),
        ("uri,id\na.wav\n", "not a table"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path, text, message):
    table = tmp_path / "songs.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=message) as raised:
        read_catalogue(table)
    assert str(table) in str(raised.value)
