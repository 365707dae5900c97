"""Copy protection and stem files are recognised by what is in them."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songsplit.audio import StemFilesWriter, open_audio
from songsplit.audio._boxes import is_protected, stem_names
from songsplit.errors import AudioFileError
from songsplit.formats import OutputFormat

from .zoo import RATE, song


def m4a(path: Path) -> bytes:
    with StemFilesWriter({"a": path}, RATE, 2, output=OutputFormat("m4a")) as writer:
        writer.write({"a": song()})
    return path.read_bytes()


@pytest.mark.parametrize("kind", [b"drms", b"enca", b"aavd"])
def test_songs_of_shops_that_protect_them(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "bought.m4p"
    content = m4a(path)
    assert not is_protected(io.BytesIO(content))
    place = content.index(b"mp4a", content.index(b"stsd"))
    path.write_bytes(content[:place] + kind + content[place + 4 :])
    with pytest.raises(AudioFileError, match=r"bought\.m4p: the file is protected"):
        open_audio(path)


def test_protected_wma() -> None:
    mark = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 200)
    assert is_protected(io.BytesIO(header + bytes(30) + mark + bytes(100)))
    assert not is_protected(io.BytesIO(header + bytes(30) + bytes(100)))


def test_stem_files_tell_their_stems(tmp_path: Path) -> None:
    path = tmp_path / "a.stem.mp4"
    with StemFilesWriter(
        {"vocals": path, "drums": path}, RATE, 2, output=OutputFormat("stem.mp4")
    ) as writer:
        writer.write({"vocals": song(), "drums": song()})
    with open_audio(path) as reader:
        assert reader.info.stems == ("Vocals", "Drums", "-", "-")
    (tmp_path / "plain.m4a").write_bytes(m4a(tmp_path / "b.m4a"))
    with open_audio(tmp_path / "plain.m4a") as reader:
        assert reader.info.stems == ()


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


FTYP = box(b"ftyp", b"M4A ")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"stems": 1}', b'{"stems": [{}]}', b"[" * 100_000, b"\xff"]
)
def test_odd_descriptions_are_none(text: bytes) -> None:
    content = FTYP + box(b"moov", box(b"udta", box(b"stem", text)))
    assert stem_names(io.BytesIO(content)) == ()


@given(st.lists(st.tuples(st.sampled_from([b"moov", b"trak", b"udta", b"stem", b"stsd"]),
                          st.integers(0, 40), st.binary(max_size=20)), max_size=12))  # fmt: skip
def test_boxes_that_lie_about_their_size_end(boxes: list[tuple[bytes, int, bytes]]) -> None:
    content = b"".join(struct.pack(">I4s", size, name) + data for name, size, data in boxes)
    for file in (FTYP + content, FTYP + box(b"moov", content)):
        assert is_protected(io.BytesIO(file)) in (True, False)
        assert isinstance(stem_names(io.BytesIO(file)), tuple)


def test_the_sound_of_a_file_is_not_affected(tmp_path: Path) -> None:
    m4a(tmp_path / "a.m4a")
    with open_audio(tmp_path / "a.m4a") as reader:
        samples = np.concatenate(list(reader.blocks(4096)), axis=1)
    assert samples.shape[1] >= song().shape[1]
