"""Writing WAV: files that are either whole or not there at all, and streams."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from songsplit.audio._types import FloatArray
from songsplit.errors import OutputError

# The length fields of a plain WAV file have 32 bits; all set, they point to longer ones.
_SEE_LONG_LENGTH = 0xFFFFFFFF
_MAX_PLAIN_BYTES = _SEE_LONG_LENGTH - 1
_BYTES_PER_SAMPLE = 4
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


class _PartFile:
    """A WAV file in the making, under a temporary name beside its final one."""

    def __init__(self, path: Path, sample_rate: int, channels: int) -> None:
        self.path = path
        self.existed = path.exists()
        # Not named after the final file, whose name may already be as long as allowed.
        self.part = path.with_name(f".songsplit-{secrets.token_hex(8)}.part")
        self._sample_rate = sample_rate
        self._channels = channels
        self._frames = 0
        self._file: BinaryIO = self.part.open("xb")
        self._write_header()

    def _write_header(self) -> None:
        self._file.seek(0)
        self._file.write(_wav_header(self._sample_rate, self._channels, self._frames))

    def write(self, block: FloatArray) -> None:
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(f"a block of shape ({self._channels}, n) is needed, not {block.shape}")
        self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        self._frames += block.shape[1]

    def finish(self) -> None:
        """Complete the file, still under its temporary name."""
        self._write_header()
        self._file.close()

    def discard(self) -> None:
        # Closing writes what is buffered, which on a full disk fails once more.
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self.part.unlink(missing_ok=True)


class StemFilesWriter:
    """Writes several WAV files of one length that appear together or not at all.

    The files are 32-bit float WAV (RF64 beyond 4 GiB) and grow under hidden temporary
    names in their final folders, which are made where missing. Leaving the ``with``
    statement normally gives them their final names, in place of any files of those
    names; leaving it by an exception removes them and the folders that were made.

    Parameters
    ----------
    paths : mapping of str to path-like
        The file of each stem.
    sample_rate : int
        Sample rate in Hz.
    channels : int
        Number of channels of every stem.

    Raises
    ------
    OutputError
        On entry, if a file cannot be made, and later, if it cannot be written: no
        permission, a full disk, a folder or file in the way, one path for two stems.
    """

    def __init__(
        self, paths: Mapping[str, str | os.PathLike[str]], sample_rate: int, channels: int
    ) -> None:
        self._paths = {stem: Path(path) for stem, path in paths.items()}
        self._sample_rate = sample_rate
        self._channels = channels
        self._parts: dict[str, _PartFile] = {}
        self._made_folders: list[Path] = []

    def __enter__(self) -> Self:
        seen: set[Path] = set()
        for path in self._paths.values():
            with _output_errors(path):
                # A bad name is found now, not when hours of work are to be renamed.
                with contextlib.suppress(FileNotFoundError):
                    if stat.S_ISDIR(path.stat().st_mode):
                        raise OutputError(f"{path}: this is a folder; choose another output name")
                place = path.parent.resolve() / path.name
            if place in seen:
                raise OutputError(f"{path}: two results have this name; give each its own")
            seen.add(place)
        try:
            for stem, path in self._paths.items():
                with _output_errors(path):
                    self._make_folder(path.parent)
                    self._parts[stem] = _PartFile(path, self._sample_rate, self._channels)
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, blocks: Mapping[str, FloatArray]) -> None:
        """Append one block to every file.

        Parameters
        ----------
        blocks : mapping of str to ndarray
            For each stem, float32 ``(channels, n)`` with the same n; full scale is 1,
            and values beyond are kept.

        Raises
        ------
        OutputError
            If a file cannot be written.
        ValueError
            If the stems, channels or lengths do not fit.
        """
        if blocks.keys() != self._parts.keys():
            raise ValueError(f"blocks for {sorted(self._parts)} are needed, not {sorted(blocks)}")
        if len({block.shape for block in blocks.values()}) > 1:
            raise ValueError("the blocks of all stems must have the same shape")
        for stem, block in blocks.items():
            part = self._parts[stem]
            with _output_errors(part.path):
                part.write(block)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._discard()
            return
        try:
            self._commit()
        except BaseException:
            self._discard()
            raise

    def _make_folder(self, folder: Path) -> None:
        missing: list[Path] = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            # Another process may make it first; then it is not ours to remove.
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                self._made_folders.append(folder)

    def _commit(self) -> None:
        for part in self._parts.values():
            with _output_errors(part.path):
                part.finish()
        placed: list[_PartFile] = []
        try:
            for part in self._parts.values():
                with _output_errors(part.path):
                    part.part.replace(part.path)
                placed.append(part)
        except BaseException:
            for part in placed:
                if not part.existed:
                    part.path.unlink(missing_ok=True)
            raise

    def _discard(self) -> None:
        for part in self._parts.values():
            part.discard()
        for folder in reversed(self._made_folders):
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def _output_errors(path: Path) -> Iterator[None]:
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
