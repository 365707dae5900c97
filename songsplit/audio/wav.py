"""WAV as 32-bit float, to a file or to a pipe."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_PLAIN_BYTES = 0xFFFFFFFF - 4096
"""Beyond this, the lengths no longer fit the fields of a plain WAV file with its header."""

_LONG = 0xFFFFFFFF  # of an RF64 file: the length is elsewhere; of a plain one: it is unknown
_IEEE_FLOAT = 3
_HEADER = struct.Struct("<4sI4s 4sI28s 4sI18s 4sII 4sI")


class WavStream:
    """Writes float32 ``(channels, n)`` blocks as WAV, which becomes RF64 beyond 4 GiB.

    Until it is closed, the header gives the largest possible length, which programs that read from
    pipes take for unknown. The file stays open.
    """

    def __init__(self, file: BinaryIO, sample_rate: int, channels: int) -> None:
        self._file, self._frames, self._frame_bytes = file, 0, 4 * channels
        rate = sample_rate, sample_rate * self._frame_bytes
        self._form = struct.pack("<HHIIHHH", _IEEE_FLOAT, channels, *rate, self._frame_bytes, 32, 0)
        self._write_header(b"RIFF", b"JUNK", _LONG, _LONG)

    def write(self, block: NDArray[Any]) -> None:
        """Append a block."""
        self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        self._file.flush()
        self._frames += block.shape[1]

    def close(self) -> None:
        """Write the length into the header."""
        size = self._frames * self._frame_bytes
        lengths = _HEADER.size - 8 + size, size
        self._file.seek(0)
        if size <= MAX_PLAIN_BYTES:
            self._write_header(b"RIFF", b"JUNK", *lengths)
        else:
            long_lengths = struct.pack("<QQQ", *lengths, self._frames)
            self._write_header(b"RF64", b"ds64", _LONG, _LONG, long_lengths)

    def _write_header(
        self, kind: bytes, first: bytes, length: int, size: int, lengths: bytes = b""
    ) -> None:
        # The first chunk is filler, or the lengths of RF64.
        start = (kind, length, b"WAVE", first, 28, lengths, b"fmt ", len(self._form), self._form)
        self._file.write(_HEADER.pack(*start, b"fact", 4, min(self._frames, _LONG), b"data", size))
