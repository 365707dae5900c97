"""Open songs that callers pass as paths, file objects or pipes."""

from __future__ import annotations

import io
import os
import struct
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from songsplit.audio.containers import (
    FILE_STARTS,
    MAX_TAG_BYTES,
    UnreadableError,
    after_id3,
    find_samples,
    read_at,
)

if TYPE_CHECKING:
    from av.container import InputContainer

AudioSource: TypeAlias = str | os.PathLike[str] | BinaryIO

# Short, so that decoding starts after few bytes. Streams with larger tags or pictures before
# their audio go through a temporary file.
_HEAD_BYTES = 1 << 14
_MAX_SPOOLED_BYTES = 1 << 32
_SPOOLED_BLOCK = 1 << 20
_PIPE_PROBE_BYTES = 1 << 17
_PIPE_BUFFER_BYTES = 1 << 12
_FILE_BUFFER_BYTES = 1 << 15
# These headers state how much padding an MP3 has at its end, which FFmpeg respects only in
# seekable files. An MP3 without them, such as a radio stream, can be decoded from a pipe.
_MP3_LENGTHS = (b"Xing", b"Info", b"VBRI")
NO_SAMPLES = "the file holds no samples; export it again with audio in it"
_PROBLEMS: dict[type[Exception], str] = {
    FileNotFoundError: "there is no such file; check the name and the folder",
    IsADirectoryError: "this is a folder; name an audio file in it",
    PermissionError: "no permission to read the file; change its permissions or copy it",
}


@dataclass(frozen=True)
class AudioInfo:
    """Properties of an audio file that are known before its samples are read."""

    sample_rate: int
    channels: int
    frames: int | None  # None if the file does not state it exactly
    seconds: float | None  # may be an estimate
    format: str
    stems: tuple[str, ...] = ()  # names in a stem file, of which the mixture is read
    tracks: tuple[str, ...] = ()  # descriptions of the sound tracks; films may have several
    notes: tuple[str, ...] = ()  # warnings about the file
    name: str = ""  # set by open_audio


class _Source:
    """Base class of the inputs of decoders."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # Decoders drop exceptions raised while they read, even KeyboardInterrupt.
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise the error of an earlier read, if there was one."""
        if isinstance(self._error, Exception):
            raise unreadable(self._error) from self._error
        if self._error is not None:
            raise self._error


class File(_Source):
    """A seekable binary file, or a part of it, without its name.

    With a name, libsndfile and FFmpeg would guess the format from the extension: they decode a text
    file called ``notes.au`` as noise at 8 kHz.
    """

    def __init__(self, file: BinaryIO, start: int = 0, size: int | None = None) -> None:
        super().__init__(file)
        self._start = start
        self._stop = file.seek(0, 2) if size is None else start + size
        self._state = _state(file)
        file.seek(start)

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; return none at the end or after an error."""
        try:
            return self._file.read(max(0, min(size, self._stop - self._file.tell())))
        except BaseException as error:
            self._error = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to `offset` and return the position, or -1 if it is impossible."""
        try:
            place = offset + (self._start, self._file.tell(), self._stop)[whence]
            return self._file.seek(place) - self._start if place >= self._start else -1
        except (OSError, ValueError):
            return -1

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell() - self._start

    def part(self, start: int, size: int) -> File:
        """Return a part of the file as a File."""
        return File(self._file, self._start + start, size)

    def check(self) -> None:
        """Raise the error of an earlier read, or an UnreadableError if the file has changed."""
        super().check()
        if _state(self._file) != self._state:
            raise UnreadableError(
                "the file changed while it was read; wait until the program that writes it has "
                "finished, and try again"
            )


