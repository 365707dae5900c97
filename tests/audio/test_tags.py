from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.asf import ASFByteArrayAttribute
from mutagen.id3 import APIC, ID3

from songsplit.audio import OutputFormat, StemFilesWriter, read_audio, read_streams
from songsplit.audio import tags as tags_module
from songsplit.audio.formats import FORMATS
from songsplit.audio.tags import Cover, Tags, read_tags
from tests.zoo.encoding import KINDS, RATE, song, song_bytes

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
    "bpm": ["128"],
    "isrc": ["DEXXX1600001"],
    "copyright": ["CC0"],
}
COVER = Cover(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20, "image/jpeg")


def write_tags(path: Path, name: str, tags: Tags) -> None:
    with path.open("rb+") as file:
        tags_module.write_tags(file, name, tags)  # type: ignore[arg-type]


@pytest.fixture(params=[name for name in FORMATS if name != "stem.mp4"])
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


def test_no_tags_change_nothing(file: tuple[Path, str]) -> None:
    path, name = file
    before = path.read_bytes()
    write_tags(path, name, Tags())
    assert path.read_bytes() == before


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


@pytest.mark.parametrize(
    "content", [b"", b"ID3\x04\x00\x00\x00\x00\x0f\x7f" + b"\x00" * 40, b"fLaC"]
)
def test_damaged_tags_are_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    assert read_tags(path) == Tags()
    assert read_tags(tmp_path / "missing.mp3") == Tags()


def test_odd_numbers_do_not_stop_m4a(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with StemFilesWriter({"a": path}, RATE, 2, output=OutputFormat("m4a")) as writer:
        writer.write({"a": song()})
    odd = {"tracknumber": ["A3"], "discnumber": ["99999999/5"], "bpm": ["97.5"], "genre": []}
    write_tags(path, "m4a", Tags({**odd, "title": ["x\udce9"]}))
    assert read_tags(path).fields == {"bpm": ["97"], "title": ["x?"]}


def test_pictures_that_a_format_does_not_take(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with StemFilesWriter({"a": path}, RATE, 2, output=OutputFormat("m4a")) as writer:
        writer.write({"a": song()})
    with pytest.raises(ValueError, match="JPEG and PNG only"):
        write_tags(path, "m4a", Tags(FIELDS, Cover(b"RIFF", "image/webp")))
    assert read_tags(path) == Tags(FIELDS)


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


def test_stem_files_keep_what_names_their_parts(tmp_path: Path) -> None:
    path = tmp_path / "song.stem.mp4"
    parts = {"vocals": song(), "instrumental": song()}
    writer = StemFilesWriter(
        dict.fromkeys(parts, path),
        RATE,
        2,
        output=OutputFormat("stem.mp4"),
        tags=Tags(FIELDS, COVER),
    )
    with writer:
        writer.write(parts)
    assert read_tags(path) == Tags(FIELDS, COVER)
    assert b"mastering_dsp" in path.read_bytes()
    assert len(read_streams(path)[0]) == 5


def test_beats_per_minute_follow_the_tempo() -> None:
    tags = Tags({"title": ["a"], "bpm": ["120", "90.5", "fast"]})
    assert tags.at_tempo(0.5).fields == {"title": ["a"], "bpm": ["60", "45"]}
    assert tags.at_tempo(1) == tags


@pytest.mark.parametrize("container", ["wav", "matroska"])
def test_tags_that_only_other_libraries_read(tmp_path: Path, container: str) -> None:
    plain = tmp_path / "plain.wav"
    soundfile.write(plain, np.zeros((1000, 2)), 44100)
    path = tmp_path / "a.bin"
    command = ["ffmpeg", "-loglevel", "error", "-i", str(plain), "-metadata", "artist=Jo"]
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg program")
    subprocess.run([*command, "-metadata", "title=Sé", "-f", container, str(path)], check=True)
    assert read_tags(path).fields["title"] == ["Sé"]
    assert read_tags(path).fields["artist"] == ["Jo"]
    with path.open("rb") as file:
        assert read_tags(file).fields["artist"] == ["Jo"]
