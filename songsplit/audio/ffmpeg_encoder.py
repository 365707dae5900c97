"""MP3, AAC and Opus by FFmpeg's libraries."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class FFmpegEncoder:
    """Writes one stream, or several of one length, to an empty file, which stays open."""

    def __init__(
        self,
        file: BinaryIO,
        container: str,
        codec: str,
        sample_rate: int,
        channels: int,
        kilobits: int,
        *,
        streams: int = 1,
    ) -> None:
        options = {"fflags": "+bitexact"}  # no random numbers in the file
        if codec == "aac":
            # In milliseconds, the default, the edit list of an MP4 cuts off the last samples.
            options["movie_timescale"] = str(sample_rate)
        self._container = av.open(file, "w", format=container, options=options)
        self._streams: list[AudioStream] = []
        for _ in range(streams):
            stream = cast("AudioStream", self._container.add_stream(codec, rate=sample_rate))
            stream.layout = _LAYOUTS[channels]
            # Bit rates are meant for stereo: as many per channel for any other number.
            stream.bit_rate = kilobits * 500 * channels
            if codec == "libopus":
                stream.codec_context.format = "flt"  # takes 16 bits otherwise
            self._streams.append(stream)
        self._layout, self._rate, self._given = _LAYOUTS[channels], sample_rate, 0

    def write(self, *blocks: NDArray[Any]) -> None:
        """Append (channels, n) to each stream."""
        for stream, block in zip(self._streams, blocks, strict=True):
            samples = np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
            frame = AudioFrame.from_ndarray(samples, format="flt", layout=self._layout)
            frame.sample_rate, frame.pts = self._rate, self._given
            self._container.mux(stream.encode(frame))
        self._given += blocks[0].shape[-1]

    def close(self) -> None:
        """Complete the file."""
        try:
            for stream in self._streams:
                self._container.mux(stream.encode(None))
        finally:
            self._container.close()
