"""Several streams in one file, one after another or side by side, and films."""

from __future__ import annotations

import shutil
import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.audio.zoo import RATE, song, video_bytes

from .encoding import by_program, ffmpeg, libsndfile
from .entries import MONO, SONG, Entry, Refused, Stems, holds
from .ogg import checked, pages

CHANGES = Refused("sample rate or channels change at")
JOINED = Refused("joined end to end")
NO_AUDIO = Refused("holds no audio")
EXACT_16 = holds(SONG, 2.0**-15)


def film(container: str, codec: str, *, picture: str = "mpeg4") -> bytes:
    """A few black pictures, then the song: the video is the first stream.

    Parameters
    ----------
    container, codec, picture : str
        What FFmpeg calls the container and the codecs of sound and pictures.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film"
        options = {"fflags": "+bitexact"}
        with av.open(str(path), "w", format=container, options=options) as output:
            video: Any = output.add_stream(picture, rate=25)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
            sound: Any = output.add_stream(codec, rate=RATE, layout="stereo", bit_rate=128_000)
            for _ in range(5):
                black = np.zeros((32, 32, 3), np.uint8)
                output.mux(video.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
            output.mux(video.encode(None))
            frame = av.AudioFrame.from_ndarray(SONG, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            converter = av.AudioResampler(sound.codec_context.format, "stereo", RATE)
            for piece in converter.resample(frame) + converter.resample(None):
                output.mux(sound.encode(piece))
            output.mux(sound.encode(None))
        return path.read_bytes()


def _aac(samples: np.ndarray, rate: int = RATE) -> bytes:
    return ffmpeg("adts", "aac", [samples], rates=[rate])


def _mp3(samples: np.ndarray, rate: int = RATE) -> bytes:
    # Without the header, which would give the length of the first part only.
    return ffmpeg("mp3", "libmp3lame", [samples], [rate], {"write_xing": "0", "id3v2_version": "0"})


def _vorbis(serial: int = 1) -> list[bytes]:
    content = libsndfile("OGG", "VORBIS", SONG)
    numbered = (p[:14] + serial.to_bytes(4, "little") + p[18:] for p in pages(content))
    return [checked(page) for page in numbered]


def _side_by_side() -> bytes:
    """Two Vorbis streams in one Ogg, page by page in turn."""
    first, second = _vorbis(1), _vorbis(2)
    return b"".join(page for pair in zip(first, second, strict=True) for page in pair)


def _flac_that_changes() -> bytes:
    """The frames of a mono FLAC behind those of a stereo one."""
    first = libsndfile("FLAC", "PCM_16", SONG)
    second = libsndfile("FLAC", "PCM_16", MONO)
    first = first[:21] + bytes([first[21] & 0xF0, 0, 0, 0, 0]) + first[26:]
    return first + second[second.index(b"\xff\xf8") :]


def _stem_file() -> bytes:
    return ffmpeg("mp4", "aac", [SONG * np.float32(gain) for gain in (1, 0.4, 0.3, 0.2, 0.1)])


_SIDE_BY_SIDE = (
    ("mp4", "mp4", "aac", None),
    ("mkv", "matroska", "flac", EXACT_16),
    ("ts", "mpegts", "mp2", None),
    ("avi", "avi", "pcm_s16le", EXACT_16),
)
_FILMS = (
    ("mp4", "mp4", "aac", "mpeg4", None),
    ("mov", "mov", "pcm_s16le", "mpeg4", EXACT_16),
    ("mkv", "matroska", "flac", "mpeg4", EXACT_16),
    ("avi", "avi", "pcm_s16le", "mpeg4", EXACT_16),
    ("flv", "flv", "aac", "flv1", None),
    ("ts", "mpegts", "aac", "mpeg2video", None),
    ("mpg", "mpeg", "mp2", "mpeg1video", None),
    ("wmv", "asf", "wmav2", "wmv2", None),
    ("nut", "nut", "pcm_s16le", "mpeg4", EXACT_16),
    ("wtv", "wtv", "mp2", "mpeg2video", None),
)
# A codec of pictures that PyAV has no encoder for.
_THEORA = [
    Entry(
        "theora.ogv",
        partial(
            by_program,
            "ogv",
            "-f",
            "lavfi",
            "-i",
            "color=black:size=32x32:duration=0.25",
            "-c:v",
            "libtheora",
            "-c:a",
            "flac",
        ),
        EXACT_16,
    )
    for _ in range(shutil.which("ffmpeg") is not None)
]

ENTRIES = [
    *(
        Entry(
            f"two-streams.{ending}",
            partial(ffmpeg, container, codec, [SONG, SONG[::-1]]),
            expected or Stems(),
        )
        for ending, container, codec, expected in _SIDE_BY_SIDE
    ),
    Entry(
        "different-streams.mkv",
        partial(ffmpeg, "matroska", "flac", [SONG, MONO], [RATE, 48000]),
        EXACT_16,
    ),
    Entry(
        "shorter-second-stream.mka",
        partial(ffmpeg, "matroska", "flac", [SONG, MONO[:, :500]]),
        EXACT_16,
    ),
    Entry("stem-file.stem.mp4", _stem_file, Stems()),
    *(
        Entry(
            f"video-first-{sound}.{ending}",
            partial(film, container, sound, picture=picture),
            expected or Stems(),
        )
        for ending, container, sound, picture, expected in _FILMS
    ),
    *_THEORA,
    Entry("silent-film.mp4", video_bytes, NO_AUDIO),
    Entry("silent-film.avi", partial(video_bytes, "avi"), NO_AUDIO),
    Entry("two-songs.aac", lambda: 2 * _aac(SONG), Stems()),
    Entry("rate-changes.aac", lambda: _aac(SONG) + _aac(SONG, 22050), CHANGES),
    Entry("channels-change.aac", lambda: _aac(SONG) + _aac(MONO), CHANGES),
    Entry("two-songs.mp3", lambda: 2 * _mp3(SONG), Stems()),
    Entry("rate-changes.mp3", lambda: _mp3(SONG) + _mp3(SONG, 22050), CHANGES),
    Entry("channels-change.mp3", lambda: _mp3(SONG) + _mp3(MONO), CHANGES),
    Entry(
        "rate-changes.ac3",
        lambda: ffmpeg("ac3", "ac3", [SONG]) + ffmpeg("ac3", "ac3", [SONG], [48000]),
        CHANGES,
    ),
    Entry("channels-change.flac", _flac_that_changes, CHANGES),
    Entry(
        "rate-changes.ts",
        lambda: ffmpeg("mpegts", "mp2", [SONG]) + ffmpeg("mpegts", "mp2", [SONG], [48000]),
        CHANGES,
    ),
    Entry("chained.ogg", lambda: b"".join(_vorbis(1) + _vorbis(2)), JOINED),
    Entry("chained.opus", lambda: 2 * ffmpeg("ogg", "libopus", [SONG]), JOINED),
    Entry(
        "chained-vorbis-and-opus.ogg",
        lambda: b"".join(_vorbis()) + ffmpeg("ogg", "libopus", [SONG]),
        JOINED,
    ),
    Entry("side-by-side.ogg", _side_by_side, Stems()),
    Entry("two-songs.flac", lambda: 2 * libsndfile("FLAC", "PCM_16", SONG), JOINED),
    Entry("two-songs.wav", lambda: 2 * libsndfile("WAV", "PCM_16", SONG), JOINED),
    Entry("two-songs.mka", lambda: 2 * ffmpeg("matroska", "flac", [SONG]), Stems(frames=22_050)),
    Entry("two-songs.m4a", lambda: 2 * ffmpeg("ipod", "alac", [SONG]), JOINED),
    Entry("varying-bits.mp3", lambda: _varying(), Stems()),
]


def _varying() -> bytes:
    """Frames of different bit rates, without the header that would give the length."""
    loud = np.random.default_rng(0).uniform(-0.9, 0.9, SONG.shape).astype(np.float32)
    return _mp3(np.concatenate([loud, np.zeros_like(loud), song(5000)], axis=1))
