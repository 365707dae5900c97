"""Audio that comes through a pipe: read once from start to end, of unknown length."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from io import BytesIO
from typing import BinaryIO

from songsplit.audio._outline import examine

# The length of a file is told at its start, unless tags or pictures come first.
_HEAD_BYTES = 1 << 16
# What begins like this can be decoded as it comes, and tells its length at the start: WAV,
# W64, AIFF, AU, FLAC, Matroska and ASF.
_STREAMED = (
    *(b"RIFF", b"RF64", b"riff", b"FORM", b".snd", b"fLaC"),
    *(b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75"),
)
# An MP3 with one of these tells how much of its end is filler, which FFmpeg heeds in files
# only. Those without, like radio, can be decoded as they come.
_MP3_LENGTHS = (b"Xing", b"Info", b"VBRI")


class Pipe:
    """A file that cannot seek.

    Attributes
    ----------
    head : bytes
        How it begins.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        self.head = b""
        # A pipe gives what it has, which may be less than is asked for.
        while len(self.head) < _HEAD_BYTES and (part := file.read(_HEAD_BYTES - len(self.head))):
            self.head += part

    @property
    def streamed(self) -> bool:
        """Whether the format can be decoded as it comes."""
        if len(self.head) > 1 and self.head[0] == 0xFF and self.head[1] & 0xE6 > 0xE0:
            return not any(name in self.head[:512] for name in _MP3_LENGTHS)
        return self.head.startswith(_STREAMED)

    @property
    def cut(self) -> bool:
        """Whether, after everything was read, it was less than the start had told."""
        size = max(self._position, len(self.head))
        return examine(_Remembered(self.head, size)).cut

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        if self._position < len(self.head):
            end = len(self.head) if size < 0 else self._position + size
            data = self.head[self._position : end]
        else:
            data = self._file.read(size)
        self._position += len(data)
        return data

    def spooled(self, resources: ExitStack) -> BinaryIO:
        """Copy everything into a temporary file on disk, which can seek."""
        file: BinaryIO = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        file.write(self.head)
        shutil.copyfileobj(self._file, file)
        return file


class _Remembered(BytesIO):
    """The start of a file that was longer."""

    def __init__(self, head: bytes, size: int) -> None:
        super().__init__(head)
        self._size = size

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            super().seek(0, 2)
            return self._size + offset
        return super().seek(offset, whence)
