from __future__ import annotations

from pathlib import Path

import pytest

from songsplit.batch.inputs import Song, find_songs
from songsplit.errors import AudioFileError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        *("b.mp3", "a.FLAC", "sub/c.wav", "sub/deep er/d ♫.ogg", "film.mkv"),
        *("cover.jpg", "notes.txt", ".hidden.mp3", ".git/e.wav", "sub/._c.wav"),
    ):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "music"


def names(songs: list[Song], folder: Path) -> list[str]:
    return [song.path.relative_to(folder).as_posix() for song in songs if song.path]


def test_folders_are_searched_with_all_they_hold(folder: Path) -> None:
    songs = find_songs([str(folder)])
    assert names(songs, folder) == [
        "a.FLAC",
        "b.mp3",
        "film.mkv",
        "sub/c.wav",
        "sub/deep er/d ♫.ogg",
    ]
    assert [song.below.as_posix() for song in songs] == [".", ".", ".", "sub", "sub/deep er"]


def test_a_pattern_chooses_in_folders_only(folder: Path) -> None:
    songs = find_songs([str(folder), str(folder / "b.mp3")], glob="*.wav")
    assert names(songs, folder) == ["sub/c.wav", "b.mp3"]


def test_files_come_in_the_order_they_are_named_and_once(folder: Path) -> None:
    (folder / "link.mp3").symlink_to(folder / "b.mp3")
    given = ["b.mp3", "sub/../a.FLAC", "b.mp3", "a.FLAC", "link.mp3"]
    songs = find_songs([str(folder / name) for name in given])
    assert names(songs, folder) == ["b.mp3", "sub/../a.FLAC"]


def test_standard_input_and_what_is_not_there() -> None:
    songs = find_songs(["-", "missing.wav", "./-"])
    assert [song.path for song in songs] == [None, Path("missing.wav"), Path("-")]
    assert [song.name for song in songs] == ["stdin", "missing", "-"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u", "#EXTM3U\n#EXTINF:1,d\nb.mp3\n\nsub/deep er/d ♫.ogg\n".encode()),
        ("list.m3u8", "\ufeffb.mp3\r\nsub\\deep er\\d ♫.ogg\r\n".encode()),
        ("list.txt", "b.mp3\nsub/deep er/d ♫.ogg".encode("utf-16")),
        ("list.pls", "[playlist]\nFile1=b.mp3\nTitle1=x\nFile2=sub/deep er/d ♫.ogg\n".encode()),
    ],
)
def test_playlists(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert names(find_songs([str(folder / name)]), folder) == ["b.mp3", "sub/deep er/d ♫.ogg"]


def test_old_playlists_in_another_encoding(folder: Path) -> None:
    (folder / "list.m3u").write_bytes("café.mp3\n".encode("cp1252"))
    assert names(find_songs([str(folder / "list.m3u")]), folder) == ["café.mp3"]


def test_what_cannot_be_listed_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (folder / "web.m3u").write_text("https://example.org/a.mp3\n")
    (folder / "binary.txt").write_bytes(bytes(100))
    for name, reason in (
        (tmp_path / "empty", "no audio files"),
        (folder / "web.m3u", "downloads nothing"),
        (folder / "binary.txt", "no list"),
    ):
        with pytest.raises(AudioFileError, match=reason) as raised:
            find_songs([str(name)])
        assert str(name) in str(raised.value)
    with pytest.raises(AudioFileError, match=r"no files that match '\*\.aac'"):
        find_songs([str(folder)], glob="*.aac")
