from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit import Separator
from songsplit.audio import audio_files, open_audio, read_audio, read_streams
from songsplit.audio.containers import MAX_TAG_BYTES
from songsplit.errors import AudioFileError, ConfigError
from tests.zoo.encoding import (
    FRAMES,
    KINDS,
    RATE,
    ffmpeg_bytes,
    song,
    song_bytes,
    video_bytes,
    wav_bytes,
)
from tests.zoo.headers import SONG, aiff, au, checked, pages, stepped, wav

# Truncated files of these formats are noticed; those of CAF and W64 may not be. Some formats state
# only a length in seconds, with a tolerance.
NOTICED = [kind for kind in KINDS if kind not in ("w64", "caf")]
ROUGHLY = ("webm", "mka", "wma")
# Container, codec, exact length as FFmpeg gives it (None where it depends on framing).
LOSSY = [
    ("mp3", "libmp3lame", FRAMES),
    ("ipod", "aac", FRAMES),
    ("adts", "aac", None),
    ("mp4", "libmp3lame", FRAMES),
    ("mp4", "libopus", FRAMES),
    ("matroska", "aac", None),
    ("matroska", "flac", FRAMES),
    ("mov", "alac", FRAMES),
    ("webm", "libopus", FRAMES),
    ("ogg", "libopus", FRAMES),
    ("asf", "wmav2", None),
    ("ac3", "ac3", None),
]


def reason(source: object) -> str:
    """Read an unreadable source and return the message."""
    with pytest.raises(AudioFileError) as caught:
        read_audio(source)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("container", "codec", "frames"), LOSSY)
def test_compressed_files_are_aligned_and_to_scale(
    container: str, codec: str, frames: int | None
) -> None:
    original = song()
    # By default, MP4 states its length in milliseconds.
    options = {"movie_timescale": "44100"} if container in ("ipod", "mp4") else {}
    content = ffmpeg_bytes(container, codec, [original], options=options)
    samples, rate = read_audio(io.BytesIO(content))
    assert rate == (48000 if codec == "libopus" else RATE)
    assert samples.shape[0] == 2
    if frames is not None:
        assert samples.shape[1] == frames
    # Raw AAC and AC-3 do not state the encoder delay, and the WMA decoder needs a first frame to
    # start.
    delays = {"adts": 1024, "ac3": 256, "asf": -2048}
    start = delays.get(container, 0)
    middle = slice(8000, 30000)
    error = samples[:, 8000 + start : 30000 + start] - original[:, middle]
    assert np.sqrt(np.mean(error**2)) < 0.02


