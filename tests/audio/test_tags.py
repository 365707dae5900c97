from __future__ import annotations

import struct
import zlib
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.apev2 import BINARY, APEv2, APEValue
from mutagen.asf import ASFByteArrayAttribute
from mutagen.id3 import APIC, ID3

from songsplit.audio import OutputFormat, StemFilesWriter, read_audio
from songsplit.audio import tags as tags_module
from songsplit.audio.formats import FORMATS
from songsplit.audio.tags import Cover, Tags, read_tags
from tests.zoo.encoding import KINDS, RATE, ffmpeg_bytes, song, song_bytes

FIELDS = {
    "title": ["Lithium"],
    "artist": ["Jo ♫", "Ann"],
    "album": ["Everything"],
    "albumartist": ["Various"],
    "date": ["2016"],
    "genre": ["Pop"],
    "composer": ["Ann"],
    "tracknumber": ["3/12"],
    "discnumber": ["1/2"],
    "copyright": ["CC0"],
    "bpm": ["128"],
}
COVER = Cover(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20, "image/jpeg")


def write_tags(path: Path, name: str, tags: Tags) -> None:
    with path.open("rb+") as file:
        tags_module.write_tags(file, name, tags)  # type: ignore[arg-type]


@pytest.fixture(params=FORMATS)
def file(request, tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / f"song.{request.param}"
    with StemFilesWriter({"a": path}, RATE, 2, output=OutputFormat(request.param)) as writer:
        writer.write({"a": song()})
    return path, request.param


def test_tags_come_through_every_format(file: tuple[Path, str]) -> None:
    path, name = file
    before, _ = read_audio(path)
    write_tags(path, name, Tags(FIELDS, COVER))
    assert read_tags(path) == Tags(FIELDS, COVER)
    with path.open("rb") as opened:
        assert read_tags(opened) == Tags(FIELDS, COVER)
    np.testing.assert_array_equal(read_audio(path)[0], before)


@pytest.mark.parametrize("kind", KINDS)
def test_files_without_tags_have_none(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "song"
    path.write_bytes(song_bytes(kind))
    assert not read_tags(path).fields.get("title")


def test_the_front_cover_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(song_bytes("mp3"))
    tags = ID3()
    tags.add(APIC(encoding=3, mime="image/png", type=4, desc="back", data=b"\x89PNGback"))
    tags.add(APIC(encoding=3, mime="image/jpg", type=3, desc="front", data=COVER.data))
    tags.save(path)
    assert read_tags(path).cover == COVER


def test_old_genres_and_years_and_several_artists(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    frames = frame(b"TYER", b"\0001999") + frame(b"TCON", b"\0(17)") + frame(b"TPE1", b"\0Jo\0Ann")
    path.write_bytes(id3(frames, 3) + song_bytes("mp3"))
    expected = {"date": ["1999"], "genre": ["Rock"], "artist": ["Jo", "Ann"]}
    assert read_tags(path) == Tags(expected)


@pytest.mark.parametrize(
    "content", [b"", b"ID3\x04\x00\x00\x00\x00\x0f\x7f" + b"\x00" * 40, b"fLaC"]
)
def test_damaged_tags_are_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    assert read_tags(path) == Tags()
    assert read_tags(tmp_path / "missing.mp3") == Tags()


def test_what_m4a_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    path.write_bytes(song_bytes("front.m4a"))
    odd = {"tracknumber": ["A3"], "discnumber": ["99999999/5"], "bpm": ["97.5"], "genre": []}
    with pytest.raises(ValueError, match="only JPEG and PNG"):
        write_tags(path, "m4a", Tags({**odd, "title": ["x\udce9"]}, Cover(b"RIFF", "image/webp")))
    assert read_tags(path) == Tags({"bpm": ["97"], "title": ["x?"]})


def test_tags_of_wma(tmp_path: Path) -> None:
    path = tmp_path / "song.wma"
    path.write_bytes(song_bytes("wma"))
    file = mutagen.File(path)
    file["Title"], file["WM/TrackNumber"] = "x", "4"
    texts = "image/jpeg\0\0".encode("utf-16-le")
    picture = struct.pack("<BI", 3, len(COVER.data)) + texts + COVER.data
    file["WM/Picture"] = [ASFByteArrayAttribute(picture)]
    file.save()
    assert read_tags(path) == Tags({"title": ["x"], "tracknumber": ["4"]}, COVER)


def test_beats_per_minute_follow_the_tempo() -> None:
    tags = Tags({"title": ["a"], "bpm": ["120", "90.5"]})
    assert tags.at_tempo(0.5).fields == {"title": ["a"], "bpm": ["60", "45"]}
    assert Tags({"title": ["a"], "bpm": ["fast"]}).at_tempo(0.5).fields == {"title": ["a"]}
    assert Tags({"title": ["a"]}).at_tempo(0.5) == Tags({"title": ["a"]})
    assert tags.at_tempo(1) == tags


APE = {
    **{"Title": "Song", "Artist": "Jo\0Ann", "Album": "Disc", "Album Artist": "Various"},
    **{"Year": "1999", "Track": "3/12", "Disc": "1/2", "Genre": "Rock", "Composer": "Someone"},
}


@pytest.mark.parametrize("with_id3v1", [False, True])
@pytest.mark.parametrize("kind", ["wv", "mp3"])
def test_tags_of_ape(tmp_path: Path, kind: str, with_id3v1: bool) -> None:
    path = tmp_path / f"song.{kind}"
    path.write_bytes(ffmpeg_bytes("wv", "wavpack", [song()]) if kind == "wv" else song_bytes(kind))
    tags = APEv2()
    for key, value in APE.items():
        tags[key] = value
    tags["Cover Art (Back)"] = APEValue(b"back.jpg\0" + bytes(9), BINARY)
    tags["Cover Art (Front)"] = APEValue(b"cover.jpg\0" + COVER.data, BINARY)
    tags.save(path)
    with path.open("ab") as file:
        file.write(b"TAG".ljust(128, b"\0") if with_id3v1 else b"")
    keys = ("title", "artist", "album", "albumartist", "date", "tracknumber", "discnumber")
    expected = dict(zip((*keys, "genre", "composer"), APE.values(), strict=True))
    fields = {key: value.split("\0") for key, value in expected.items()}
    assert read_tags(path) == Tags(fields, COVER)


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "CAF"])
def test_tags_of_plain_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.bin"
    with soundfile.SoundFile(path, "w", RATE, 2, format=kind) as file:
        file.title, file.artist = "Sé", "Jo"
        file.write(song().T)
    assert read_tags(path).fields == {"title": ["Sé"], "artist": ["Jo"]}


def frame(name: bytes, body: bytes, flags: int = 0, *, sizes: int = 8) -> bytes:
    if len(name) == 3:
        return name + len(body).to_bytes(3) + body
    size = sum(((len(body) >> sizes * n) & ((1 << sizes) - 1)) << 8 * n for n in range(4))
    return name + struct.pack(">IH", size, flags) + body


def id3(frames: bytes, version: int, flags: int = 0) -> bytes:
    size = bytes(len(frames) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, flags]) + size + frames


