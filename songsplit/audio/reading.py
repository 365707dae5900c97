"""Read audio files of any common format, as a whole or in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from soundfile import SoundFileError

from songsplit.audio.arrays import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    FloatArray,
    first_unusable,
)
from songsplit.audio.containers import Structure, UnreadableError, examine
from songsplit.audio.decoders import FFmpegDecoder, SoundFileDecoder
from songsplit.audio.opening import (
    NO_SAMPLES,
    AudioInfo,
    AudioSource,
    File,
    Pipe,
    cut_off,
    open_source,
    source_name,
)
from songsplit.errors import AudioFileError, ConfigError

Decoder: TypeAlias = SoundFileDecoder | FFmpegDecoder

MAX_HOURS = 24.0


@dataclass
class AudioReader(AbstractContextManager["AudioReader"]):
    """An open audio file, returned by :func:`open_audio`."""

    info: AudioInfo
    _decoder: Decoder
    _max_hours: float
    _resources: ExitStack

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a file object of the caller stays open."""
        self._resources.close()

    def blocks(self, frames: int) -> Iterator[FloatArray]:
        """Yield float32 ``(channels, frames)`` blocks, the last of which may be shorter.

        A reader reads its file once. If data are damaged, not finite or longer than allowed, an
        AudioFileError is raised after the blocks before them.
        """
        pending: list[FloatArray] = []
        held = 0
        for chunk in self._chunks():
            while held + chunk.shape[1] >= frames:
                needed = frames - held
                yield np.concatenate([*pending, chunk[:, :needed]], axis=1)
                chunk = chunk[:, needed:]
                pending, held = [], 0
            pending.append(chunk)
            held += chunk.shape[1]
        if held:
            yield np.concatenate(pending, axis=1)

    def read(self) -> FloatArray:
        """Return all samples, float32 ``(channels, samples)``."""
        return np.concatenate(list(self._chunks()), axis=1)

    def _chunks(self) -> Iterator[FloatArray]:
        rate, done = self.info.sample_rate, 0
        with _named(self.info.name):
            for chunk in self._decoder.chunks():
                if (position := first_unusable(chunk)) is not None:
                    raise UnreadableError(
                        f"the sample at {(done + position) / rate:.2f} s is not a number, infinite "
                        "or beyond 1e37; export the file again without such samples"
                    )
                done += chunk.shape[1]
                _check_length(done / rate, self._max_hours)
                yield chunk


def open_audio(
    source: AudioSource,
    *,
    max_hours: float = MAX_HOURS,
    track: int | None = None,
    keeps_filler: bool = False,
) -> AudioReader:
    """Open an audio file for reading; use it in a ``with`` statement.

    The content decides how the file is decoded, never its extension. A file object is read from its
    start and stays open. A pipe with WAV, AIFF, AU, FLAC or an MP3 or AAC stream is decoded as it
    arrives; other formats go through a temporary file. `track` selects one of several sound tracks,
    counted from 1. With `keeps_filler`, the last frame of an MP4 is kept beyond the end of the
    song, as in the program ffmpeg and the musdb package. An AudioFileError states why a file is
    refused.
    """
    if not max_hours > 0:
        raise ConfigError(f"max_hours must be more than 0, not {max_hours!r}")
    name = source_name(source)
    with ExitStack() as resources, _named(name):
        file = open_source(source, resources)
        structure = Structure() if isinstance(file, Pipe) else examine(file)
        file.check()
        decoder = _decoder(file, structure, track or 1, keeps_filler)
        resources.callback(decoder.close)
        info, notes = decoder.info, structure.notes
        if track is None and len(info.tracks) > 1 and not structure.stems:
            tracks = "; ".join(f"{i}: {text}" for i, text in enumerate(info.tracks, 1))
            notes = (*notes, f"the file has {len(info.tracks)} sound tracks; using 1 ({tracks})")
        info = replace(info, name=name, stems=structure.stems, notes=notes)
        _check(info, 1 if track is None else track)
        _check_length((info.frames or 0) / info.sample_rate, max_hours)
        reader = AudioReader(info, decoder, max_hours, resources)
        if structure.is_cut:
            # Decode now to find where the audio stops, not after hours of separation.
            length = sum(chunk.shape[1] for chunk in reader._chunks())
            raise cut_off(length / info.sample_rate)
        reader._resources = resources.pop_all()
        return reader


def read_audio(source: AudioSource) -> tuple[FloatArray, int]:
    """Return all samples of a file, float32 ``(channels, samples)``, and its rate in Hz."""
    with open_audio(source) as reader:
        return reader.read(), reader.info.sample_rate


def read_streams(source: AudioSource) -> tuple[list[FloatArray], int]:
    """Read all audio streams of a seekable file, such as the stems of a ``.stem.mp4``.

    Return float32 arrays ``(channels, samples)`` in the file's order, cut to the length of the
    shortest, and their sample rate in Hz. Last frames are kept whole, as in the musdb package.
    """
    streams: list[FloatArray] = []
    rates, count = [], 1
    while len(streams) < count:
        with open_audio(source, track=len(streams) + 1, keeps_filler=True) as reader:
            name, count = reader.info.name, len(reader.info.tracks)
            rates.append(reader.info.sample_rate)
            streams.append(reader.read())
    if len(set(rates)) > 1:
        raise AudioFileError(
            f"{name}: its audio streams have different sample rates "
            f"({', '.join(map(str, sorted(set(rates))))} Hz); export them at the same rate"
        )
    length = min(stream.shape[1] for stream in streams)
    return [np.ascontiguousarray(stream[:, :length]) for stream in streams], rates[0]


def _decoder(file: File | Pipe, structure: Structure, track: int, keeps_filler: bool) -> Decoder:
    if isinstance(file, File) and not structure.needs_ffmpeg:
        with suppress(SoundFileError):
            return SoundFileDecoder(file, structure.samples)
    try:
        return FFmpegDecoder(file, track=track, keeps_filler=keeps_filler)
    except UnreadableError as error:
        if structure.is_cut:
            raise cut_off(0.0) from error
        raise


def _check(info: AudioInfo, track: int) -> None:
    problem = None
    if not 1 <= info.channels <= MAX_CHANNELS:
        problem = (
            f"the file has {info.channels} channels, but songsplit reads at most {MAX_CHANNELS}; "
            "export it as stereo"
        )
    elif not MIN_SAMPLE_RATE <= info.sample_rate <= MAX_SAMPLE_RATE:
        problem = (
            f"the sample rate of {info.sample_rate} Hz is not between {MIN_SAMPLE_RATE} and "
            f"{MAX_SAMPLE_RATE} Hz; export the file at 44100 Hz"
        )
    elif not 1 <= track <= len(info.tracks):
        problem = f"there is no sound track {track}; choose one from 1 to {len(info.tracks)}"
    elif info.frames == 0:
        problem = NO_SAMPLES
    if problem:
        raise UnreadableError(problem)


def _check_length(seconds: float, max_hours: float) -> None:
    if seconds > 3600 * max_hours:
        raise UnreadableError(
            f"the audio is longer than the limit of {max_hours:.4g} hours; split it into parts, or "
            "raise the limit with max_hours"
        )


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Add the name of a file to the error that states why it cannot be read."""
    try:
        yield
    except UnreadableError as error:
        raise AudioFileError(f"{name}: {error}") from error
