"""Native Instruments' stem files, which DJ programs play: five streams in one MP4.

The first stream is the mixture, for players that know nothing of stems; four parts follow, and
a box in the file names them. Song and stems are AAC. Of two stems, the last two parts are
silent. Specification: Native Instruments, "Stem file format" (stems-music.com).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from songsplit.audio.containers import boxes
from songsplit.audio.ffmpeg_encoder import FFmpegEncoder
from songsplit.audio.formats import MAX_STEMS

_EMPTY = "-"
_COLORS = ("#E8A33D", "#3D7DE8", "#8A8A8A", "#8A8A8A")
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


class StemMp4Encoder(FFmpegEncoder):
    """Writes up to four mono or stereo stems, and their sum, into one file in stereo.

    The file is empty, open for reading and writing, and able to seek.
    """

    def __init__(
        self, file: BinaryIO, names: Sequence[str], sample_rate: int, kilobits: int
    ) -> None:
        super().__init__(file, "mp4", "aac", sample_rate, 2, kilobits, streams=1 + MAX_STEMS)
        self._file = file
        titles = [*(name.capitalize() for name in names), *[_EMPTY] * (MAX_STEMS - len(names))]
        self._stems = [{"name": n, "color": c} for n, c in zip(titles, _COLORS, strict=True)]

    def write(self, *stems: NDArray[Any]) -> None:
        """Append (channels, n) of every stem."""
        mixture = np.sum(stems, axis=0, dtype=np.float32)
        silence = [np.zeros_like(mixture)] * (MAX_STEMS - len(stems))
        shape = (2, mixture.shape[-1])
        super().write(*(np.broadcast_to(part, shape) for part in (mixture, *stems, *silence)))

    def close(self) -> None:
        """Complete the file, which itself stays open."""
        super().close()
        _insert(self._file, {"mastering_dsp": _MASTERING, "stems": self._stems, "version": 1})


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
