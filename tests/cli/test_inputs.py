from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songsplit.cli.inputs import Song, find_songs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        *("b.mp3", "a.FLAC", "sub/c.wav", "sub/deep er/d ♫.ogg", "film.mkv"),
        *("cover.jpg", "notes.txt", ".git/e.wav", "sub/._c.wav"),
    ):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "music"


def songs_of(*given: object) -> list[Song]:
    songs, problems = find_songs([str(name) for name in given])
    assert not problems
    return songs


def names(songs: list[Song], folder: Path) -> list[str]:
    return [song.path.relative_to(folder).as_posix() for song in songs if song.path]


def test_folders_are_searched_with_all_they_hold(folder: Path) -> None:
    songs = songs_of(folder)
    assert names(songs, folder) == [
        "a.FLAC",
        "b.mp3",
        "film.mkv",
        "sub/c.wav",
        "sub/deep er/d ♫.ogg",
    ]
    assert [song.below.as_posix() for song in songs] == [".", ".", ".", "sub", "sub/deep er"]


def test_files_come_in_the_order_they_are_named_and_once(folder: Path) -> None:
    (folder / "link.mp3").symlink_to(folder / "b.mp3")
    given = ["b.mp3", "sub/../a.FLAC", "b.mp3", "a.FLAC", "link.mp3"]
    songs = songs_of(*(folder / name for name in given))
    assert names(songs, folder) == ["b.mp3", "sub/../a.FLAC"]


def test_standard_input_and_what_is_not_there() -> None:
    songs = songs_of("-", "missing.wav", "./-")
    assert [song.path for song in songs] == [None, Path("missing.wav"), Path("-")]
    assert [song.track for song in songs] == ["stdin", "missing", "-"]


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXTINF:1,d\nb.mp3\n\nsub/deep er/d ♫.ogg\n",
        "\ufeffb.mp3\r\nsub\\deep er\\d ♫.ogg\r\n",
        "b.mp3\nsub/deep%20er/d%20♫.ogg\nfile://localhost{folder}/sub/../b.mp3",
    ],
)
def test_playlists(folder: Path, content: str) -> None:
    (folder / "list.M3U").write_text(content.format(folder=folder), encoding="utf-8")
    assert names(songs_of(folder / "list.M3U"), folder) == ["b.mp3", "sub/deep er/d ♫.ogg"]


def test_old_playlists_in_another_encoding(folder: Path) -> None:
    (folder / "list.m3u").write_bytes("café.mp3\n".encode("cp1252"))
    assert names(songs_of(folder / "list.m3u"), folder) == ["café.mp3"]


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("My%20Song.wav", "My Song.wav"),
        ("50%20 literally.wav", "50%20 literally.wav"),
        ("50%2520%20LITERALLY.wav", "50%20 literally.wav"),
        ("caf\u00e9.ogg", "cafe\u0301.ogg"),
        ("CAFE\u0301.ogg", "cafe\u0301.ogg"),
        ("sub FOLDER\\two #1.WAV", "Sub Folder/Two #1.wav"),
        ("sub folder/../stra\u00dfe.mp3", "Sub Folder/../STRASSE.mp3"),
        ("Sub%20Folder\\Two%20%231.wav", "Sub Folder/Two #1.wav"),
        ("{folder}/Sub%20Folder/Two%20%231.wav", "Sub Folder/Two #1.wav"),
        ("file://{folder}/My%20Song.wav", "My Song.wav"),
        ("gone%20song.wav", "gone%20song.wav"),
    ],
)
def test_names_as_other_programs_and_systems_write_them(folder: Path, entry, name) -> None:
    for path in ("My Song.wav", "Sub Folder/Two #1.wav", "50%20 literally.wav", "STRASSE.mp3"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    (folder / "cafe\u0301.ogg").touch()
    (folder / "list.m3u8").write_text(entry.format(folder=folder), encoding="utf-8")
    assert [song.path for song in songs_of(folder / "list.m3u8")] == [folder / name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_bad_entry_leaves_the_songs_after_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe.wav")
    for entry, reason in (
        ("/", "a folder"),
        ("file://[bad", "cannot be read"),
        ("file://nas/a.mp3", "another machine"),
        ("http://radio.example/x", "does not download"),
        ("pipe.wav", "a pipe or a device"),
    ):
        (folder / "list.m3u").write_text(f"a.FLAC\n{entry}\nb.mp3\n")
        songs, [(_, error)] = find_songs([str(folder / "list.m3u")])
        assert names(songs, folder) == ["a.FLAC", "b.mp3"], entry
        assert entry[:20] in str(error)
        assert reason in str(error)


def test_what_cannot_be_listed_is_named_and_the_rest_is_found(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (folder / "binary.m3u").write_bytes(bytes(100))
    (folder / "none.m3u").write_text("#EXTM3U\n")
    (folder / "lyrics.txt").write_text("b.mp3\n")
    (folder / "list.pls").write_text("b.mp3\n")
    for name, reason in (
        (folder / "lyrics.txt", ".m3u or .m3u8"),
        (folder / "list.pls", ".m3u or .m3u8"),
        ("www.youtube.com/watch?v=x", "does not download"),
        ("", "name of a song is empty"),
        ("https://example.org/song.mp3", "does not download"),
        ("x" * 5000, "cannot be read"),
        (tmp_path / "empty", "no audio files"),
        (folder / "binary.m3u", "not a list"),
        (folder / "none.m3u", "the list is empty"),
    ):
        songs, [(named, error)] = find_songs([str(name), str(folder / "b.mp3")])
        assert names(songs, folder) == ["b.mp3"]
        assert named == str(name)
        assert str(name) in str(error)
        assert reason in str(error)


def test_several_folders_keep_their_names(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.mp3").touch()
    songs = songs_of(folder, tmp_path / "more")
    assert {song.below.as_posix() for song in songs} == {
        *("music", "music/sub", "music/sub/deep er", "more")
    }


@given(st.binary(max_size=200))
def test_no_list_breaks_it(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list.m3u")
        path.write_bytes(content)
        songs, problems = find_songs([str(path)])
    assert songs or problems
