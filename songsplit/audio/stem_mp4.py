"""Native Instruments' stem files, which DJ programs play: five streams in one MP4.

The first stream is the mixture, for players that know nothing of stems; four parts follow, and
a box in the file names them. Song and stems are AAC. Of two stems, the last two parts are
silent. Specification: Native Instruments, "Stem file format" (stems-music.com).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from songsplit.audio.containers import boxes
from songsplit.errors import OutputError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

_PARTS = 4
_EMPTY = "-"
_COLORS = ("#E8A33D", "#3D7DE8", "#8A8A8A", "#8A8A8A")
_FRAME = 1024  # of AAC
_HEAD = 8  # bytes of a box before its content
# What the format asks players to do with the sum of the parts: nothing.
_MASTERING: dict[str, Any] = {
    "compressor": {
        "enabled": False,
        "ratio": 3,
        "output_gain": 0.5,
        "release": 0.3,
        "attack": 0.003,
        "input_gain": 0.5,
        "threshold": 0,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.05, "threshold": 0, "ceiling": -0.35},
}


class StemMp4Encoder:
    """Writes up to four mono or stereo stems, and their sum, into one file in stereo.

    The file is empty, open for reading and writing, and able to seek.
    """

    def __init__(
        self, file: BinaryIO, names: Sequence[str], sample_rate: int, channels: int, kilobits: int
    ) -> None:
        import av

        if channels > 2 or len(names) > _PARTS:
            raise OutputError(
                f"stem files hold {_PARTS} stereo stems, not {len(names)} of {channels} channels: "
                "use another format"
            )
        self._file = file
        self._names = [*names, *[_EMPTY] * (_PARTS - len(names))]
        self._rate, self._given = sample_rate, 0
        # In milliseconds, the default, the edit lists cut off the last samples.
        options = {"movie_timescale": str(sample_rate), "fflags": "+bitexact"}
        self._container = av.open(file, "w", format="mp4", options=options)
        self._streams: list[AudioStream] = []
        for _ in range(1 + _PARTS):
            stream = self._container.add_stream("aac", rate=sample_rate)
            stream.layout = "stereo"
            stream.bit_rate = 1000 * kilobits
            self._streams.append(stream)
        self._resamplers = [
            av.AudioResampler("fltp", "stereo", sample_rate, frame_size=_FRAME)
            for _ in self._streams
        ]

    def write(self, blocks: Sequence[NDArray[Any]]) -> None:
        """Append (channels, n) of every stem."""
        from av import AudioFrame

        if not blocks[0].shape[-1]:
            return
        silence = np.zeros_like(blocks[0])
        mixture = np.sum(blocks, axis=0, dtype=np.float32).clip(-1, 1)
        parts = [mixture, *blocks, *[silence] * (_PARTS - len(blocks))]
        for index, part in enumerate(parts):
            stereo = np.ascontiguousarray(np.broadcast_to(part, (2, part.shape[-1])))
            frame = AudioFrame.from_ndarray(stereo, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = self._rate, self._given
            self._encode(index, frame)
        self._given += blocks[0].shape[-1]

    def close(self) -> None:
        """Complete the file, which itself stays open."""
        for index, stream in enumerate(self._streams):
            self._encode(index, None)
            self._container.mux(stream.encode(None))
        self._container.close()
        stems = [
            {"name": name, "color": color} for name, color in zip(self._names, _COLORS, strict=True)
        ]
        _insert(self._file, {"mastering_dsp": _MASTERING, "stems": stems, "version": 1})

    def abort(self) -> None:
        """Let go of a file that nobody wants any more; after closing, do nothing."""
        with suppress(Exception):
            self._container.close()

    def _encode(self, index: int, frame: Any) -> None:
        for piece in self._resamplers[index].resample(frame):
            self._container.mux(self._streams[index].encode(piece))


def _insert(file: BinaryIO, description: dict[str, Any]) -> None:
    """Add the box ``moov/udta/stem`` to a file whose ``moov`` is the last box."""
    content_start, end = next(boxes(file, (0, file.seek(0, 2)), b"moov"))
    moov = content_start - _HEAD
    file.seek(moov)
    content = bytearray(file.read(end - moov))
    text = json.dumps(description).encode()
    stem = struct.pack(">I4s", 8 + len(text), b"stem") + text
    udta_start, udta_end = next(boxes(file, (content_start, end), b"udta"))
    # The last box of the last box: nothing that follows has to move.
    assert udta_end == end
    udta = udta_start - _HEAD - moov
    content += stem
    for at in (0, udta):
        size = struct.unpack_from(">I", content, at)[0]
        struct.pack_into(">I", content, at, size + len(stem))
    file.seek(moov)
    file.write(content)
