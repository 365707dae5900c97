"""Writing WAV: files that are either whole or not there at all, and streams."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from songsplit.audio._types import FloatArray
from songsplit.errors import OutputError

# The length fields of a plain WAV file have 32 bits; all set, they point to longer ones.
_SEE_LONG_LENGTH = 0xFFFFFFFF
_MAX_PLAIN_BYTES = _SEE_LONG_LENGTH - 1
_BYTES_PER_SAMPLE = 4
_PART = ".part"
# In a container, the program may have the same process number every time.
_RUN = secrets.token_hex(4)
_IEEE_FLOAT = 3
_HEADER = struct.Struct("<4sI4s 4sI28s 4sIHHIIHHH 4sII 4sI")


def _wav_header(sample_rate: int, channels: int, frames: int | None) -> bytes:
    """Return the header of a float32 WAV file, or of an RF64 file beyond 4 GiB.

    A block of filler keeps room for the 64-bit lengths, so that both have one size and
    the choice can wait until the length is known. If it never is, the header says so.
    """
    frame_bytes = channels * _BYTES_PER_SAMPLE
    known = frames is not None
    frames = frames or 0
    data_bytes = frames * frame_bytes
    riff_bytes = _HEADER.size - 8 + data_bytes
    large = known and riff_bytes > _MAX_PLAIN_BYTES
    open_end = large or not known
    lengths = struct.pack("<QQQI", riff_bytes, data_bytes, frames, 0) if large else b""
    return _HEADER.pack(
        b"RF64" if large else b"RIFF",
        _SEE_LONG_LENGTH if open_end else riff_bytes,
        b"WAVE",
        b"ds64" if large else b"JUNK",
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
        _SEE_LONG_LENGTH if open_end else data_bytes,
    )


class WavStream:
    """Writes WAV, as 32-bit float, to where nothing can be changed afterwards, like a pipe.

    Programs that read from pipes take the length that the header gives, the largest
    possible, for unknown.

    Parameters
    ----------
    file : binary file object
        Stays open.
    sample_rate : int
        Sample rate in Hz.
    channels : int
        Number of channels.
    """

    def __init__(self, file: BinaryIO, sample_rate: int, channels: int) -> None:
        self._file = file
        file.write(_wav_header(sample_rate, channels, None))

    def write(self, block: FloatArray) -> None:
        """Append float32 ``(channels, n)``."""
        self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        self._file.flush()


def part_name(path: Path) -> Path:
    """Return a new temporary name beside a final one.

    It tells which file it is for, by a digest, since the name itself may already be as long
    as allowed, and which process writes it.
    """
    return path.with_name(f"{_mark(path)}{os.getpid()}-{_RUN}-{secrets.token_hex(4)}{_PART}")


def left_behind(path: Path) -> list[Path]:
    """List temporary files for a final one whose processes ended without removing them."""
    found = []
    with contextlib.suppress(OSError):
        for part in path.parent.glob(f"{_mark(path)}*"):
            process, _, rest = part.name.removeprefix(_mark(path)).partition("-")
            if process.isdecimal() and not _is_running(int(process), rest.partition("-")[0]):
                found.append(part)
    return found


def _mark(path: Path) -> str:
    return f".songsplit-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def _is_running(process: int, run: str) -> bool:
    if process == os.getpid():
        return run == _RUN
    if os.name != "posix":
        return True  # there, signal 0 would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


class PartFile:
    """A WAV file in the making, under a temporary name beside its final one."""

    def __init__(self, path: Path, sample_rate: int, channels: int) -> None:
        self.path = path
        self.part = part_name(path)
        self._sample_rate = sample_rate
        self._channels = channels
        self._frames = 0
        self._second: Path | None = None
        self._file: BinaryIO = self.part.open("xb")
        self._write_header()

    def _write_header(self) -> None:
        self._file.seek(0)
        self._file.write(_wav_header(self._sample_rate, self._channels, self._frames))

    def write(self, block: FloatArray) -> None:
        """Append float32 ``(channels, n)``."""
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(f"a block of shape ({self._channels}, n) is needed, not {block.shape}")
        self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        self._frames += block.shape[1]

    def finish(self) -> None:
        """Complete the file, still under its temporary name."""
        self._write_header()
        self._file.close()

    def begin_again(self) -> BinaryIO:
        """Open a second temporary file, for another format of what is finished."""
        self._second = part_name(self.path)
        self._file = self._second.open("x+b")
        return self._file

    def use_again(self) -> None:
        """Put the second file in the place of the first."""
        assert self._second is not None
        self._second.replace(self.part)
        self._second = None

    def discard(self) -> None:
        """Remove what there is."""
        # Closing writes what is buffered, which on a full disk fails once more.
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self.part.unlink(missing_ok=True)
        if self._second is not None:
            with contextlib.suppress(OSError):
                self._second.unlink(missing_ok=True)


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors into ones that name the file and the remedy."""
    try:
        yield
    except PermissionError as error:
        raise OutputError(
            f"{path}: no permission to write there; choose another output folder"
        ) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(
            f"{path}: a file is in the way where a folder is needed; choose another output folder"
        ) from error
    except OSError as error:
        remedy = "check the name and the disk"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "free some space or choose another output folder"
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); {remedy}"
        ) from error
