"""Reading audio files of any common format, as a whole or in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias

import numpy as np

from songsplit.audio.arrays import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    FloatArray,
    first_unusable,
)
from songsplit.audio.containers import Structure, examine
from songsplit.audio.opening import (
    AudioSource,
    Pipe,
    cut_off,
    empty,
    open_source,
    unreadable,
    watch,
)
from songsplit.audio.soundfile_decoder import SoundFileDecoder, UnsupportedError
from songsplit.errors import AudioFileError, ConfigError

if TYPE_CHECKING:
    from songsplit.audio.ffmpeg_decoder import FFmpegDecoder

    Decoder: TypeAlias = SoundFileDecoder | FFmpegDecoder

MAX_HOURS = 24.0


@dataclass(frozen=True)
class AudioInfo:
    """What is known of an audio file before its samples are read.

    The number of `frames` is None where the file does not say for certain, while `seconds` may be
    an estimate. `stems` names what a stem file holds beside its mixture, which is what is read.
    """

    name: str
    sample_rate: int
    channels: int
    frames: int | None
    seconds: float | None
    format: str
    stems: tuple[str, ...] = ()


class AudioReader:
    """An open audio file; made by :func:`open_audio`."""

    def __init__(
        self,
        decoder: Decoder,
        info: AudioInfo,
        resources: ExitStack,
        max_hours: float,
        pipe: Pipe | None,
        check_unchanged: Callable[[], None],
    ) -> None:
        self.info = info
        self._decoder = decoder
        self._resources = resources
        self._max_hours = max_hours
        self._pipe = pipe
        self._check_unchanged = check_unchanged

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, unless it is the caller's own file object."""
        self._resources.close()

    def blocks(self, frames: int) -> Iterator[FloatArray]:
        """Yield float32 ``(channels, frames)`` blocks, of which the last may be shorter.

        A reader reads its file once.
        Memory use is that of a block and one decoded piece. Where data are damaged, cut off,
        empty, not finite or longer than allowed, an AudioFileError follows what came before.
        """
        pending: list[FloatArray] = []
        held = 0
        for chunk in self._chunks():
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

    def read(self) -> FloatArray:
        """Return all samples, float32 ``(channels, samples)``."""
        return np.concatenate(list(self._chunks()), axis=1)

    def _chunks(self) -> Iterator[FloatArray]:
        name, rate, done = self.info.name, self.info.sample_rate, 0
        try:
            for chunk in self._decoder.chunks():
                if (position := first_unusable(chunk)) is not None:
                    raise AudioFileError(
                        f"{name}: the sample at {(done + position) / rate:.2f} s is not a number, "
                        "infinite or beyond 1e37; export the file again without such samples"
                    )
                done += chunk.shape[1]
                _check_length(name, done / rate, self._max_hours)
                yield chunk
        except AudioFileError:
            if self._pipe is not None:
                self._pipe.finish(name, done)  # raises what was behind it
            self._check_unchanged()
            raise
        if self._pipe is not None and not self._pipe.finish(name, done):
            raise cut_off(name, done / rate)
        self._check_unchanged()
        if done == 0:
            raise empty(name)


def open_audio(source: AudioSource, *, max_hours: float = MAX_HOURS) -> AudioReader:
    """Open an audio file for reading; use it in a ``with`` statement.

    The content decides how the file is read, never its name's extension. A file object is read
    from its start and stays open. A pipe is decoded as it comes if it holds WAV, AIFF, AU, FLAC
    or an MP3 or AAC stream, and else goes through a temporary file.

    An AudioFileError says if the file is missing, unreadable, no audio, empty, protected or cut
    off, or has more than 8 channels, an impossible sample rate or more than `max_hours` of audio.
    """
    if not max_hours > 0:
        raise ConfigError(f"max_hours must be more than 0, not {max_hours!r}")
    with ExitStack() as resources:
        file, name = open_source(source, resources)
        check_unchanged = watch(source, name)
        pipe = file if isinstance(file, Pipe) else None
        try:
            if isinstance(file, Pipe):
                decoder, structure = _decode_pipe(file, name), Structure()
            else:
                structure = examine(file)
                decoder = _decode_file(file, name, structure)
        except OSError as error:
            raise unreadable(name, error) from error
        resources.callback(decoder.close)
        info = AudioInfo(
            name,
            decoder.sample_rate,
            decoder.channels,
            decoder.frames,
            decoder.seconds,
            decoder.format,
            structure.stems,
        )
        _check_kind(info)
        known = info.frames or (pipe.frames if pipe else 0) or 0
        _check_length(name, known / info.sample_rate, max_hours)
        reader = AudioReader(decoder, info, resources, max_hours, pipe, check_unchanged)
        if structure.is_cut:
            # Decoded only to say where the audio stops: better now than after hours of work.
            length = sum(chunk.shape[1] for chunk in reader._chunks())
            raise cut_off(name, length / info.sample_rate)
        if info.frames == 0:
            raise empty(name)
        reader._resources = resources.pop_all()
        return reader


