"""The encoders of the tests, without what differs from one run to the next."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.audio.zoo import ffmpeg_bytes, libsndfile_bytes, wav_bytes

from .entries import SONG, Samples
from .ogg import checked, pages


def ffmpeg(
    container: str,
    codec: str,
    streams: list[Samples],
    rates: list[int] | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """Encode one audio stream for each signal, without random identifiers."""
    return ffmpeg_bytes(
        container, codec, streams, rates, {"fflags": "+bitexact", **(options or {})}
    )


def libsndfile(container: str, codec: str, samples: Samples) -> bytes:
    """Encode with libsndfile, without a random number in Ogg and the time in the rest."""
    content = libsndfile_bytes(container, codec, samples)
    if container == "OGG":
        numbered = (page[:14] + (1).to_bytes(4, "little") + page[18:] for page in pages(content))
        content = b"".join(map(checked, numbered))
    return content


def silence(frames: int, channels: int = 2) -> Samples:
    """Nothing to hear."""
    return np.zeros((channels, frames), np.float32)


def remuxed(container: str, codec: str, change: Callable[[Any], None]) -> bytes:
    """Encode the song, and change the container before the sound is written to it.

    Parameters
    ----------
    container, codec : str
        What FFmpeg calls them.
    change : callable
        Gets the open container, of PyAV.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audio"
        options = {"fflags": "+bitexact"}
        with (
            av.open(io.BytesIO(ffmpeg(container, codec, [SONG])), "r") as source,
            av.open(str(path), "w", format=container, options=options) as target,
        ):
            stream = target.add_stream_from_template(source.streams.audio[0])
            change(target)
            for packet in source.demux(source.streams.audio[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        return path.read_bytes()


def by_program(container: str, *options: str) -> bytes:
    """Encode the song with the ``ffmpeg`` program, which knows more codecs than PyAV."""
    command = ["ffmpeg", "-v", "error", "-f", "wav", "-i", "-", *options, "-strict", "-2"]
    command += ["-fflags", "+bitexact", "-flags", "+bitexact", "-f", container, "-"]
    return subprocess.run(command, input=wav_bytes(SONG), capture_output=True, check=True).stdout
