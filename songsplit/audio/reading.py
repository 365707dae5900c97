"""Reading audio files of any common format, as a whole or in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import BinaryIO, Self, TypeAlias

import numpy as np

from songsplit.audio._boxes import is_protected, stem_names
from songsplit.audio._changes import watch
from songsplit.audio._outline import examine
from songsplit.audio._pipes import Pipe
from songsplit.audio._soundfile_backend import SoundFileBackend
from songsplit.audio._sources import AudioSource, cut_off, empty, open_source, unreadable
from songsplit.audio._types import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    AudioInfo,
    Backend,
    FloatArray,
    UnsupportedByBackendError,
    first_unusable,
)
from songsplit.audio.limits import LIMITS, Limits
from songsplit.errors import AudioFileError

__all__ = ["AudioInfo", "AudioReader", "AudioSource", "open_audio", "read_audio", "read_streams"]


class AudioReader:
    """An open audio file; made by :func:`open_audio`.

    Attributes
    ----------
    info : AudioInfo
        Sample rate, channels and, where known, the length.
    """

    def __init__(
        self, backend: Backend, resources: ExitStack, limits: Limits, pipe: Pipe | None = None
    ) -> None:
        self.info: AudioInfo = backend.info
        self._backend = backend
        self._pipe = pipe
        self._resources = resources
        self._limits = limits
        self._started = False
        self._check_unchanged: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, unless it is the caller's own file object."""
        self._resources.close()

    def blocks(self, frames: int) -> Iterator[FloatArray]:
        """Yield the file from start to end, in blocks of equal length.

        Memory use is that of a block and one decoded piece, whatever the file's length.

        Parameters
        ----------
        frames : int
            Samples per channel of each block but the last, which may be shorter; > 0.

        Yields
        ------
        ndarray
            float32 ``(channels, n)`` with ``1 <= n <= frames`` and full scale at 1.
            Files of floating point samples may go beyond.

        Raises
        ------
        AudioFileError
            If the data are damaged, cut off, empty, not finite or longer than allowed. What
            came before is yielded first.
        ValueError
            If `frames` is not positive, or the file has been read already.
        """
        if frames < 1:
            raise ValueError(f"frames must be at least 1, not {frames}")
        if self._started:
            raise ValueError("a reader reads its file once; open the file again")
        self._started = True
        return self._blocks(frames)

    def _blocks(self, frames: int) -> Iterator[FloatArray]:
        pending: list[FloatArray] = []
        held = 0
        for chunk in self._checked_chunks():
            while held + chunk.shape[1] >= frames:
                needed = frames - held
                pending.append(chunk[:, :needed])
                yield np.concatenate(pending, axis=1)
                chunk = chunk[:, needed:]
                pending, held = [], 0
            if chunk.shape[1]:
                pending.append(chunk)
                held += chunk.shape[1]
        if pending:
            yield np.concatenate(pending, axis=1)

    def _checked_chunks(self) -> Iterator[FloatArray]:
        info, done = self.info, 0
        try:
            for chunk in self._backend.chunks():
                _check_finite(chunk, info, done)
                done += chunk.shape[1]
                _check_length(info, done, self._limits)
                yield chunk
        except AudioFileError:
            if self._pipe is not None:
                _finished(self._pipe, info.name, done)  # raises what was behind it
            self._check_unchanged()
            raise
        if self._pipe is not None and not _finished(self._pipe, info.name, done):
            raise cut_off(info.name, done / info.sample_rate)
        self._check_unchanged()
        if done == 0:
            raise empty(info.name)


def _check_finite(chunk: FloatArray, info: AudioInfo, done: int) -> None:
    if (position := first_unusable(chunk)) is not None:
        second = (done + position) / info.sample_rate
        raise AudioFileError(
            f"{info.name}: the sample at {second:.2f} s is not a number, infinite or beyond 1e37; "
            "export the file again without such samples"
        )


def _check_length(info: AudioInfo, frames: int, limits: Limits) -> None:
    if frames > limits.seconds * info.sample_rate:
        raise AudioFileError(
            f"{info.name}: the audio is longer than the {limits.longest} that are allowed; split "
            "it into parts, or allow more (Limits.seconds)"
        )


def open_audio(source: AudioSource, *, limits: Limits = LIMITS) -> AudioReader:
    """Open an audio file for reading; use it in a ``with`` statement.

    The content decides how the file is read, never its name's extension.

    Parameters
    ----------
    source : str, path-like or binary file object
        The file. A file object is read from its start and stays open. One that cannot
        seek, such as a pipe, is decoded as it comes if it holds WAV, AIFF, AU, FLAC or
        an MP3 or AAC stream, and else goes through a temporary file.
    limits : Limits, optional
        How long the audio may be.

    Returns
    -------
    AudioReader
        The open file.

    Raises
    ------
    AudioFileError
        If the file is missing, unreadable, no audio, empty or ends before its header
        says, or has more than 8 channels, an impossible sample rate or more audio than
        allowed.
    """
    return open_with(_decode_here, source, limits)


Opening: TypeAlias = Callable[[BinaryIO | Pipe, str, ExitStack, Limits], AudioReader]


