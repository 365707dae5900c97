"""Copy protection and stem files are recognised by their content."""

from __future__ import annotations

import io
import struct
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songsplit.audio import OutputFormat, StemFilesWriter, open_audio
from songsplit.audio.containers import UnreadableError, examine
from songsplit.errors import AudioFileError
from tests.zoo.encoding import RATE, song, song_bytes
from tests.zoo.headers import wav


@pytest.mark.parametrize("kind", [b"drms", b"enca", b"aavd"])
def test_songs_of_shops_that_protect_them(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "bought.m4p"
    content = song_bytes("back.m4a")
    place = content.index(b"mp4a", content.index(b"stsd"))
    path.write_bytes(content[:place] + kind + content[place + 4 :])
    with pytest.raises(AudioFileError, match=r"bought\.m4p: the file is protected"):
        open_audio(path)


def test_protected_wma() -> None:
    content = song_bytes("wma")
    mark = bytes.fromhex("14e68a292226174cb935dae07ee9289c") + struct.pack("<QI", 32, 4) + b"keys"
    size, count = struct.unpack_from("<QI", content, 16)
    head = content[:16] + struct.pack("<QI", size + 32, count + 1) + content[28:30]
    with pytest.raises(AudioFileError, match="protected"):
        open_audio(io.BytesIO(head + mark + content[30:]))


def test_stem_files_tell_their_stems(tmp_path: Path) -> None:
    path = tmp_path / "a.stem.mp4"
    paths = {"vocals": path, "drums": path}
    with StemFilesWriter(paths, RATE, 2, output=OutputFormat("stem.mp4")) as writer:
        writer.write({"vocals": song(), "drums": song()})
    with open_audio(path) as reader:
        assert reader.info.stems == ("Vocals", "Drums", "-", "-")
    with open_audio(io.BytesIO(song_bytes("back.m4a"))) as reader:
        assert reader.info.stems == ()


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


FTYP = box(b"ftyp", b"M4A ")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"stems": 1}', b'{"stems": [{}]}', b"[" * 100_000, b"\xff"]
)
def test_odd_descriptions_are_none(text: bytes) -> None:
    content = FTYP + box(b"moov", box(b"udta", box(b"stem", text)))
    assert examine(io.BytesIO(content)).stems == ()


def test_samples_in_another_file_are_refused() -> None:
    for flags, is_elsewhere in ((0, True), (1, False)):
        entry = box(b"url ", struct.pack(">I", flags) + b"file:///etc/passwd\0")
        content = box(
            b"minf", box(b"smhd", bytes(8)) + box(b"dinf", box(b"dref", bytes(8) + entry))
        )
        file = io.BytesIO(FTYP + box(b"moov", box(b"trak", box(b"mdia", content))))
        with (
            pytest.raises(UnreadableError, match="another file") if is_elsewhere else nullcontext()
        ):
            examine(file)


@pytest.mark.parametrize(
    "content",
    [FTYP + box(b"free", b"") * 300_000, b"RIFF\xff\xff\xff\x7fWAVE" + b"JUNK\0\0\0\0" * 20_000],
)
def test_millions_of_empty_parts_are_refused(content: bytes) -> None:
    with pytest.raises(UnreadableError, match="too many"):
        examine(io.BytesIO(content))


@given(
    st.sampled_from([b"RIFF", b"FORM", b".snd", b"fLaC", b"OggS", b"\xff\xfbRI", b"\0\0\0\x10"]),
    st.sampled_from([b"WAVE", b"AIFF", b"ftyp", b"\0\0\0\0"]),
    st.binary(max_size=80),
)
def test_any_bytes_can_be_examined(start: bytes, kind: bytes, rest: bytes) -> None:
    with suppress(UnreadableError):
        examine(io.BytesIO(start + rest[:4] + kind + rest))


def test_a_recording_that_ends_at_2_gib_is_whole(tmp_path: Path) -> None:
    length = 0x7FFFFF00
    path = tmp_path / "a.wav"
    path.write_bytes(wav(data=b"", data_size=length))
    head = path.stat().st_size
    with path.open("rb+") as file:
        file.seek(head + length)
        file.write(b"LIST\x04\0\0\0INFO")
    with open_audio(path) as reader:
        assert reader.info.frames == length // 4