class Pipe(_Source):
    """A file that is not seekable, read once from start to end."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        # read1 returns the bytes that have arrived instead of waiting for `size` bytes.
        self._read = getattr(file, "read1", file.read)
        self._position = 0
        self._after = b""  # the first bytes after the samples
        self._head = b""
        while len(self._head) < _HEAD_BYTES and (more := self._next(_HEAD_BYTES - len(self._head))):
            self._head += more
        self._samples = find_samples(io.BytesIO(self._head))
        self._frames = 0
        if is_flac := self._head[:4] == b"fLaC" and len(self._head) > 25:
            self._frames = struct.unpack_from(">Q", self._head, 18)[0] & ((1 << 36) - 1)
        self.is_stream = self._samples is not None or is_flac or _is_mpeg_stream(self._head)

    def read(self, size: int) -> bytes:
        """Read up to `size` > 0 bytes; return none at the end or after an error."""
        data, self._head = self._head[:size], self._head[size:]
        if not data and self._error is None:
            try:
                data = self._next(size)
            except BaseException as error:
                self._error = error
        self._position += len(data)
        start, length = self._samples or (0, None)
        if length and len(self._after) < 4:
            over = self._position - start - length - length % 2
            self._after += data[-over:] if over > 0 else b""
        return data

    def is_cut(self, frames: int) -> bool:
        """Return whether the pipe ended before the length in its header; `frames` were decoded."""
        start, length = self._samples or (0, None)
        # The padding at the end may be missing.
        return frames < self._frames or self._position < start + (length or 0) - 1

    def check_end(self) -> None:
        """Raise an UnreadableError if data go on beyond the length in the header."""
        start, length = self._samples or (0, None)
        if not length:
            return
        end = start + length + MAX_TAG_BYTES
        while self._position <= end and self.read(_SPOOLED_BLOCK):
            pass
        self.check()
        if self._position > end or self._after[:4] in FILE_STARTS:
            raise UnreadableError(
                "the pipe holds more data than the header states: the audio is larger than "
                "4 GiB, or several files are joined end to end; save it to a file first"
            )

    def spooled(self, resources: ExitStack) -> BinaryIO:
        """Copy everything into a temporary file on disk, which is seekable."""
        file: BinaryIO = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        file.write(self._head)
        while data := self._next(_SPOOLED_BLOCK):
            file.write(data)
            if file.tell() > _MAX_SPOOLED_BYTES:
                raise UnreadableError(
                    "the pipe holds more than 4 GB in a format that cannot be decoded from a pipe; "
                    "send WAV, FLAC or an MP3 stream, or save it to a file first"
                )
        return file

    def _next(self, size: int) -> bytes:
        data: bytes | None = self._read(size)
        if data is None:
            raise BlockingIOError("no data yet; open the pipe in blocking mode")
        return data


def _state(file: BinaryIO) -> tuple[int, int] | None:
    """Return size and modification time of a file on disk, to detect changes."""
    try:
        status = os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _is_mpeg_stream(head: bytes) -> bool:
    """Return whether bytes are from an MP3 or ADTS stream without a stated length."""
    if head[:3] == b"ID3" or any(name in head[:512] for name in _MP3_LENGTHS):
        return False
    with suppress(UnreadableError), open_container(io.BytesIO(head)) as container:
        return container.format.name in ("mp3", "aac")
    return False


def open_container(source: File | Pipe | BinaryIO) -> InputContainer:
    """Open a source with FFmpeg's libraries, or raise an UnreadableError."""
    # PyAV loads slowly, and most files do not need it.
    import av

    # A playlist could name other files or addresses; FFmpeg must not open them.
    options, buffer_size = {"protocol_whitelist": "none"}, _FILE_BUFFER_BYTES
    if isinstance(source, Pipe):
        # FFmpeg would otherwise probe seconds of audio before it decodes the first sample.
        options["probesize"], buffer_size = str(_PIPE_PROBE_BYTES), _PIPE_BUFFER_BYTES
    else:
        source.seek(0)
    try:
        return av.open(
            source, "r", metadata_errors="replace", options=options, buffer_size=buffer_size
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(source, _Source):
            source.check()
        if isinstance(source, File) and read_at(source, 4, 4) == b"ftyp":
            raise UnreadableError(
                "the file is cut off or damaged: its index is missing or unreadable; copy, "
                "download or export the file again"
            ) from error
        raise UnreadableError(
            "not a readable audio file; use WAV, FLAC, MP3, M4A, Ogg or another common format"
        ) from error


def source_name(source: object) -> str:
    """Return the name of a source for messages."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if not hasattr(source, "read"):
        return f"{type(source).__name__} object"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else "<file object>"


def open_source(source: AudioSource, resources: ExitStack) -> File | Pipe:
    """Open a path or a file object, directly or through a temporary file."""
    file: Any = source
    try:
        if isinstance(source, str | os.PathLike):
            file = resources.enter_context(Path(source).open("rb"))  # noqa: SIM115
        if isinstance(file, io.TextIOBase):
            raise UnreadableError("the file is open as text; open it in mode 'rb'")
        if not hasattr(file, "read"):
            raise UnreadableError("not a file; give a path or a binary file object")
        if not file.seekable():
            pipe = Pipe(file)
            if pipe.is_stream:
                return pipe
            file = pipe.spooled(resources)
        if not file.seek(0, 2):
            raise UnreadableError("the file is empty (0 bytes); copy or download it again")
        return File(file, after_id3(file))
    except (AttributeError, OSError, ValueError) as error:
        raise unreadable(error) from error


def cut_off(seconds: float) -> UnreadableError:
    """Return the error for a file that ends too early or cannot be decoded to its end."""
    return UnreadableError(
        f"the file is cut off or damaged: its audio can be read up to {seconds:.2f} s; "
        "copy, download or export it again"
    )


def unreadable(error: Exception) -> UnreadableError:
    """Return the error for a system error while opening or reading."""
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    problem = f"the file cannot be read ({reason}); check the name, the disk and the file"
    return UnreadableError(_PROBLEMS.get(type(error), problem))
