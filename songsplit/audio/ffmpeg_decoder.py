"""Decoding with FFmpeg's libraries (PyAV): AAC, MP3, WMA, Matroska and all the rest.

FFmpeg's own resampler is kept out: it would mix channels down and change levels unasked. Frames
are turned into float32 here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av
import numpy as np
from av.codec.context import Flags2
from numpy.typing import NDArray

from songsplit.audio.arrays import FloatArray
from songsplit.audio.containers import read_at
from songsplit.audio.opening import NamelessFile, Pipe, broken, cut_off, empty
from songsplit.errors import AudioFileError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.codec.context import CodecContext
    from av.container import InputContainer

_PIPE_PROBE_BYTES = 1 << 17
_PIPE_BUFFER_BYTES = 1 << 12
_FILE_BUFFER_BYTES = 1 << 15
# By the name of the sample format, without the "p" of those that are planar.
_TYPES = {
    "u8": np.uint8,
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "flt": np.float32,
    "dbl": np.float64,
}
# Tags between the parts of a joined MP3, which are no audio and no damage either. Some have
# their mark at the end only, where another tag of 128 bytes may follow.
_TAGS = (b"ID3", b"TAG", b"APE")
_TAG_END = b"APETAGEX"
# Containers whose duration is written down by whoever made the file, by the first of FFmpeg's
# names for them. Of others, FFmpeg estimates it.
_WITH_DURATION = ("mov", "matroska", "asf")
# Encoders' delays and rounding make decoded audio a little shorter.
_TOLERANCE = 0.02, 0.25  # share, and seconds


class FFmpegDecoder:
    """Reads the first audio stream of a file or pipe with FFmpeg's libraries."""

    def __init__(self, file: BinaryIO | Pipe, name: str) -> None:
        self._name = name
        self._container, self._source = _open(file, name)
        try:
            # The first, not FFmpeg's "best": in a stem file that may be a single stem.
            stream = next(iter(self._container.streams.audio), None)
            if stream is None:
                raise _no_audio(name, self._container)
            # There is no context where there is no decoder.
            context: CodecContext | None = stream.codec_context
            if self._container.format.name == "caf" and context is not None:
                # FFmpeg takes the filler at the end of CAF off, which ALAC has left out already.
                context.flags2 |= Flags2.skip_manual
            decoded = _decoded(self._container, self._source, [stream], name)
            self._frames = (frame for _, frame in decoded)
            # What the header says of rate and channels is wrong for some files (AAC with
            # spectral band replication): the first decoded frame decides.
            first = next(self._frames, None)
            if first is None:
                raise empty(name)
        except BaseException:
            self._container.close()
            raise
        self._first = first
        self.sample_rate: int = first.sample_rate
        self.channels: int = first.layout.nb_channels
        self.frames: int | None = None
        self.seconds: float | None = _duration(self._container, stream)
        self.format = f"{self._container.format.name} {stream.codec_context.name}"
        self._promised = _promised_seconds(self._container, stream)

    def chunks(self) -> Iterator[FloatArray]:
        """Yield ``(channels, n)`` pieces up to the end of the file."""
        done = 0
        for frame in chain([self._first], self._frames):
            done += frame.samples
            yield _to_float(frame)
        seconds = done / self.sample_rate
        share, least = _TOLERANCE
        if self._promised - seconds > max(least, share * self._promised):
            raise cut_off(self._name, seconds)

    def close(self) -> None:
        """Release the decoder; the file itself stays open."""
        self._container.close()


def decode_streams(file: BinaryIO, name: str) -> tuple[list[FloatArray], int]:
    """Decode all audio streams of a file side by side, each of its own length, at one rate."""
    container, source = _open(file, name)
    with container:
        streams = list(container.streams.audio)
        if not streams:
            raise _no_audio(name, container)
        pieces: dict[int, list[FloatArray]] = {stream.index: [] for stream in streams}
        rates = set()
        for index, frame in _decoded(container, source, streams, name):
            pieces[index].append(_to_float(frame))
            rates.add(frame.sample_rate)
    if not all(pieces.values()):
        raise AudioFileError(f"{name}: an audio stream of the file is empty; export it again")
    if len(rates) > 1:
        raise AudioFileError(
            f"{name}: its audio streams have different sample rates "
            f"({', '.join(map(str, sorted(rates)))} Hz); export them with one"
        )
    return [np.concatenate(parts, axis=1) for parts in pieces.values()], rates.pop()


