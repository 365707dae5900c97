"""Decoding in another process, and the limits of what a file may ask for."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from songsplit import Limits, Separator
from songsplit.audio import Access, isolation
from songsplit.errors import AudioFileError, ConfigError

from .zoo import KINDS, RATE, song, song_bytes, wav_bytes

HERE, THERE = Access(), Access(isolate=True)


def read(access: Access, source: object) -> np.ndarray:
    with access.audio(source) as reader:  # type: ignore[arg-type]
        return np.concatenate(list(reader.blocks(5000)), axis=1)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "back.m4a", "opus"])
def test_isolation_changes_no_sample_and_no_description(kind: str, tmp_path: Path) -> None:
    assert kind in KINDS
    file = tmp_path / "song"
    file.write_bytes(song_bytes(kind))
    np.testing.assert_array_equal(read(THERE, file), read(HERE, file))
    with HERE.audio(file) as here, THERE.audio(file) as there:
        assert there.info == here.info


def test_whatever_can_be_read_can_be_isolated(tmp_path: Path) -> None:
    data = song_bytes("flac")
    expected = read(HERE, io.BytesIO(data))
    np.testing.assert_array_equal(read(THERE, io.BytesIO(data)), expected)
    packed = tmp_path / "song.gz"
    packed.write_bytes(gzip.compress(data))
    with gzip.open(packed) as file:
        np.testing.assert_array_equal(read(THERE, file), expected)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pipe:
        assert pipe.stdin is not None
        pipe.stdin.write(data)
        pipe.stdin.close()
        np.testing.assert_array_equal(read(THERE, pipe.stdout), expected)
    plain = tmp_path / "song.flac"
    plain.write_bytes(data)
    with plain.open("rb") as opened:
        opened.read(100)  # and more, into a buffer
        np.testing.assert_array_equal(read(THERE, opened), expected)
        assert not opened.closed


@pytest.mark.parametrize("content", [b"", b"no audio at all", song_bytes("wav")[:-9000]])
def test_errors_are_those_of_a_decoder_in_this_process(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "song.wav"
    file.write_bytes(content)
    messages = []
    for access in (HERE, THERE):
        with pytest.raises(AudioFileError) as caught:
            read(access, file)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith(str(file))


def test_tags_come_from_the_other_process_too(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "lithium.ogg"
    assert THERE.tags(example) == HERE.tags(example)
    assert HERE.tags(example).fields["title"] == ["Lithium (excerpt)"]
    assert THERE.tags(tmp_path / "missing").fields == {}


MISBEHAVIOUR = {
    "crash": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
    "exit": ("raise SystemExit(3)", "failed"),
    "hang": ("import time; time.sleep(600)", "did not go on for 0.5 s"),
    "noise": ("import os; os.write(1, os.urandom(1 << 16))", "failed"),
    "lies": ("import os; os.write(1, b'INFO' + bytes([255] * 4))", "failed"),
    "nonsense": ("import os; os.write(1, b'INFO' + bytes([2, 0, 0, 0]) + b'{}')", "failed"),
    "nesting": ("import os; os.write(1, b'INFO' + b'@' * 2 + bytes(2) + b'[' * 0x4040)", "failed"),
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_decoder_that_misbehaves_is_an_error_and_no_more(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, words = MISBEHAVIOUR[kind]
    monkeypatch.setattr(isolation, "_COMMAND", (sys.executable, "-c", code))
    file = tmp_path / "song.wav"
    file.write_bytes(song_bytes("wav"))
    access = Access(isolate=True, limits=Limits(timeout=0.5 if kind == "hang" else 60))
    with pytest.raises(AudioFileError, match=words) as caught:
        access.audio(file)
    assert str(caught.value).startswith(f"{file}: the decoder")
    assert access.tags(file).fields == {}


@pytest.mark.skipif(os.name != "posix", reason="finds processes by their parent")
def test_no_process_is_left(tmp_path: Path) -> None:
    file = tmp_path / "song.wav"
    file.write_bytes(wav_bytes(song(RATE * 30)))
    with THERE.audio(file) as reader:
        blocks = reader.blocks(1000)
        next(blocks)  # and no more
        process = reader._backend._child._process  # type: ignore[attr-defined]
        assert process.poll() is None
    assert process.returncode is not None


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory holds on Linux only")
def test_memory_has_a_limit() -> None:
    with pytest.raises(AudioFileError, match=r"memory|failed|crashed"):
        read(Access(isolate=True, limits=Limits(memory=1 << 20)), io.BytesIO(song_bytes("mp3")))


@pytest.mark.parametrize("access", [HERE, THERE], ids=["here", "isolated"])
@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_length_has_a_limit(access: Access, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "song"
    file.write_bytes(song_bytes(kind))
    seconds = read(access, file).shape[1] / RATE
    enough = Access(access.isolate, Limits(seconds=seconds))
    assert read(enough, file).shape[1] == round(seconds * RATE)
    with pytest.raises(AudioFileError, match=r"longer than the 0\.9"):
        read(Access(access.isolate, Limits(seconds=0.9)), file)


def test_a_small_file_of_endless_silence_ends_at_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "bomb.flac"
    file.write_bytes(silence_that_says_it_is_short(minutes=2))
    assert file.stat().st_size < 1 << 17
    with pytest.raises(AudioFileError, match="longer than the 60 seconds"):
        read(Access(limits=Limits(seconds=60)), file)


def silence_that_says_it_is_short(minutes: int) -> bytes:
    """A FLAC of silence whose header does not tell how long it is."""
    import soundfile

    target = io.BytesIO()
    soundfile.write(target, np.zeros((60 * minutes * RATE, 1), np.int16), RATE, format="FLAC")
    data = bytearray(target.getvalue())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


def test_a_separator_isolates(tmp_path: Path) -> None:
    file = tmp_path / "song.flac"
    file.write_bytes(song_bytes("flac"))
    isolated = Separator(device="cpu", isolate=True)
    plain = Separator(device="cpu")
    np.testing.assert_array_equal(isolated.separate(file).vocals, plain.separate(file).vocals)
    saved = [s.separate_to_files(file, tmp_path / str(i)) for i, s in enumerate((isolated, plain))]
    assert saved[0]["vocals"].read_bytes() == saved[1]["vocals"].read_bytes()
    streamed = np.concatenate([stems.vocals for stems in isolated.stream(file)], axis=1)
    assert streamed.shape == plain.separate(file).vocals.shape
    short = Separator(device="cpu", limits=Limits(seconds=0.5))
    with pytest.raises(AudioFileError, match=r"longer than the 0\.5 seconds"):
        short.separate(file)


@pytest.mark.parametrize("name", ["seconds", "timeout", "memory"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_positive(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: value})  # type: ignore[arg-type]
