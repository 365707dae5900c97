"""Decoding with libsndfile: WAV, FLAC, Ogg, AIFF, CAF and other plain formats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from songsplit.audio._types import (
    AudioInfo,
    FloatArray,
    NamelessFile,
    UnsupportedByBackendError,
)
from songsplit.errors import AudioFileError

# libsndfile reports the largest count where it does not know the length.
_UNKNOWN_FRAMES = 1 << 62
# A damaged chunk is lost as a whole, so short ones tell well where the damage is.
_CHUNK_FRAMES = 4096


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file read from start to end only.

    The base class seeks to where it already is after each read, which for compressed
    files means decoding again.
    """

    def seekable(self) -> bool:
        """Return False, whatever the file can do."""
        return False


class SoundFileBackend:
    """Reads one file with libsndfile.

    Parameters
    ----------
    file : BinaryIO
        A seekable file, read from its start.
    name : str
        The file's name for messages.

    Raises
    ------
    UnsupportedByBackendError
        If libsndfile cannot read the file.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        file.seek(0)
        try:
            self._source = NamelessFile(file)
            self._file = _SequentialFile(_descriptor(file) or self._source)
        except (soundfile.SoundFileError, OSError) as error:
            raise UnsupportedByBackendError(str(error)) from error
        # The length of an MP3, also of one inside a WAV, is an estimate at which libsndfile
        # stops; see _outline._mp3. Of a FLAC without a length it does not find the end.
        if self._file.subtype.startswith("MPEG") or self._file.frames >= _UNKNOWN_FRAMES:
            self._file.close()
            raise UnsupportedByBackendError("the length is not known")
        self.info = AudioInfo(
            name=name,
            sample_rate=self._file.samplerate,
            channels=self._file.channels,
            frames=self._file.frames,
            seconds=self._file.frames / self._file.samplerate,
            format=f"{self._file.format} {self._file.subtype}",
        )

    def chunks(self) -> Iterator[FloatArray]:
        """Yield ``(channels, n)`` pieces up to the end of the file.

        Raises
        ------
        AudioFileError
            If the data are damaged or fewer than the header promises.
        """
        done, total = 0, self._file.frames
        while done < total:
            try:
                # Not beyond the end: a tag there would be taken for damage.
                count = min(_CHUNK_FRAMES, total - done)
                block = self._file.read(count, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                self._source.check()
                raise _broken(self.info, done) from error
            self._source.check()
            if not len(block):
                raise _broken(self.info, done)
            done += len(block)
            yield np.ascontiguousarray(block.T)

    def close(self) -> None:
        """Release the decoder."""
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
    if os.path.samestat(os.fstat(descriptor), os.fstat(file.fileno())):
        return descriptor
    os.close(descriptor)
    return None


def _broken(info: AudioInfo, done: int) -> AudioFileError:
    length = "" if info.frames is None else f" of {info.frames / info.sample_rate:.2f} s"
    return AudioFileError(
        f"{info.name}: the file is cut off or damaged: its audio can be read up to about "
        f"{done / info.sample_rate:.2f} s{length} only; copy, download or export it again"
    )
