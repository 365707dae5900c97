"""WAV as 32-bit float, to a file or to a pipe."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_PLAIN_BYTES = 0xFFFFFFFF - 4096
"""Beyond this, the lengths no longer fit the fields of a plain WAV file with its header."""

_LONG = 0xFFFFFFFF  # of an RF64 file: the length is elsewhere; of a plain one: it is unknown
_IEEE_FLOAT = 3
_HEADER = struct.Struct("<4sI4s 4sI28s 4sIHHIIHHH 4sII 4sI")


class WavStream:
    """Writes float32 ``(channels, n)`` blocks as WAV, which becomes RF64 beyond 4 GiB.

    Until it is closed, the header gives the largest possible length, which programs that read from
    pipes take for unknown. The file stays open.
    """

    def __init__(self, file: BinaryIO | io.FileIO, sample_rate: int, channels: int) -> None:
        self._file, self._sample_rate, self._channels = file, sample_rate, channels
        self._frames = 0
        self._write_header(_LONG, _LONG, b"RIFF", b"JUNK")

    def write(self, block: NDArray[Any]) -> None:
        """Append a block."""
        self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        self._file.flush()
        self._frames += block.shape[1]

    def close(self) -> None:
        """Write the length into the header."""
        size = self._frames * self._channels * 4
        self._file.seek(0)
        if size <= MAX_PLAIN_BYTES:
            self._write_header(_HEADER.size - 8 + size, size, b"RIFF", b"JUNK")
        else:
            lengths = struct.pack("<QQQI", _HEADER.size - 8 + size, size, self._frames, 0)
            self._write_header(_LONG, _LONG, b"RF64", b"ds64", lengths)

    def _write_header(
        self, length: int, data_length: int, kind: bytes, first: bytes, lengths: bytes = b""
    ) -> None:
        frame_bytes = 4 * self._channels
        rate = self._sample_rate
        header = _HEADER.pack(
            *(kind, length, b"WAVE"),
            *(first, 28, lengths),  # filler keeps room for the lengths of RF64
            *(
                b"fmt ",
                18,
                _IEEE_FLOAT,
                self._channels,
                rate,
                rate * frame_bytes,
                frame_bytes,
                32,
                0,
            ),
            *(b"fact", 4, min(self._frames, _LONG)),
            *(b"data", data_length),
        )
        self._file.write(header)