def open_with(opening: Opening, source: AudioSource, limits: Limits) -> AudioReader:
    """Open an audio file with a decoder of choice.

    Parameters
    ----------
    opening : callable
        Makes the reader of a file, its name for messages, what to close in the end, and the
        limits.
    source, limits
        As for :func:`open_audio`, whose result and errors these are.
    """
    with ExitStack() as resources:
        file, name = open_source(source, resources)
        check_unchanged = watch(source, name)
        try:
            reader = opening(file, name, resources, limits)
        except OSError as error:
            raise unreadable(name, error) from error
        reader._check_unchanged = check_unchanged
        reader._resources = resources.pop_all()
        return reader


def read_audio(source: AudioSource) -> tuple[FloatArray, int]:
    """Read a whole audio file.

    Parameters
    ----------
    source : str, path-like or binary file object
        The file, as for :func:`open_audio`.

    Returns
    -------
    samples : ndarray
        float32 ``(channels, samples)`` with full scale at 1.
    sample_rate : int
        Sample rate in Hz.

    Raises
    ------
    AudioFileError
        As :func:`open_audio` and :meth:`AudioReader.blocks`.
    """
    with open_audio(source) as reader:
        return np.concatenate(list(reader._checked_chunks()), axis=1), reader.info.sample_rate


def read_streams(source: AudioSource) -> tuple[list[FloatArray], int]:
    """Read all audio streams of a file, such as the stems of a ``.stem.mp4``.

    Parameters
    ----------
    source : str, path-like or binary file object
        The file, as for :func:`open_audio`.

    Returns
    -------
    streams : list of ndarray
        float32 ``(channels, samples)`` in the file's order, all cut to the length of
        the shortest.
    sample_rate : int
        Sample rate in Hz.

    Raises
    ------
    AudioFileError
        As :func:`read_audio`, or if the streams differ in sample rate.
    """
    from songsplit.audio._pyav_backend import decode_streams

    with ExitStack() as resources:
        file, name = open_source(source, resources)
        try:
            if isinstance(file, Pipe):
                file = file.spooled(name, resources)
            streams, sample_rate = decode_streams(file, name)
            cut = examine(file).cut
        except OSError as error:
            raise unreadable(name, error) from error
    length = min(stream.shape[1] for stream in streams)
    if cut:
        raise cut_off(name, length / sample_rate)
    for index, stream in enumerate(streams):
        if first_unusable(stream) is not None:
            raise AudioFileError(
                f"{name}: audio stream {index} holds samples that are not finite numbers; "
                "export the file again without such samples"
            )
    return [np.ascontiguousarray(stream[:, :length]) for stream in streams], sample_rate


def _decode_here(
    file: BinaryIO | Pipe, name: str, resources: ExitStack, limits: Limits
) -> AudioReader:
    if isinstance(file, Pipe):
        from songsplit.audio._pyav_backend import PyAVBackend

        try:
            reader = make_reader(PyAVBackend(file, name), resources, limits, file)
            _check_length(reader.info, file.frames or 0, limits)
            return reader
        except AudioFileError:
            _finished(file, name, 0)  # what was behind it, if anything
            raise
    outline = examine(file)
    if outline.joined:
        raise AudioFileError(
            f"{name}: the file holds several recordings joined end to end, of which only the first "
            "can be read; export them as one or as separate files"
        )
    if is_protected(file):
        raise AudioFileError(
            f"{name}: the file is protected against copying (DRM), so only the program it was "
            "bought for can play it; get the song in another way, such as from the CD"
        )
    stems = stem_names(file)
    try:
        backend = _open_backend(file, name, libsndfile=not outline.needs_ffmpeg)
    except AudioFileError as error:
        if outline.cut:
            raise cut_off(name, 0.0) from error
        raise
    reader = make_reader(backend, resources, limits)
    reader.info = replace(reader.info, stems=stems)
    if outline.cut:
        # Decoded only to say where the audio stops: better now than after hours of work.
        length = sum(chunk.shape[1] for chunk in reader._checked_chunks())
        raise cut_off(name, length / reader.info.sample_rate)
    if reader.info.frames == 0:
        raise empty(name)
    return reader


def _finished(pipe: Pipe, name: str, frames: int) -> bool:
    """Say whether all of a pipe has come; raise what reading it raised."""
    try:
        return pipe.finish(frames)
    except Exception as error:  # not interruptions
        raise unreadable(name, error) from error


def make_reader(
    backend: Backend, resources: ExitStack, limits: Limits, pipe: Pipe | None = None
) -> AudioReader:
    """Make a reader, unless the file has more than can be separated."""
    resources.callback(backend.close)
    info, name = backend.info, backend.info.name
    if not 1 <= info.channels <= MAX_CHANNELS:
        raise AudioFileError(
            f"{name}: the file has {info.channels} channels, more than the {MAX_CHANNELS} that "
            "can be read; export it as stereo"
        )
    if not MIN_SAMPLE_RATE <= info.sample_rate <= MAX_SAMPLE_RATE:
        raise AudioFileError(
            f"{name}: the sample rate of {info.sample_rate} Hz is not between "
            f"{MIN_SAMPLE_RATE} and {MAX_SAMPLE_RATE} Hz; export the file at 44100 Hz"
        )
    _check_length(info, info.frames or 0, limits)
    return AudioReader(backend, resources, limits, pipe)


def _open_backend(file: BinaryIO, name: str, *, libsndfile: bool) -> Backend:
    if libsndfile:
        try:
            return SoundFileBackend(file, name)
        except UnsupportedByBackendError:
            pass
    # FFmpeg's libraries are slow to load, and most files do without.
    from songsplit.audio._pyav_backend import PyAVBackend

    return PyAVBackend(file, name)
