"""Decoders: libsndfile for WAV, FLAC, Ogg, AIFF and CAF, FFmpeg's libraries (PyAV) for the rest.

This module converts frames to float32 itself, because FFmpeg's resampler would mix channels down
and change levels.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from songsplit.audio.arrays import FloatArray, scaled
from songsplit.audio.containers import IS_PROTECTED, UnreadableError
from songsplit.audio.opening import NO_SAMPLES, AudioInfo, File, Pipe, cut_off, open_container

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.codec.context import CodecContext

# libsndfile reports the largest count if it does not know the length.
_UNKNOWN_FRAMES = 1 << 62
# A damaged chunk is lost as a whole, so short chunks locate the damage more exactly.
_CHUNK_FRAMES = 4096
# By the name of the sample format, without the "p" of planar formats.
_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
# Tags between the parts of a joined MP3 are not damage. Some have their marker at the end only,
# where another tag of 128 bytes may follow.
_TAGS = (b"ID3", b"TAG", b"APE")
_TAG_END = b"APETAGEX"
# FFmpeg's metadata keys for two kinds of copy protection.
_ASF_PROTECTION = {"ASF_Protection_Type", "encryption"}
# Containers that state a duration, by the first of FFmpeg's names for them. FFmpeg estimates the
# duration of others.
_WITH_DURATION = ("mov", "matroska", "asf")
# Containers that state exactly where audio ends; FFmpeg returns the whole last frame.
_EXACT = ("mov", "ogg")
# Encoder delay and rounding make decoded audio a little shorter.
_TOLERANCE = 0.02, 0.25  # share, and seconds
# Containers whose time stamps may leave pauses. Smaller gaps come from encoder delay and rounding.
_TIMED = (*_WITH_DURATION, "mpegts", "mpeg", "flv")
_MAX_JITTER = 0.02  # seconds


if hasattr(os, "register_at_fork"):
    # If one thread forks while another one opens a file, the child inherits a lock that no thread
    # ever releases.
    os.register_at_fork(
        after_in_child=lambda: setattr(soundfile.SoundFile, "_sf_error_lock", threading.Lock())
    )


class SoundFileDecoder:
    """Reads a seekable file with libsndfile, or raises a SoundFileError.

    `samples` is their offset and size in bytes, for files whose header is wrong.
    """

    def __init__(self, source: File, samples: tuple[int, int] | None) -> None:
        source.seek(0)
        is_big_endian = source.read(4) in (b"FORM", b"RIFX", b".snd")
        source.seek(0)
        file = soundfile.SoundFile(source)
        # libsndfile stops at its estimate of the length of an MP3, also inside a WAV, and does not
        # find the end of a FLAC that states no length.
        if file.subtype.startswith("MPEG") or file.frames >= _UNKNOWN_FRAMES:
            file.close()
            raise soundfile.SoundFileError("The length is not known.")
        kind = f"{file.format} {file.subtype}"
        if samples is not None:
            source = source.part(*samples)
            order = "BIG" if is_big_endian and file.endian != "LITTLE" else "LITTLE"
            rate, channels, subtype = file.samplerate, file.channels, file.subtype
            file.close()
            file = soundfile.SoundFile(source, "r", rate, channels, subtype, order, "RAW")
        # Without this, soundfile seeks after each read and decodes compressed files again.
        file.seekable = lambda: False
        self._source, self._file = source, file
        seconds = file.frames / file.samplerate
        self.info = AudioInfo(
            file.samplerate, file.channels, file.frames, seconds, kind, tracks=(kind,)
        )

    def chunks(self) -> Iterator[FloatArray]:
        """Yield ``(channels, n)`` pieces up to the end of the file."""
        done, total = 0, self._file.frames
        while done < total:
            # Stop at the end: libsndfile would report a tag there as damage.
            count = min(_CHUNK_FRAMES, total - done)
            try:
                block = self._file.read(count, dtype="float32", always_2d=True)
            except soundfile.SoundFileError:
                block = ()
            self._source.check()
            if not len(block):
                raise cut_off(done / self.info.sample_rate)
            done += len(block)
            yield np.ascontiguousarray(block.T)

    def close(self) -> None:
        """Release the decoder; the file itself stays open."""
        self._file.close()


class FFmpegDecoder:
    """Reads one audio stream of a file or pipe with FFmpeg's libraries.

    Streams are counted from 1. A number beyond the last stream selects the last one.
    """

    def __init__(self, source: File | Pipe, *, track: int = 1, keeps_filler: bool = False) -> None:
        self._source, self._container = source, open_container(source)
        try:
            self._open(track, keeps_filler)
        except BaseException:
            self._container.close()
            raise

    def _open(self, track: int, keeps_filler: bool) -> None:
        import av

        container = self._container
        if _ASF_PROTECTION & set(container.metadata):
            raise UnreadableError(IS_PROTECTED)
        streams = container.streams.audio
        if not streams:
            types = sorted({stream.type for stream in container.streams})
            kinds = " and ".join(types).replace("video", "pictures")
            raise UnreadableError(
                f"the file holds no audio (only {kinds or 'a header'}); choose a file with sound"
            )
        self._stream = stream = streams[min(track, len(streams)) - 1]
        self._frames = self._decoded()
        # Some headers (AAC with spectral band replication) state a wrong rate or channel count: the
        # first decoded frame decides.
        first = next(self._frames, None)
        if first is None:
            raise UnreadableError(NO_SAMPLES)
        self._first = first
        kind, duration = container.format.name, stream.duration
        start, base = (container.start_time or 0) / av.time_base, float(stream.time_base or 0)
        began = (stream.start_time or 0) * base
        longest = None if container.duration is None else container.duration / av.time_base
        seconds = longest if duration is None else duration * base
        # Other streams, such as video, may be longer. ASF states one duration for all of them.
        is_own = len(container.streams) == 1 or (duration is not None and kind != "asf")
        # MP4 may count an empty part before the start.
        is_promise = seconds and is_own and kind.startswith(_WITH_DURATION)
        self._promised = (seconds or 0.0) - began if is_promise else 0.0
        self._is_timed = kind.startswith(_TIMED)
        # MP4 begins at 0, except fragments from the middle, which have no frame count.
        is_whole_mp4 = kind.startswith("mov") and stream.frames
        self._origin = 0.0 if is_whole_mp4 else max(0.0, start)
        if began - self._origin < _MAX_JITTER:  # audio starts with the video
            self._origin = first.time or 0.0
        self._last_start = math.inf if longest is None else start + longest
        is_exact = kind.startswith(_EXACT) and not keeps_filler
        self._stop = began + (duration or 0) * base if is_exact else self._origin
        self.info = AudioInfo(
            first.sample_rate,
            first.layout.nb_channels,
            None,
            seconds,
            f"{kind} {stream.codec_context.name}",
            tracks=tuple(_described(stream) for stream in streams),
        )

    def chunks(self) -> Iterator[FloatArray]:
        """Yield ``(channels, n)`` pieces up to the end of the file, with silence for pauses."""
        rate, channels, done = self.info.sample_rate, self.info.channels, 0
        origin = expected = self._origin
        for frame, following in pairwise(chain([self._first], self._frames, [None])):
            assert frame is not None
            time = frame.time if self._is_timed and frame.time is not None else expected
            if expected + _MAX_JITTER < time <= self._last_start:
                pause = round((time - origin) * rate) - done
                done += max(0, pause)
                for start in range(0, pause, rate):
                    yield np.zeros((channels, min(rate, pause - start)), np.float32)
            expected = time + frame.samples / rate
            samples = _to_float(frame)
            left = round((self._stop - origin) * rate) - done
            if following is None and left > 0:
                samples = samples[:, :left]
            done += samples.shape[1]
            yield samples
        share, least = _TOLERANCE
        is_short = self._promised - done / rate > max(least, share * self._promised)
        if is_short or (isinstance(self._source, Pipe) and self._source.is_cut(done)):
            raise cut_off(done / rate)
        if isinstance(self._source, Pipe):
            self._source.check_end()

    def close(self) -> None:
        """Release the decoder; the file itself stays open."""
        self._container.close()

    def _decoded(self) -> Iterator[AudioFrame]:
        """Yield frames; raise an UnreadableError where data are damaged or the format changes."""
        import av

        done, first = 0, (1, 0)
        try:
            for packet in self._container.demux(self._stream):
                data = bytes(packet)
                if data[:3] in _TAGS or _TAG_END in data[-160:]:
                    continue
                for frame in packet.decode():
                    kind = frame.sample_rate, frame.layout.nb_channels
                    first = first if done else kind
                    if kind != first:
                        raise UnreadableError(
                            f"sample rate or channels change at {done / first[0]:.2f} s (from "
                            f"{first[0]} Hz, {first[1]} ch. to {kind[0]} Hz, {kind[1]} ch.); "
                            "export the parts as separate files"
                        )
                    if frame.samples:
                        done += frame.samples
                        yield frame
        except av.DecoderNotFoundError as error:
            raise UnreadableError(
                "there is no decoder for its audio format; export it as WAV or FLAC"
            ) from error
        except (av.FFmpegError, OSError) as error:
            self._source.check()
            raise cut_off(done / first[0]) from error
        self._source.check()


def _to_float(frame: AudioFrame) -> FloatArray:
    """Return a frame as float32 ``(channels, samples)`` with full scale at 1."""
    channels = frame.layout.nb_channels
    data: NDArray[Any]
    # PyAV's to_ndarray crashes on eight planar channels, of which it counts nine, and does not
    # support 64-bit integers.
    kind = _TYPES[frame.format.name.removesuffix("p")]
    planes: tuple[Any, ...] = frame.planes
    if frame.format.is_planar:
        data = np.stack([np.frombuffer(p, kind, frame.samples) for p in planes[:channels]])
    else:
        data = np.frombuffer(planes[0], kind, frame.samples * channels).reshape(-1, channels).T
    return scaled(data)


def _described(stream: AudioStream) -> str:
    context: CodecContext | None = stream.codec_context  # None if there is no decoder
    words = (stream.language, stream.metadata.get("title"), context.name if context else "")
    return ", ".join(word for word in words if word and word != "und")