def _duration(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000


def _promised_seconds(container: InputContainer, stream: AudioStream) -> float:
    """Return how long the container says that the audio is, or 0 where it does not say."""
    if not container.format.name.startswith(_WITH_DURATION):
        return 0.0
    # The duration of a container is that of its longest stream, such as the pictures.
    if stream.duration is None and len(container.streams) > 1:
        return 0.0
    return _duration(container, stream) or 0.0


def _open(file: BinaryIO | Pipe, name: str) -> tuple[InputContainer, NamelessFile | Pipe]:
    # A playlist could name other files or addresses: FFmpeg may open none.
    options = {"protocol_whitelist": "none"}
    source: NamelessFile | Pipe
    buffer_size = _FILE_BUFFER_BYTES
    if isinstance(file, Pipe):
        source = file
        # Not seconds of audio before the first sample comes out.
        options["probesize"] = str(_PIPE_PROBE_BYTES)
        buffer_size = _PIPE_BUFFER_BYTES
    else:
        file.seek(0)
        source = NamelessFile(file)
    try:
        container = av.open(
            source, "r", metadata_errors="replace", options=options, buffer_size=buffer_size
        )
        return container, source
    except (av.FFmpegError, OSError, ValueError) as error:
        source.check()
        if not isinstance(file, Pipe) and read_at(file, 4, 4) == b"ftyp":
            reason = "the file is cut off or damaged: its index is missing or unreadable"
            raise AudioFileError(f"{name}: {reason}; copy, download or export it again") from error
        raise AudioFileError(
            f"{name}: not an audio file that can be read; use WAV, FLAC, MP3, M4A, Ogg or another "
            "common format"
        ) from error


def _decoded(
    container: InputContainer,
    source: NamelessFile | Pipe,
    streams: list[AudioStream],
    name: str,
) -> Iterator[tuple[int, AudioFrame]]:
    """Yield (stream index, frame), and raise where the data or their kind break."""
    seen: dict[int, tuple[int, int]] = {}
    done = dict.fromkeys((stream.index for stream in streams), 0)
    rate = 1
    try:
        for packet in container.demux(streams):
            if _is_tag(bytes(packet)):
                continue
            index = packet.stream.index
            for frame in cast("list[AudioFrame]", packet.decode()):
                rate = frame.sample_rate
                kind = rate, frame.layout.nb_channels
                first = seen.setdefault(index, kind)
                if kind != first:
                    raise AudioFileError(
                        f"{name}: sample rate or channels change at "
                        f"{done[index] / first[0]:.2f} s (from {first[0]} Hz, {first[1]} ch. to "
                        f"{kind[0]} Hz, {kind[1]} ch.); export the parts as separate files"
                    )
                if frame.samples:
                    done[index] += frame.samples
                    yield index, frame
        source.check()
    except av.DecoderNotFoundError as error:
        raise AudioFileError(
            f"{name}: its audio is of a kind for which there is no decoder here; export it as WAV "
            "or FLAC"
        ) from error
    except (av.FFmpegError, OSError) as error:
        source.check()
        raise broken(name, min(done.values()) / rate) from error


def _is_tag(packet: bytes) -> bool:
    return packet[:3] in _TAGS or _TAG_END in packet[-160:]


def _to_float(frame: AudioFrame) -> FloatArray:
    """Return a frame as float32 ``(channels, samples)`` with full scale at 1."""
    channels = frame.layout.nb_channels
    data: NDArray[Any]
    scaled: NDArray[Any]
    # Not to_ndarray: of eight planar channels PyAV counts nine, and the process dies; and it
    # does not know 64-bit integers.
    kind = _TYPES[frame.format.name.removesuffix("p")]
    planes: tuple[Any, ...] = frame.planes
    if frame.format.is_planar:
        data = np.stack([np.frombuffer(p, kind, frame.samples) for p in planes[:channels]])
    else:
        data = np.frombuffer(planes[0], kind, frame.samples * channels).reshape(-1, channels).T
    if data.dtype == np.uint8:
        scaled = (data.astype(np.float32) - 128.0) / 128.0
    elif data.dtype.kind == "i":
        scaled = data / float(2 ** (8 * data.dtype.itemsize - 1))
    else:
        scaled = data
    return np.ascontiguousarray(scaled, dtype=np.float32)


def _no_audio(name: str, container: InputContainer) -> AudioFileError:
    kinds = sorted({stream.type for stream in container.streams})
    holds = f"only {' and '.join(kinds)}" if kinds else "nothing"
    return AudioFileError(f"{name}: the file holds no audio ({holds}); choose a file with sound")