def read_audio(source: AudioSource) -> tuple[FloatArray, int]:
    """Read a whole audio file: float32 ``(channels, samples)``, and the sample rate in Hz."""
    with open_audio(source) as reader:
        return reader.read(), reader.info.sample_rate


def read_streams(source: AudioSource) -> tuple[list[FloatArray], int]:
    """Read all audio streams of a file, such as the stems of a ``.stem.mp4``.

    They are float32 ``(channels, samples)`` in the file's order, all cut to the length of the
    shortest, and have one sample rate in Hz.
    """
    from songsplit.audio.ffmpeg_decoder import decode_streams

    with ExitStack() as resources:
        file, name = open_source(source, resources)
        try:
            if isinstance(file, Pipe):
                file = file.spooled(name, resources)
            streams, sample_rate = decode_streams(file, name)
            is_cut = examine(file).is_cut
        except OSError as error:
            raise unreadable(name, error) from error
    length = min(stream.shape[1] for stream in streams)
    if is_cut:
        raise cut_off(name, length / sample_rate)
    for index, stream in enumerate(streams):
        if first_unusable(stream) is not None:
            raise AudioFileError(
                f"{name}: audio stream {index} holds samples that are not finite numbers; "
                "export the file again without such samples"
            )
    return [np.ascontiguousarray(stream[:, :length]) for stream in streams], sample_rate


def _decode_pipe(pipe: Pipe, name: str) -> Decoder:
    from songsplit.audio.ffmpeg_decoder import FFmpegDecoder

    try:
        return FFmpegDecoder(pipe, name)
    except AudioFileError:
        pipe.finish(name, 0)  # raises what was behind it, if anything
        raise


def _decode_file(file: BinaryIO, name: str, structure: Structure) -> Decoder:
    if structure.is_joined:
        raise AudioFileError(
            f"{name}: the file holds several recordings joined end to end, of which only the first "
            "can be read; export them as one or as separate files"
        )
    if structure.is_protected:
        raise AudioFileError(
            f"{name}: the file is protected against copying (DRM), so only the program it was "
            "bought for can play it; get the song in another way, such as from the CD"
        )
    try:
        if not structure.needs_ffmpeg:
            return SoundFileDecoder(file, name)
    except UnsupportedError:
        pass
    # FFmpeg's libraries are slow to load, and most files do without.
    from songsplit.audio.ffmpeg_decoder import FFmpegDecoder

    try:
        return FFmpegDecoder(file, name)
    except AudioFileError as error:
        if structure.is_cut:
            raise cut_off(name, 0.0) from error
        raise


def _check_kind(info: AudioInfo) -> None:
    if not 1 <= info.channels <= MAX_CHANNELS:
        raise AudioFileError(
            f"{info.name}: the file has {info.channels} channels, more than the {MAX_CHANNELS} "
            "that can be read; export it as stereo"
        )
    if not MIN_SAMPLE_RATE <= info.sample_rate <= MAX_SAMPLE_RATE:
        raise AudioFileError(
            f"{info.name}: the sample rate of {info.sample_rate} Hz is not between "
            f"{MIN_SAMPLE_RATE} and {MAX_SAMPLE_RATE} Hz; export the file at 44100 Hz"
        )


def _check_length(name: str, seconds: float, max_hours: float) -> None:
    if seconds > 3600 * max_hours:
        raise AudioFileError(
            f"{name}: the audio is longer than the {max_hours:.4g} hours that are allowed; split "
            "it into parts, or allow more with max_hours"
        )
