"""Encode synthetic songs in many formats."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

RATE = 44100
FRAMES = RATE + 123


def song(frames: int = FRAMES, channels: int = 2, seed: int = 0) -> np.ndarray:
    """A tone with some noise in each channel, well below full scale."""
    time = np.arange(frames) / RATE
    tones = np.stack([0.4 * np.sin(2 * np.pi * (330 + 110 * c) * time) for c in range(channels)])
    noise = 0.01 * np.random.default_rng(seed).standard_normal((channels, frames))
    return (tones + noise).astype(np.float32)


def ffmpeg_bytes(
    container: str,
    codec: str,
    streams: list[np.ndarray],
    rates: list[int] | None = None,
    options: dict[str, str] | None = None,
    delay: Callable[[int, float], float] = lambda stream, time: 0.0,
) -> bytes:
    """Encode one audio stream for each signal; a packet may be delayed, by stream and time."""
    with tempfile.TemporaryDirectory() as folder:
        # A file, because FFmpeg opens it a second time to move an index to its front.
        path = Path(folder) / "audio"
        _encode(path, container, codec, streams, rates, options or {}, delay)
        return path.read_bytes()


def _encode(
    path: Path,
    container: str,
    codec: str,
    streams: list[np.ndarray],
    rates: list[int] | None,
    options: dict[str, str],
    delay: Callable[[int, float], float],
) -> None:
    with av.open(str(path), "w", format=container, options=options) as output:
        rates = rates or [48000 if codec == "libopus" else RATE] * len(streams)
        outputs: list[Any] = []
        for samples, rate in zip(streams, rates, strict=True):
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[0]]
            outputs.append(output.add_stream(codec, rate=rate, layout=layout, bit_rate=192000))

        def mux(packets: list[av.Packet]) -> None:
            for packet in packets:
                seconds = delay(packet.stream.index, float(packet.pts * packet.time_base))
                packet.pts = packet.dts = packet.pts + round(seconds / packet.time_base)
                output.mux(packet)

        for stream, samples, rate in zip(outputs, streams, rates, strict=True):
            layout = stream.codec_context.layout
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            converter = av.AudioResampler(stream.codec_context.format, layout, rate)
            for piece in converter.resample(frame) + converter.resample(None):
                mux(stream.encode(piece))
        for stream in outputs:
            mux(stream.encode(None))


def video_bytes(container: str = "mp4", codec: str = "mpeg4") -> bytes:
    """A film without sound."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height = 32, 32
        stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        for _ in range(1 if codec == "png" else 5):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return target.getvalue()


def wav_bytes(samples: np.ndarray, subtype: str = "PCM_16") -> bytes:
    return libsndfile_bytes("WAV", subtype, samples)


def libsndfile_bytes(container: str, subtype: str, samples: np.ndarray) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, samples.T, RATE, format=container, subtype=subtype)
    return target.getvalue()


_BY_LIBSNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "wavex": ("WAVEX", "PCM_24"),
    "w64": ("W64", "PCM_16"),
    "rf64": ("RF64", "FLOAT"),
    "aiff": ("AIFF", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
}
_BY_FFMPEG: dict[str, tuple[str, str, dict[str, str]]] = {
    "front.m4a": ("ipod", "aac", {"movflags": "+faststart"}),
    "back.m4a": ("ipod", "aac", {}),
    "mp3": ("mp3", "libmp3lame", {}),
    "webm": ("webm", "libopus", {}),
    "mka": ("matroska", "flac", {}),
    "wma": ("asf", "wmav2", {}),
    "opus": ("ogg", "libopus", {}),
}
KINDS = [*_BY_LIBSNDFILE, *_BY_FFMPEG]


@cache
def song_bytes(kind: str) -> bytes:
    """The song in a format."""
    if kind in _BY_LIBSNDFILE:
        return libsndfile_bytes(*_BY_LIBSNDFILE[kind], song())
    container, codec, options = _BY_FFMPEG[kind]
    return ffmpeg_bytes(container, codec, [song()], options=options)