_PICTURE = b"\0image/jpeg\0\3\0" + COVER.data
_STUFFED = _PICTURE.replace(b"\xff", b"\xff\0")
_WIDE = b"\1image/jpeg\0\3" + "\u0100".encode("utf-16") + b"\0\0" + COVER.data


@pytest.mark.parametrize(
    "tag",
    [
        id3(frame(b"TT2", b"\0x") + frame(b"PIC", b"\0JPG\3\0" + COVER.data), 2),
        id3(frame(b"TIT2", b"\0x") + frame(b"APIC", _STUFFED), 3, 0x80),
        id3(
            bytes([0, 0, 0, 6]) + bytes(6) + frame(b"TIT2", b"\0x") + frame(b"APIC", _PICTURE),
            3,
            64,
        ),
        id3(frame(b"TIT2", b"\3x") + frame(b"APIC", _PICTURE, sizes=7), 4),
        id3(frame(b"TIT2", b"\1" + "x\0".encode("utf-16")) + frame(b"APIC", _WIDE), 3),
        id3(frame(b"APIC", _PICTURE) + frame(b"TIT2", b"\3x"), 4),  # sizes as in version 2.3
        id3(frame(b"APIC", bytes(4) + _STUFFED, 3, sizes=7) + frame(b"TIT2", b"\3x"), 4, 0x80),
    ],
)
def test_versions_of_id3(tmp_path: Path, tag: bytes) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(tag + song_bytes("mp3"))
    assert read_tags(path) == Tags({"title": ["x"]}, COVER)


def comments(text: bytes, count: int) -> bytes:
    return struct.pack("<II", 0, count) + (struct.pack("<I", len(text)) + text) * count


@pytest.mark.parametrize(
    "kind_and_tag",
    [
        ("mp3", id3(frame(b"TIT2", b"\0" + b"a" * 100_000), 3)),
        ("flac", comments(b"title=a", 100_000)),
        ("flac", comments(b"title=" + b"a" * 100_000, 1)),
    ],
    ids=["text", "comments", "comment"],
)
def test_too_many_tags_are_none_and_that_is_said(tmp_path: Path, kind_and_tag: tuple) -> None:
    kind, tag = kind_and_tag
    path = tmp_path / f"song.{kind}"
    content = song_bytes(kind)
    if kind == "flac":  # after the first block, which has 34 bytes
        content = content[:42] + b"\x04" + len(tag).to_bytes(3) + tag + content[42:]
    path.write_bytes(content if kind == "flac" else tag + content)
    tags = read_tags(path)
    assert tags == Tags(problem=tags.problem)
    with StemFilesWriter({"a": tmp_path / "a.wav"}, RATE, 2, tags=tags) as writer:
        writer.write({"a": song()})
    assert "too large" in writer.problems[0]


def test_a_very_large_cover_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    frames = frame(b"APIC", _PICTURE + bytes(11 << 20)) + frame(b"TIT2", b"\0x")
    path.write_bytes(id3(frames, 3) + song_bytes("mp3"))
    assert read_tags(path) == Tags({"title": ["x"]}, None, read_tags(path).problem)
    assert "cover picture is too large" in str(read_tags(path).problem)


@pytest.mark.parametrize(
    "frames",
    [
        frame(b"APIC", _PICTURE) + frame(b"APIC", b"\0image/png\0\4\0x") * 100_000,
        frame(b"TIT2", bytes(4) + zlib.compress(bytes(1 << 24)), 0x80),
        frame(b"TPE1", b"\0a") * 5000,
        b"".join(frame(b"TXXX", b"\0%d\0a" % n) for n in range(40_000)),
    ],
    ids=["pictures", "compressed", "artists", "texts"],
)
def test_odd_tags_take_no_time(tmp_path: Path, frames: bytes) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(id3(frames, 3) + song_bytes("mp3"))
    assert sum(len(text) for texts in read_tags(path).fields.values() for text in texts) < 2