def test_file_objects_are_read_from_the_start_and_stay_open(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(wav_bytes(song()))
    with path.open("rb") as file:
        file.seek(100)
        assert read_audio(file)[0].shape == (2, FRAMES)
        assert not file.closed
        with open_audio(file) as reader:
            assert reader.info.name == str(path)
    with path.open() as text:
        assert "open it in mode 'rb'" in reason(text)


class Pipe(io.RawIOBase):
    """Returns a few bytes at a time, and is not seekable."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 5000) if size >= 0 else -1)

    def tell(self) -> int:
        return self._file.tell()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_gives_what_the_file_gives(kind: str) -> None:
    content = song_bytes(kind)
    expected, rate = read_audio(io.BytesIO(content))
    samples, same_rate = read_audio(Pipe(content))
    assert rate == same_rate
    np.testing.assert_allclose(samples, expected, atol=1e-6)


@pytest.mark.parametrize("kind", NOTICED)
@pytest.mark.parametrize("share", [0.6, 0.97])
def test_a_pipe_that_ends_too_early_is_noticed(kind: str, share: float) -> None:
    if share > 0.9 and kind in ROUGHLY:
        return
    content = song_bytes(kind)
    assert "cut off" in reason(Pipe(content[: int(len(content) * share)]))


@pytest.mark.parametrize("make", [wav, aiff, au])
def test_a_pipe_with_more_samples_than_its_head_says_is_refused(make: Callable[[], bytes]) -> None:
    for more in (bytes(MAX_TAG_BYTES + 1), make()):
        assert "more data than the header" in reason(Pipe(make() + more))
    assert read_audio(Pipe(make()))[0].shape == SONG.shape


@pytest.mark.slow
def test_radio_is_decoded_as_it_comes_from_any_place_on() -> None:
    song_of_minutes = np.tile(song(), 20)
    for container, codec in (("mp3", "libmp3lame"), ("adts", "aac")):
        content = ffmpeg_bytes(container, codec, [song_of_minutes])
        start = len(content) // 3 + 1
        pipe = Pipe(content[start:])
        with open_audio(pipe) as reader:
            next(reader.blocks(1000))
            assert pipe.tell() < len(content) / 3


class Failing(io.BytesIO):
    """Fails in the middle."""

    def __init__(self, content: bytes, error: BaseException) -> None:
        super().__init__(content)
        self.error = error

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 18_000:
            raise self.error
        return super().read(size)


class FailingPipe(Failing):
    """Is not seekable."""

    read1 = Failing.read

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("source", [Failing, FailingPipe])
@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "back.m4a"])
def test_errors_and_interruptions_while_reading_are_not_lost(kind: str, source: Any) -> None:
    content = song_bytes(kind)
    with pytest.raises(KeyboardInterrupt):
        read_audio(source(content, KeyboardInterrupt()))
    assert "cable pulled" in reason(source(content, OSError("cable pulled")))


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_pipe_of_unknown_length_is_read_as_it_comes(length: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 500_000)).astype(np.float32)
    content = bytearray(wav_bytes(samples, "FLOAT"))
    at = content.index(b"data") + 4
    content[at : at + 4] = content[4:8] = struct.pack("<I", length)
    pipe = Pipe(bytes(content))
    with open_audio(pipe) as reader:
        assert reader.info.frames is None
        blocks = reader.blocks(1000)
        first = next(blocks)
        assert pipe.tell() < 300_000
        np.testing.assert_array_equal(np.concatenate([first, *blocks], axis=1), samples)


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(50, 60_000), compressed=st.booleans())
def test_blocks_join_to_the_whole(frames: int, compressed: bool) -> None:
    content = song_bytes("mp3" if compressed else "wav")
    whole, _ = read_audio(io.BytesIO(content))
    with open_audio(io.BytesIO(content)) as reader:
        blocks = list(reader.blocks(frames))
    assert all(block.shape[1] == frames for block in blocks[:-1])
    assert 1 <= blocks[-1].shape[1] <= frames
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)


# Mistakes and damage ---------------------------------------------------------------


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "there is no such file" in reason(tmp_path / "none.wav")
    assert "this is a folder" in reason(tmp_path)
    assert "a\0b" in reason("a\0b")
    assert "not a file" in reason(np.zeros(10))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read any file"
)
def test_unreadable_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(song()))
    path.chmod(0)
    assert "no permission" in reason(path)


def test_what_is_no_audio(tmp_path: Path) -> None:
    assert "0 bytes" in reason(io.BytesIO(b""))
    (tmp_path / "notes.vox").write_text("words and more words\n" * 500)
    assert "not a readable audio file" in reason(tmp_path / "notes.vox")
    assert "holds no audio (only pictures)" in reason(io.BytesIO(video_bytes("image2pipe", "png")))


@pytest.mark.parametrize("kind", NOTICED)
@pytest.mark.parametrize("share", [0.05, 0.6, 0.97])
def test_a_cut_file_is_never_taken_for_whole(kind: str, share: float) -> None:
    if share > 0.9 and kind in ROUGHLY:
        return
    content = song_bytes(kind)
    cut = io.BytesIO(content[: int(share * len(content))])
    message = reason(cut)
    if share == 0.6:
        assert re.search(r"cut off .* can be read up to 0\.\d\d s; .* again", message)
    if kind in ("wav", "mp3", "front.m4a", "aiff", "au"):
        with pytest.raises(AudioFileError):
            open_audio(cut)


def test_a_flac_cut_between_two_frames() -> None:
    content = song_bytes("flac")
    start = content.index(b"\xff\xf8")
    last = content.rindex(content[start : start + 3])
    assert last > start
    assert "damaged" in reason(io.BytesIO(content[:last]))
    assert "cut off" in reason(Pipe(content[:last]))


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF024, 0xFFFFFFDB])
@pytest.mark.parametrize("outer", [0, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_is_read_to_the_end(length: int, outer: int) -> None:
    content = bytearray(wav_bytes(song()))
    struct.pack_into("<I", content, 4, outer)
    struct.pack_into("<I", content, content.index(b"data") + 4, length)
    samples, _ = read_audio(io.BytesIO(content))
    np.testing.assert_allclose(samples, song(), rtol=0, atol=1 / 2**15)


def test_bytes_after_the_audio_do_no_harm() -> None:
    for kind in ("wav", "aiff", "flac", "ogg", "mp3", "front.m4a"):
        content = song_bytes(kind)
        whole, _ = read_audio(io.BytesIO(content))
        tagged, _ = read_audio(io.BytesIO(content + b"TAG" + bytes(125)))
        np.testing.assert_array_equal(tagged, whole)


def test_an_mp3_without_a_count_is_read_to_the_end() -> None:
    """The length of the MP3 is an estimate: it is loud at first and silent afterwards."""
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (2, RATE)).astype(np.float32)
    samples = np.concatenate([noise, np.zeros((2, 9 * RATE), np.float32)], axis=1)
    target = io.BytesIO()
    soundfile.write(
        target, samples.T, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.1
    )
    content = target.getvalue()
    first = content.index(b"\xff\xfb")
    second = content.index(b"\xff\xfb", first + 4)
    assert b"Xing" in content[first:second]
    read, _ = read_audio(io.BytesIO(content[second:]))
    assert samples.shape[1] <= read.shape[1] < samples.shape[1] + 4000


def test_mp3s_joined_in_one_file_are_all_read() -> None:
    once, _ = read_audio(io.BytesIO(song_bytes("mp3")))
    twice, _ = read_audio(io.BytesIO(2 * song_bytes("mp3")))
    assert abs(twice.shape[1] - 2 * once.shape[1]) < 4000


def test_a_change_of_sample_rate_on_the_way() -> None:
    first = ffmpeg_bytes("adts", "aac", [song()])
    second = ffmpeg_bytes("adts", "aac", [song()], rates=[22050])
    assert "change at" in reason(io.BytesIO(first + second))


# Time ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "codec"),
    [("webm", "libopus"), ("matroska", "flac"), ("mp4", "aac"), ("mpegts", "aac"), ("flv", "aac")],
)
def test_pauses_in_time_stamps_are_silence(container: str, codec: str) -> None:
    content = ffmpeg_bytes(container, codec, [song()], delay=lambda _, time: 2.0 * (time >= 0.5))
    samples, rate = read_audio(io.BytesIO(content))
    assert samples.shape[1] / rate == pytest.approx(2 + FRAMES / rate, abs=0.07)
    loud = np.flatnonzero(np.abs(samples[0]) > 0.1) / rate
    assert np.diff(loud).max() == pytest.approx(2, abs=0.03)
    assert np.abs(samples[0, -rate // 4 : -rate // 8]).max() > 0.3


@pytest.mark.parametrize(
    ("container", "codec"), [("matroska", "pcm_s16le"), ("mp4", "aac"), ("mpegts", "aac")]
)
def test_a_sound_track_may_begin_late(container: str, codec: str) -> None:
    content = ffmpeg_bytes(container, codec, [song(), song()], delay=lambda n, _: 1.5 * n)
    for track, start in ((None, 0.0), (2, 1.5)):
        with open_audio(io.BytesIO(content), track=track) as reader:
            assert len(reader.info.tracks) == 2
            assert [note for note in reader.info.notes if "using 1" in note] or track
            samples = reader.read()
        assert np.argmax(np.abs(samples[0]) > 0.1) / RATE == pytest.approx(start, abs=0.03)
        assert samples.shape[1] / RATE == pytest.approx(start + 1, abs=0.05)
    if container == "mp4":
        alone = ffmpeg_bytes(container, codec, [song()], delay=lambda *_: 1.5)
        np.testing.assert_array_equal(read_audio(io.BytesIO(alone))[0], samples)
    with pytest.raises(AudioFileError, match="no sound track 3; choose one from 1 to 2"):
        open_audio(io.BytesIO(content), track=3)


def test_an_mp4_is_as_long_as_its_edit_list_says() -> None:
    content = ffmpeg_bytes("ipod", "aac", [song()], options={"movie_timescale": "44100"})
    whole, _ = read_audio(io.BytesIO(content))
    assert whole.shape[1] == FRAMES
    at = content.index(b"elst") + 12
    start = struct.unpack_from(">i", content, at + 4)[0] + 5000
    trimmed = content[:at] + struct.pack(">Ii", 20_000, start) + content[at + 8 :]
    np.testing.assert_allclose(
        read_audio(io.BytesIO(trimmed))[0], whole[:, 5000:25_000], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.wav", wav()),
        ("b.wav", wav(data_size=0x7FFFF000)),
        ("a.aiff", aiff()),
        ("a.aifc", aiff(compression=b"sowt", order="<")),
        ("a.au", au()),
    ],
)
def test_lengths_that_wrapped_round_at_4_gib(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    os.truncate(tmp_path / name, len(content) + 2**32)
    with open_audio(tmp_path / name) as reader:
        assert reader.info.frames == SONG.shape[1] + 2**30
        np.testing.assert_array_equal(next(reader.blocks(SONG.shape[1])), stepped())


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_an_ogg_needs_no_end_mark(kind: str) -> None:
    content = song_bytes(kind)
    whole, _ = read_audio(io.BytesIO(content))
    last = list(pages(content))[-1]
    unmarked = content[: -len(last)] + checked(last[:5] + b"\0" + last[6:])
    samples, _ = read_audio(io.BytesIO(unmarked))
    assert 0 <= samples.shape[1] - whole.shape[1] <= 312
    assert "cut off" in reason(io.BytesIO(unmarked[:-1]))


def test_an_mp3_trimmed_by_frames_is_read_with_a_note(separator: Separator, tmp_path: Path) -> None:
    content = song_bytes("mp3")
    start = content.index(b"\xff\xfb")
    while start < len(content) // 2:
        start += 144_000 * 192 // RATE + (content[start + 2] >> 1 & 1)
    (tmp_path / "a.mp3").write_bytes(content[:start])
    saved = separator.separate_to_files(tmp_path / "a.mp3", tmp_path)
    assert "trimmed" in saved.problems[0]
    assert soundfile.info(saved["vocals"]).duration > 0.4
    assert "cut off" in reason(io.BytesIO(content[: start - 1]))


def test_names_may_begin_with_a_dot(tmp_path: Path) -> None:
    names = [".38 Special/a.mp3", "...And Justice for All/b.flac", ".neon.wav"]
    hidden = ["._a.mp3", ".Trash-1000/a.mp3", ".git/a.wav", ".songsplit-0a.wav", ".trashed-1-a.mp3"]
    for name in names + hidden:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert audio_files(tmp_path) == sorted(tmp_path / name for name in names)


# Several streams -------------------------------------------------------------------


def test_stem_files_give_all_streams_in_order() -> None:
    signals = [song(seed=i, frames=FRAMES - 300 * i) * (i + 1) / 6 for i in range(5)]
    content = ffmpeg_bytes("mp4", "aac", signals)
    streams, rate = read_streams(io.BytesIO(content))
    assert rate == RATE
    assert len({stream.shape for stream in streams}) == 1
    loudness = [float(np.abs(stream[0, 5000:30000]).max()) for stream in streams]
    assert loudness == pytest.approx([0.43 * (i + 1) / 6 for i in range(5)], rel=0.15)
    # Read as a single file, it is its first stream, the mixture.
    mixture, _ = read_audio(io.BytesIO(content))
    np.testing.assert_array_equal(mixture[:, : streams[0].shape[1]], streams[0])


def test_streams_that_cannot_be_used() -> None:
    different = ffmpeg_bytes("mp4", "aac", [song(), song()], rates=[44100, 48000])
    with pytest.raises(AudioFileError, match="44100, 48000 Hz"):
        read_streams(io.BytesIO(different))
    with pytest.raises(AudioFileError, match="no audio"):
        read_streams(io.BytesIO(video_bytes()))
    cut = ffmpeg_bytes("mp4", "aac", [song(), song()], options={"movflags": "+faststart"})
    with pytest.raises(AudioFileError, match="cut off"):
        read_streams(io.BytesIO(cut[: len(cut) // 2]))


def test_ffmpeg_is_loaded_only_when_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(song()))
    program = (
        "import sys, songsplit.audio as audio; audio.read_audio(sys.argv[1]); "
        "sys.exit(any(name in sys.modules for name in ('av', 'torch', 'soxr')))"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 0


@pytest.mark.parametrize("change", ["append", "cut"])
def test_a_file_that_changes_while_it_is_read(tmp_path, change):
    path = tmp_path / "growing.wav"
    soundfile.write(path, np.zeros((200_000, 2)), 44100)
    with open_audio(path) as reader:
        blocks = reader.blocks(50_000)
        next(blocks)
        if change == "append":
            path.write_bytes(path.read_bytes() + b"more")
        else:
            os.truncate(path, 100_000)
        with pytest.raises(AudioFileError, match=r"growing\.wav: the file changed"):
            list(blocks)


def test_longer_audio_than_allowed_is_refused() -> None:
    seconds = FRAMES / RATE
    for kind in ("wav", "mp3"):
        content = song_bytes(kind)
        with open_audio(io.BytesIO(content), max_hours=1.1 * seconds / 3600) as reader:
            assert reader.read().shape[1] == FRAMES
        with (
            pytest.raises(AudioFileError, match="longer than"),
            open_audio(io.BytesIO(content), max_hours=0.5 * seconds / 3600) as reader,
        ):
            reader.read()
    with pytest.raises(ConfigError, match="max_hours"):
        open_audio(io.BytesIO(content), max_hours=0)
