"""Encoders that write blocks of samples to files in each output format."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from songsplit.audio.containers import boxes
from songsplit.audio.formats import MAX_STEMS, FormatName, OutputFormat
from songsplit.errors import OutputError
from songsplit.files import GrowingFile, output_errors

# Each block is a list of float ``(channels, n)`` arrays, one for each stem.
_Blocks: TypeAlias = Iterable[Sequence[NDArray[Any]]]
Encoder: TypeAlias = "WavStream | _SoundFileEncoder | FFmpegEncoder"

_BY_LIBSNDFILE = ("wav", "flac", "ogg")
# FFmpeg's names of the containers and codecs.
_CONTAINERS: dict[FormatName, tuple[str, str]] = {
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "opus": ("opus", "libopus"),
}
# Nominal bit rates of Vorbis at quality 0, 1, ..., 10, for stereo at 44.1 kHz.
_VORBIS_KILOBITS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
# Longer data do not fit the 32-bit length fields of a plain WAV file.
_MAX_PLAIN_BYTES = 0xFFFFFFFF - 4096
_LONG = 0xFFFFFFFF  # RF64: the length is in ds64; plain WAV: the length is unknown
_IEEE_FLOAT = 3
_HEADER = struct.Struct("<4sI4s 4sI28s 4sI18s 4sII 4sI")
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_EMPTY = "-"
_COLORS = ("#E8A33D", "#3D7DE8", "#8A8A8A", "#8A8A8A")
_HEAD = 8  # bytes of a box before its content
# The format's settings for processing the sum of the parts, all disabled.
_MASTERING: dict[str, Any] = {
    "compressor": {
        "enabled": False,
        "ratio": 3,
        "output_gain": 0.5,
        "release": 0.3,
        "attack": 0.003,
        "input_gain": 0.5,
        "threshold": 0,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.05, "threshold": 0, "ceiling": -0.35},
}


def joint_gain(peak: float, output: OutputFormat) -> float:
    """Return the gain, at most 1, at which stems with this peak do not clip."""
    # Leave headroom for dither and rounding.
    highest = 1 - 2.0 ** (3 - output.bits) if output.bits else 1.0
    return min(1.0, highest / peak) if peak else 1.0


def encode(
    stems: _Blocks,
    files: Sequence[GrowingFile],
    open_encoder: Callable[[GrowingFile], Encoder],
    alive: Callable[[], None],
) -> None:
    """Write blocks of stems to one file for each stem, or to one file for all."""
    encoders: list[Encoder] = []
    try:
        for file in files:
            _run(file, lambda file: encoders.append(open_encoder(file)), [file])
        # Encoders release the GIL, and MP3 and AAC take longer than the separation: each file
        # gets a thread.
        with ThreadPoolExecutor(len(files)) as pool:
            for block in stems:
                given = [[stem] for stem in block] if len(files) > 1 else [block]
                list(pool.map(_run, files, [e.write for e in encoders], given))
                alive()
            list(pool.map(_run, files, [e.close for e in encoders]))
    except BaseException:
        # Encoders may still write, so they are closed before the files.
        for opened in encoders:
            with suppress(Exception):
                opened.close()
        raise


def encoder(
    file: BinaryIO,
    output: OutputFormat,
    sample_rate: int,
    channels: int,
    *,
    frames: int,
    names: Sequence[str],
) -> Encoder:
    """Return an encoder for an empty file of `frames` frames; `names` are the stems."""
    if output.is_float:
        return WavStream(file, sample_rate, channels)
    if output.name in _BY_LIBSNDFILE:
        return _SoundFileEncoder(file, output, sample_rate, channels, frames)
    if output.holds_all:
        return StemMp4Encoder(file, names, sample_rate, output.kilobits)
    return FFmpegEncoder(file, *_CONTAINERS[output.name], sample_rate, channels, output.kilobits)


def _run(file: GrowingFile, work: Callable[..., Any], arguments: Sequence[Any] = ()) -> None:
    """Run an encoder; raise the error of its file, or an OutputError for its own error."""
    with output_errors(file.path):
        try:
            work(*arguments)
        except Exception as error:
            file.check()
            if isinstance(error, OSError):
                raise
            reason = error or type(error).__name__
            message = f"{file.path}: cannot be encoded ({reason}); use another format"
            raise OutputError(message) from error
        file.check()


def rounded(blocks: _Blocks, bits: int) -> Iterator[list[NDArray[np.int32]]]:
    """Round to integers in the highest bits of int32, as libsndfile expects them.

    The rounding error of each stem is added to the next one, so that the stems add up to the
    rounded song.
    """
    scale = 2.0 ** (bits - 1)
    rng = np.random.default_rng(0)  # the same song gives the same bytes
    for stems in blocks:
        done: list[NDArray[np.int32]] = []
        # Triangular dither of one step replaces the distortion of quiet sounds by steady, much
        # quieter noise (Lipshitz, Wannamaker and Vanderkooy 1992).
        shape = stems[0].shape
        noise = np.subtract(*rng.random((2, *shape), np.float32)) if bits == 16 else 0.0
        rest = np.zeros(shape)
        for stem in stems:
            exact = stem * scale + rest
            steps = np.rint(exact + (0 if done else noise)).clip(-scale, scale - 1)
            rest = exact - steps
            done.append(np.left_shift(steps.astype(np.int32), 32 - bits))
        yield done


class _SoundFileEncoder:
    """Writes integer WAV, FLAC and Vorbis with libsndfile."""

    def __init__(
        self, file: BinaryIO, output: OutputFormat, sample_rate: int, channels: int, frames: int
    ) -> None:
        options: dict[str, Any] = {"format": output.name.upper(), "subtype": f"PCM_{output.bits}"}
        if not output.bits:
            quality = np.interp(output.kilobits, _VORBIS_KILOBITS, np.linspace(0, 1, 11))
            options |= {"subtype": "VORBIS", "compression_level": float(1 - quality)}
        elif output.name == "wav" and frames * channels * output.bits // 8 > _MAX_PLAIN_BYTES:
            options["format"] = "RF64"
        self._file = soundfile.SoundFile(file, "w", sample_rate, channels, **options)

    def write(self, block: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(block.T))

    def close(self) -> None:
        self._file.close()


class WavStream:
    """Writes ``(channels, n)`` blocks as 32-bit float WAV, or RF64 beyond 4 GiB.

    Until the stream is closed, the header states the largest possible length, which programs that
    read from pipes treat as unknown. The file stays open.
    """

    def __init__(self, file: BinaryIO, sample_rate: int, channels: int) -> None:
        self._file, self._frames, self._frame_bytes = file, 0, 4 * channels
        rate = sample_rate, sample_rate * self._frame_bytes
        self._form = struct.pack("<HHIIHHH", _IEEE_FLOAT, channels, *rate, self._frame_bytes, 32, 0)
        self._write_header(b"RIFF", b"JUNK", _LONG, _LONG)

    def write(self, block: NDArray[Any]) -> None:
        """Append a block."""
        self._file.write(np.ascontiguousarray(block.T, dtype="<f4").data)
        self._file.flush()
        self._frames += block.shape[1]

    def close(self) -> None:
        """Write the length into the header."""
        size = self._frames * self._frame_bytes
        lengths = _HEADER.size - 8 + size, size
        self._file.seek(0)
        if size <= _MAX_PLAIN_BYTES:
            self._write_header(b"RIFF", b"JUNK", *lengths)
        else:
            long_lengths = struct.pack("<QQQ", *lengths, self._frames)
            self._write_header(b"RF64", b"ds64", _LONG, _LONG, long_lengths)

    def _write_header(
        self, kind: bytes, first: bytes, length: int, size: int, lengths: bytes = b""
    ) -> None:
        # The first chunk is padding, or holds the lengths of RF64.
        start = (kind, length, b"WAVE", first, 28, lengths, b"fmt ", len(self._form), self._form)
        self._file.write(_HEADER.pack(*start, b"fact", 4, min(self._frames, _LONG), b"data", size))


class FFmpegEncoder:
    """Writes MP3, AAC or Opus to an empty file: one stream, or several of the same length."""

    def __init__(
        self,
        file: BinaryIO,
        container: str,
        codec: str,
        sample_rate: int,
        channels: int,
        kilobits: int,
        *,
        streams: int = 1,
    ) -> None:
        # FFmpeg's libraries are slow to load.
        import av

        options = {"fflags": "+bitexact"}  # no random numbers in the file
        if codec == "aac":
            # The default, milliseconds, makes the edit list of an MP4 cut off the last samples.
            options["movie_timescale"] = str(sample_rate)
        self._container = av.open(file, "w", format=container, options=options)
        self._streams: list[Any] = []
        for _ in range(streams):
            stream: Any = self._container.add_stream(codec, rate=sample_rate)
            stream.layout = _LAYOUTS[channels]
            # Bit rates are given for stereo; other channel counts get the same rate per channel.
            stream.bit_rate = kilobits * 500 * channels
            if codec == "libopus":
                stream.codec_context.format = "flt"  # the default is 16 bits
            self._streams.append(stream)
        self._layout, self._rate, self._given = _LAYOUTS[channels], sample_rate, 0

    def write(self, *blocks: NDArray[Any]) -> None:
        """Append a (channels, n) block to each stream."""
        from av.audio.frame import AudioFrame

        for stream, block in zip(self._streams, blocks, strict=True):
            samples = np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
            frame = AudioFrame.from_ndarray(samples, format="flt", layout=self._layout)
            frame.sample_rate, frame.pts = self._rate, self._given
            self._container.mux(stream.encode(frame))
        self._given += blocks[0].shape[-1]

    def close(self) -> None:
        """Complete the file."""
        try:
            for stream in self._streams:
                self._container.mux(stream.encode(None))
        finally:
            self._container.close()


class StemMp4Encoder(FFmpegEncoder):
    """Writes the stem files of Native Instruments, which DJ programs play.

    A stem file holds five stereo AAC streams: the mixture, for players that do not support stems,
    and four parts, which a box in the file names. With two stems, the last two parts are silent.
    The file is empty, open for reading and writing, and seekable. Specification: Native
    Instruments, "Stem file format" (stems-music.com).
    """

    def __init__(
        self, file: BinaryIO, names: Sequence[str], sample_rate: int, kilobits: int
    ) -> None:
        super().__init__(file, "mp4", "aac", sample_rate, 2, kilobits, streams=1 + MAX_STEMS)
        self._file = file
        titles = [*(name.capitalize() for name in names), *[_EMPTY] * (MAX_STEMS - len(names))]
        self._stems = [{"name": n, "color": c} for n, c in zip(titles, _COLORS, strict=True)]

    def write(self, *stems: NDArray[Any]) -> None:
        """Append a (channels, n) block of each stem."""
        mixture = np.sum(stems, axis=0, dtype=np.float32)
        silence = [np.zeros_like(mixture)] * (MAX_STEMS - len(stems))
        shape = (2, mixture.shape[-1])
        super().write(*(np.broadcast_to(part, shape) for part in (mixture, *stems, *silence)))

    def close(self) -> None:
        """Complete the file, which stays open."""
        super().close()
        _insert(self._file, {"mastering_dsp": _MASTERING, "stems": self._stems, "version": 1})


def _insert(file: BinaryIO, description: dict[str, Any]) -> None:
    """Add the box ``moov/udta/stem`` to a file whose ``moov`` is the last box."""
    content_start, end = next(boxes(file, (0, file.seek(0, 2)), b"moov"))
    moov = content_start - _HEAD
    file.seek(moov)
    content = bytearray(file.read(end - moov))
    text = json.dumps(description).encode()
    stem = struct.pack(">I4s", 8 + len(text), b"stem") + text
    udta_start, udta_end = next(boxes(file, (content_start, end), b"udta"))
    # udta is the last box of moov, so no later data have to move.
    assert udta_end == end
    udta = udta_start - _HEAD - moov
    content += stem
    for at in (0, udta):
        size = struct.unpack_from(">I", content, at)[0]
        struct.pack_into(">I", content, at, size + len(stem))
    file.seek(moov)
    file.write(content)
