"""What a caller names as a song, opened: paths, file objects and pipes."""

from __future__ import annotations

import io
import os
import stat
import struct
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

from songsplit.audio.containers import find_samples, read_at
from songsplit.errors import AudioFileError

AudioSource: TypeAlias = str | os.PathLike[str] | BinaryIO

# So short that little has to arrive before the first sample comes out. What has tags or
# pictures of this size before its audio goes through a temporary file.
_HEAD_BYTES = 1 << 14
_MAX_SPOOLED_BYTES = 1 << 32
_SPOOLED_BLOCK = 1 << 20
# An MP3 with one of these tells how much of its end is filler, which FFmpeg heeds in files
# only. Those without, like radio, can be decoded as they come.
_MP3_LENGTHS = (b"Xing", b"Info", b"VBRI")


class _Guarded:
    """What a decoder reads from.

    Decoders lose what is raised while they read, an interruption by the user included, and go on
    as if the file ended there.
    """

    _error: BaseException | None = None

    def check(self) -> None:
        """Raise an interruption that happened while reading."""
        if self._error is not None and not isinstance(self._error, Exception):
            raise self._error


class NamelessFile(_Guarded):
    """A seekable binary file without its name.

    Both libsndfile and FFmpeg let a file's extension sway what they take the content for: a text
    file called ``notes.au`` becomes 8 kHz noise.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; none at the end, or after an error."""
        try:
            return self._file.read(size)
        except BaseException as error:
            self._error = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to `offset`; the result is negative for an impossible one."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):  # damaged files send decoders before their start
            return -1

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell()


class Pipe(_Guarded):
    """A file that cannot seek, read once from start to end; `head` is how it begins."""

    def __init__(self, file: BinaryIO) -> None:
        # Gives what there is instead of waiting for as much as is asked for.
        self._read = getattr(file, "read1", file.read)
        self._position = 0
        self.head = b""
        while len(self.head) < _HEAD_BYTES and (part := self._next(_HEAD_BYTES - len(self.head))):
            self.head += part
        self._samples = _samples_in(self.head)

    @property
    def is_stream(self) -> bool:
        """Whether the format can be decoded as it comes, and its end be told from a break."""
        return self._samples is not None or self.frames is not None or _is_mpeg_stream(self.head)

    @property
    def frames(self) -> int | None:
        """Samples per channel that a FLAC promises, 0 if it does not know; None of others."""
        if self.head[:4] != b"fLaC" or len(self.head) < 26:
            return None
        return int(struct.unpack_from(">Q", self.head, 18)[0] & ((1 << 36) - 1))

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

    def finish(self, name: str, frames: int) -> bool:
        """Say whether all that was promised has come, and raise what reading raised.

        `frames` samples per channel were decoded.
        """
        if isinstance(self._error, Exception):
            raise unreadable(name, self._error) from self._error
        self.check()
        if self._samples is not None:
            start, length = self._samples
            return length is None or self._position >= start + length - 1  # maybe no padding
        return frames >= (self.frames or 0)

    def spooled(self, name: str, resources: ExitStack) -> BinaryIO:
        """Copy everything into a temporary file on disk, which can seek."""
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


def _samples_in(head: bytes) -> tuple[int, int | None] | None:
    """Find the samples of WAV, AIFF or AU in the first bytes of a pipe."""
    file = BytesIO(head)
    found = find_samples(file)
    if found is not None and found[1] is None and head[8:12] == b"WAVE":
        inner, outer = read_at(file, found[0] - 4, 4), head[4:8]
        if inner == bytes(4) and outer not in (bytes(4), b"\xff" * 4):
            return None  # empty, or not known: only the whole file can tell
    return found


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


def open_source(source: AudioSource, resources: ExitStack) -> tuple[BinaryIO | Pipe, str]:
    """Return a seekable binary file or a pipe, and the name to call it by."""
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        file = _open_path(name)
        resources.callback(file.close)
    elif hasattr(source, "read"):
        file = source
        given = getattr(file, "name", None)
        name = given if isinstance(given, str) and given else "<file object>"
        handle: object = file
        if isinstance(handle, io.TextIOBase):
            raise AudioFileError(f"{name}: the file is open as text; open it in mode 'rb'")
    else:
        raise AudioFileError(
            f"{type(source).__name__} object: not a file; give a path or a binary file object"
        )
    try:
        pipe = None if file.seekable() else Pipe(file)
        if pipe is None:
            file.seek(0)
            is_empty = not file.read(1)
        else:
            is_empty = not pipe.head
            if not is_empty and not pipe.is_stream:
                file, pipe = pipe.spooled(name, resources), None
    except (AttributeError, OSError, ValueError) as error:
        raise unreadable(name, error) from error
    if is_empty:
        raise AudioFileError(f"{name}: the file is empty (0 bytes); copy or download it again")
    return pipe or file, name


def _open_path(name: str) -> BinaryIO:
    try:
        if Path(name).is_dir():
            raise AudioFileError(f"{name}: this is a folder; name an audio file in it")
        return Path(name).open("rb")
    except FileNotFoundError as error:
        raise AudioFileError(
            f"{name}: there is no such file; check the name and the folder"
        ) from error
    except PermissionError as error:
        raise AudioFileError(
            f"{name}: no permission to read the file; change its permissions or copy it"
        ) from error
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error


def watch(source: object, name: str) -> Callable[[], None]:
    """Return a check that raises an AudioFileError if a file named by a path has changed."""
    if not isinstance(source, str | os.PathLike):
        return lambda: None
    before = _state(source)

    def check() -> None:
        now = _state(source)
        # A file that was removed can be read to its end all the same.
        if now is not None and now != before:
            raise AudioFileError(
                f"{name}: the file changed while it was being read; wait until whatever writes "
                "it is done, and try again"
            )

    return check


def _state(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    # The time of a named pipe changes with whatever is written to it.
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def empty(name: str) -> AudioFileError:
    """Make the error for a file without samples."""
    return AudioFileError(f"{name}: the file holds no samples; export it again with audio in it")


def cut_off(name: str, seconds: float) -> AudioFileError:
    """Make the error for a file that ends too early, and say where."""
    return AudioFileError(
        f"{name}: the file is cut off: its audio stops at {seconds:.2f} s, before the end that the "
        "file itself gives; copy, download or export it again"
    )


def broken(name: str, seconds: float, length: float | None = None) -> AudioFileError:
    """Make the error for data that a decoder gives up on after some seconds."""
    whole = "" if length is None else f" of {length:.2f} s"
    return AudioFileError(
        f"{name}: the file is cut off or damaged: its audio can be read up to about "
        f"{seconds:.2f} s{whole} only; copy, download or export it again"
    )


def unreadable(name: str, error: Exception) -> AudioFileError:
    """Make the error for a failure of the system while reading."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return AudioFileError(
        f"{name}: the file cannot be read ({reason}); check the name, the disk and the file"
    )
