"""WAV as 32-bit float, to a file that grows or to a pipe."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

from songsplit.audio.arrays import FloatArray

# The length fields of a plain WAV file have 32 bits; all set, they point to longer ones.
_SEE_LONG_LENGTH = 0xFFFFFFFF
_MAX_PLAIN_BYTES = _SEE_LONG_LENGTH - 1
_BYTES_PER_SAMPLE = 4
_IEEE_FLOAT = 3
_HEADER = struct.Struct("<4sI4s 4sI28s 4sIHHIIHHH 4sII 4sI")


class WavStream:
    """Writes float32 ``(channels, n)`` blocks as WAV to where nothing can be changed later.

    The header gives the largest possible length, which programs that read from pipes take for
    unknown. The file stays open.
    """

    def __init__(self, file: BinaryIO, sample_rate: int, channels: int) -> None:
        self._file = file
        file.write(_header(sample_rate, channels, None))

    def write(self, block: FloatArray) -> None:
        """Append a block."""
        self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        self._file.flush()


class GrowingWav:
    """Writes float32 ``(channels, n)`` blocks as WAV to a file, which becomes RF64 beyond 4 GiB."""

    def __init__(self, file: BinaryIO, sample_rate: int, channels: int) -> None:
        self._file, self._sample_rate, self._channels = file, sample_rate, channels
        self._frames = 0
        file.write(_header(sample_rate, channels, 0))

    def write(self, block: FloatArray) -> None:
        """Append a block."""
        self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        self._frames += block.shape[1]

    def close(self) -> None:
        """Write the length into the header, and close the file."""
        self._file.seek(0)
        self._file.write(_header(self._sample_rate, self._channels, self._frames))
        self._file.close()


def _header(sample_rate: int, channels: int, frames: int | None) -> bytes:
    """Return the header of a float32 WAV file, or of an RF64 file beyond 4 GiB.

    A block of filler keeps room for the 64-bit lengths, so that both have one size and the choice
    can wait until the length is known. If it never is, the header says so.
    """
    frame_bytes = channels * _BYTES_PER_SAMPLE
    is_known = frames is not None
    frames = frames or 0
    data_bytes = frames * frame_bytes
    riff_bytes = _HEADER.size - 8 + data_bytes
    is_large = is_known and riff_bytes > _MAX_PLAIN_BYTES
    is_open = is_large or not is_known
    lengths = struct.pack("<QQQI", riff_bytes, data_bytes, frames, 0) if is_large else b""
    return _HEADER.pack(
        b"RF64" if is_large else b"RIFF",
        _SEE_LONG_LENGTH if is_open else riff_bytes,
        b"WAVE",
        b"ds64" if is_large else b"JUNK",
        28,
        lengths,
        b"fmt ",
        18,
        _IEEE_FLOAT,
        channels,
        sample_rate,
        sample_rate * frame_bytes,
        frame_bytes,
        8 * _BYTES_PER_SAMPLE,
        0,
        b"fact",
        4,
        min(frames, _SEE_LONG_LENGTH),
        b"data",
        _SEE_LONG_LENGTH if is_open else data_bytes,
    )
