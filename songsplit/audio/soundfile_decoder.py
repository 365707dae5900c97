"""Decoding with libsndfile: WAV, FLAC, Ogg, AIFF, CAF and other plain formats."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from songsplit.audio.arrays import FloatArray
from songsplit.audio.opening import NamelessFile, broken

# libsndfile reports the largest count where it does not know the length.
_UNKNOWN_FRAMES = 1 << 62
# A damaged chunk is lost as a whole, so short ones tell well where the damage is.
_CHUNK_FRAMES = 4096


class UnsupportedError(Exception):
    """The file is one for FFmpeg."""


def _renew_lock() -> None:
    """Give soundfile a new lock for opening files.

    A thread that is opening a file while another one forks does not come along into the child:
    nobody would ever open its lock there.
    """
    name = "_sf_error_lock"  # not in older versions
    if hasattr(soundfile.SoundFile, name):
        setattr(soundfile.SoundFile, name, threading.Lock())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file read from start to end only.

    The base class seeks to where it already is after each read, which for compressed files
    means decoding again.
    """

    def seekable(self) -> bool:
        """Return False, whatever the file can do."""
        return False


class SoundFileDecoder:
    """Reads a seekable file with libsndfile, or raises UnsupportedError."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        file.seek(0)
        try:
            self._source = NamelessFile(file)
            self._file = _SequentialFile(_descriptor(file) or self._source)
        except (soundfile.SoundFileError, OSError) as error:
            raise UnsupportedError from error
        # The length of an MP3, also of one inside a WAV, is an estimate at which libsndfile
        # stops, and of a FLAC without a length it does not find the end.
        if self._file.subtype.startswith("MPEG") or self._file.frames >= _UNKNOWN_FRAMES:
            self._file.close()
            raise UnsupportedError
        self._name = name
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int | None = self._file.frames
        self.seconds: float | None = self._file.frames / self.sample_rate
        self.format = f"{self._file.format} {self._file.subtype}"

    def chunks(self) -> Iterator[FloatArray]:
        """Yield ``(channels, n)`` pieces up to the end of the file."""
        done, total = 0, self._file.frames
        while done < total:
            try:
                # Not beyond the end: a tag there would be taken for damage.
                count = min(_CHUNK_FRAMES, total - done)
                block = self._file.read(count, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                self._source.check()
                raise broken(self._name, done / self.sample_rate, self.seconds) from error
            self._source.check()
            if not len(block):
                raise broken(self._name, done / self.sample_rate, self.seconds)
            done += len(block)
            yield np.ascontiguousarray(block.T)

    def close(self) -> None:
        """Release the decoder; the file itself stays open."""
        self._file.close()


def _descriptor(file: BinaryIO) -> int | None:
    """Open a file once more, for libsndfile to read it by itself.

    Without calls back into Python it is faster, and an interruption by the user cannot get
    lost in one. A name is not passed on: see :class:`NamelessFile`.
    """
    name = getattr(file, "name", None)
    # On Windows, descriptors mean nothing to another library's runtime.
    if os.name != "posix" or not isinstance(name, str):
        return None
    try:
        descriptor = os.open(name, os.O_RDONLY)
    except OSError:
        return None
    try:
        if os.path.samestat(os.fstat(descriptor), os.fstat(file.fileno())):
            return descriptor
    except (AttributeError, OSError):
        pass  # a file in memory or in an archive
    os.close(descriptor)
    return None
