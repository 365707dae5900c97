"""What a caller names as a song, opened: paths, file objects and pipes."""

from __future__ import annotations

import io
import os
import struct
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from songsplit.audio.containers import after_id3, find_samples
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
NO_SAMPLES = "the file holds no samples; export it again with audio in it"
_PROBLEMS: dict[type[Exception], str] = {
    FileNotFoundError: "there is no such file; check the name and the folder",
    IsADirectoryError: "this is a folder; name an audio file in it",
    PermissionError: "no permission to read the file; change its permissions or copy it",
}


@dataclass(frozen=True)
class AudioInfo:
    """What is known of an audio file before its samples are read.

    The number of `frames` is None where the file does not say for certain, while `seconds` may be
    an estimate. `stems` names what a stem file holds beside its mixture, which is what is read.
    `tracks` describes the audio streams, of which films may have several, and `notes` says what is
    odd about the file.
    """

    name: str
    sample_rate: int
    channels: int
    frames: int | None
    seconds: float | None
    format: str
    stems: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Source:
    """What a decoder reads from.

    Decoders lose what is raised while they read, an interruption by the user included, and go on
    as if the file ended there. The label is for messages.
    """

    def __init__(self, file: BinaryIO, label: str) -> None:
        self.label = label
        self._file = file
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise what happened while reading."""
        if isinstance(self._error, Exception):
            raise unreadable(self.label, self._error) from self._error
        if self._error is not None:
            raise self._error


class File(_Source):
    """A seekable binary file, or a part of it, without its name.

    Both libsndfile and FFmpeg let a file's extension sway what they take the content for: a text
    file called ``notes.au`` becomes 8 kHz noise.
    """

    def __init__(self, file: BinaryIO, label: str, start: int = 0, size: int | None = None) -> None:
        super().__init__(file, label)
        self._start = start
        self._stop = file.seek(0, 2) if size is None else start + size
        self._state = _state(file)
        file.seek(start)

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; none at the end, or after an error."""
        try:
            return self._file.read(max(0, min(size, self._stop - self._file.tell())))
        except BaseException as error:
            self._error = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to `offset`; the result is negative for an impossible one."""
        try:
            place = offset + (self._start, self._file.tell(), self._stop)[whence]
            return self._file.seek(place) - self._start if place >= self._start else -1
        except (OSError, ValueError):
            return -1

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell() - self._start

    def part(self, start: int, size: int) -> File:
        """Return a part of the file as a file."""
        return File(self._file, self.label, self._start + start, size)

    def is_cut(self, frames: int) -> bool:
        """Return False: the structure of a file has told."""
        return False

    def check(self) -> None:
        """Raise what happened while reading, or an AudioFileError if the file has changed."""
        super().check()
        if _state(self._file) != self._state:
            raise AudioFileError(
                f"{self.label}: the file changed while it was being read; wait until whatever "
                "writes it is done, and try again"
            )


class Pipe(_Source):
    """A file that cannot seek, read once from start to end."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        super().__init__(file, label)
        # Gives what there is instead of waiting for as much as is asked for.
        self._read = getattr(file, "read1", file.read)
        self._position = 0
        self._head = b""
        while len(self._head) < _HEAD_BYTES and (more := self._next(_HEAD_BYTES - len(self._head))):
            self._head += more
        self._samples = find_samples(io.BytesIO(self._head))
        self._frames = 0
        if is_flac := self._head[:4] == b"fLaC" and len(self._head) > 25:
            self._frames = struct.unpack_from(">Q", self._head, 18)[0] & ((1 << 36) - 1)
        self.is_stream = self._samples is not None or is_flac or _is_mpeg_stream(self._head)

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes, which must be more than 0; none at the end or after an error."""
        data, self._head = self._head[:size], self._head[size:]
        if not data and self._error is None:
            try:
                data = self._next(size)
            except BaseException as error:
                self._error = error
        self._position += len(data)
        return data

    def is_cut(self, frames: int) -> bool:
        """Say whether less has come than the head promised; `frames` have been decoded."""
        start, length = self._samples or (0, None)
        # The padding at the end may be missing.
        return frames < self._frames or self._position < start + (length or 0) - 1

    def spooled(self, resources: ExitStack) -> BinaryIO:
        """Copy everything into a temporary file on disk, which can seek."""
        file: BinaryIO = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        file.write(self._head)
        while data := self._next(_SPOOLED_BLOCK):
            file.write(data)
            if file.tell() > _MAX_SPOOLED_BYTES:
                raise AudioFileError(
                    f"{self.label}: more than 4 GB of a format that cannot be decoded as it comes; "
                    "send WAV, FLAC or an MP3 stream, or save it to a file first"
                )
        return file

    def _next(self, size: int) -> bytes:
        data: bytes | None = self._read(size)
        if data is None:
            raise BlockingIOError("there is nothing to read yet; open it in blocking mode")
        return data


def _state(file: BinaryIO) -> tuple[int, int] | None:
    """Return size and time of a file on disk, which tell whether it changes."""
    try:
        status = os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _is_mpeg_stream(head: bytes) -> bool:
    """Recognise MP3 and ADTS without a length, from any place on."""
    if head[:3] == b"ID3" or any(name in head[:512] for name in _MP3_LENGTHS):
        return False
    import av

    try:
        with av.open(io.BytesIO(head), options={"protocol_whitelist": "none"}) as container:
            return container.format.name in ("mp3", "aac")
    except (av.FFmpegError, ValueError):
        return False


def open_source(source: AudioSource, resources: ExitStack) -> File | Pipe:
    """Open a path or take a file object, in its place or through a temporary file."""
    file: Any = source
    name = getattr(source, "name", None)
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
    elif not isinstance(name, str) or not name:
        name = "<file object>"
    try:
        if isinstance(source, str | os.PathLike):
            file = Path(source).open("rb")  # noqa: SIM115
            resources.callback(file.close)
        if isinstance(file, io.TextIOBase):
            raise AudioFileError(f"{name}: the file is open as text; open it in mode 'rb'")
        if not hasattr(file, "read"):
            kind = type(source).__name__
            raise AudioFileError(f"{kind} object: not a file; give a path or a binary file object")
        if not file.seekable():
            pipe = Pipe(file, name)
            if pipe.is_stream:
                return pipe
            file = pipe.spooled(resources)
        if not file.seek(0, 2):
            reason = "the file is empty (0 bytes); copy or download it again"
            raise AudioFileError(f"{name}: {reason}")
        return File(file, name, after_id3(file))
    except (AttributeError, OSError, ValueError) as error:
        raise unreadable(name, error) from error


def cut_off(name: str, seconds: float) -> AudioFileError:
    """Make the error for a file that ends too early, or cannot be decoded to its end."""
    return AudioFileError(
        f"{name}: the file is cut off or damaged: its audio can be read up to {seconds:.2f} s; "
        "copy, download or export it again"
    )


def unreadable(name: str, error: Exception) -> AudioFileError:
    """Make the error for a failure of the system while opening or reading."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    problem = f"the file cannot be read ({reason}); check the name, the disk and the file"
    return AudioFileError(f"{name}: {_PROBLEMS.get(type(error), problem)}")
