"""Audio that comes through a pipe: read once from start to end, of unknown length."""

from __future__ import annotations

import struct
import tempfile
from contextlib import ExitStack
from io import BytesIO
from typing import BinaryIO

from songsplit.audio._outline import audio_chunk
from songsplit.errors import AudioFileError

# So short that little has to arrive before the first sample comes out. What has tags or
# pictures of this size before its audio goes through a temporary file.
_HEAD_BYTES = 1 << 14
_MAX_SPOOLED_BYTES = 1 << 32
_SPOOLED_BLOCK = 1 << 20
# An MP3 with one of these tells how much of its end is filler, which FFmpeg heeds in files
# only. Those without, like radio, can be decoded as they come.
_MP3_LENGTHS = (b"Xing", b"Info", b"VBRI")


class Pipe:
    """A file that cannot seek.

    Errors while it is read, an interruption by the user included, must not get lost in the
    decoder that reads it: to that they look like the end, and :meth:`finish` raises them.

    Parameters
    ----------
    file : binary file object
        Stays open.

    Attributes
    ----------
    head : bytes
        How it begins.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # Gives what there is instead of waiting for as much as is asked for.
        self._read = getattr(file, "read1", file.read)
        self._position = 0
        self._error: BaseException | None = None
        self.head = b""
        while len(self.head) < _HEAD_BYTES and (part := self._next(_HEAD_BYTES - len(self.head))):
            self.head += part
        self._audio = audio_chunk(BytesIO(self.head))

    @property
    def streamed(self) -> bool:
        """Whether the format can be decoded as it comes, and its end be told from a break."""
        return self._audio is not None or self.frames is not None or _is_mpeg_stream(self.head)

    @property
    def frames(self) -> int | None:
        """Samples per channel that a FLAC promises, 0 if it does not know; None of others."""
        if self.head[:4] != b"fLaC" or len(self.head) < 26:
            return None
        return int(struct.unpack_from(">Q", self.head, 18)[0] & ((1 << 36) - 1))

    def check(self) -> None:
        """Raise an interruption that happened while reading."""
        if self._error is not None and not isinstance(self._error, Exception):
            raise self._error

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; none at the end, or after an error."""
        if self._position < len(self.head):
            end = len(self.head) if size < 0 else self._position + size
            data = self.head[self._position : end]
        elif self._error is not None:
            data = b""
        else:
            try:
                data = self._next(size)
            except BaseException as error:
                self._error = error
                data = b""
        self._position += len(data)
        return data

    def finish(self, frames: int) -> bool:
        """Say whether everything that was promised has come.

        Parameters
        ----------
        frames : int
            Samples per channel that were decoded.

        Raises
        ------
        BaseException
            What reading raised on the way.
        """
        if self._error is not None:
            raise self._error
        if self._audio is not None:
            start, length = self._audio
            return length is None or self._position >= start + length - 1  # maybe no padding
        return frames >= (self.frames or 0)

    def spooled(self, name: str, resources: ExitStack) -> BinaryIO:
        """Copy everything into a temporary file on disk, which can seek.

        Raises
        ------
        AudioFileError
            If that is so much that it may never end.
        """
        file: BinaryIO = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        file.write(self.head)
        while data := self._next(_SPOOLED_BLOCK):
            file.write(data)
            if file.tell() > _MAX_SPOOLED_BYTES:
                raise AudioFileError(
                    f"{name}: more than 4 GB of a format that cannot be decoded as it comes; "
                    "send WAV, FLAC or an MP3 stream, or save it to a file first"
                )
        return file

    def _next(self, size: int) -> bytes:
        data: bytes | None = self._read(size)
        if data is None:
            raise BlockingIOError("there is nothing to read yet; open it in blocking mode")
        return data


def _is_mpeg_stream(head: bytes) -> bool:
    """Recognise MP3 and ADTS without a length, from any place on."""
    if head[:3] == b"ID3" or any(name in head[:512] for name in _MP3_LENGTHS):
        return False
    import av

    try:
        with av.open(BytesIO(head), options={"protocol_whitelist": "none"}) as container:
            return container.format.name in ("mp3", "aac")
    except (av.FFmpegError, ValueError):
        return False
