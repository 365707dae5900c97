"""Encoders: blocks of float32 samples in, a file in some format out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from songsplit.audio.arrays import FloatArray
from songsplit.audio.formats import FormatName, OutputFormat
from songsplit.audio.stem_mp4 import StemMp4Encoder
from songsplit.errors import OutputError
from songsplit.files import output_errors

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

# What FFmpeg calls the containers and codecs.
_CONTAINERS: dict[FormatName, tuple[str, str]] = {
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "opus": ("opus", "libopus"),
}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
# Nominal bit rates of Vorbis at quality 0, 1, ... 10, stereo at 44.1 kHz.
_VORBIS_KILOBITS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
# Beyond this, sizes no longer fit the fields of a plain WAV file.
_MAX_PLAIN_BYTES = 0xFFFFFFFF - 4096
_BLOCK_FRAMES = 1 << 16


def joint_gain(peak: float, output: OutputFormat) -> float:
    """Return what to multiply all stems by, 1 or less, so that a largest sample does not clip."""
    # Room for dither and rounding.
    highest = 1 - 2.0 ** (2 - output.bits) if output.bits else 1.0
    return min(1.0, highest / peak) if peak else 1.0


def encode_together(
    sources: Mapping[str, Path],
    targets: Mapping[Path, Path],
    output: OutputFormat,
    gain: float,
    alive: Callable[[], None],
) -> None:
    """Turn floating point WAV files of stems, all alike, into files of another format or level.

    `targets` are empty files, by the name they have in messages: one for each stem, or one for
    all. `alive` is called for every block; what it raises ends the work.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(path.open("rb")) for path in sources.values()]
        stems = [stack.enter_context(soundfile.SoundFile(file)) for file in opened]
        files = [
            stack.enter_context(_OutputFile(path, temporary)) for path, temporary in targets.items()
        ]
        encoders: list[StemMp4Encoder | _SoundFileEncoder | _FFmpegEncoder] = []
        for index, file in enumerate(files):
            with file.guarded():
                encoder = _encoder(file, output, stems[0], list(sources), seed=index)
                stack.callback(encoder.abort)
            encoders.append(encoder)
        # Encoders work outside of Python's lock, and MP3 and AAC take longer than the
        # separation: a thread for each file. Entered last, it is waited for first.
        pool = stack.enter_context(ThreadPoolExecutor(len(files)))
        for blocks in zip(*(_blocks(stem, gain) for stem in stems), strict=True):
            given = repeat(blocks) if output.holds_all else blocks
            list(pool.map(_write, files, encoders, given))
            alive()
        list(pool.map(_close, files, encoders))


class _OutputFile(io.FileIO):
    """A file for encoders, whose libraries lose errors of what they write to."""

    def __init__(self, path: Path, temporary: Path) -> None:
        super().__init__(temporary, "r+")
        self._path = path
        self._error: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write all, or keep the error for later."""
        left = memoryview(data)
        try:
            while left:
                left = left[self._write_some(left) :]
        except BaseException as error:
            self._error = self._error or error
        return len(data)

    def _write_some(self, data: memoryview) -> int:
        return super().write(data)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Raise what went wrong in the file, or the encoder's own error as one of ours."""
        with output_errors(self._path):
            try:
                yield
            except OutputError:
                raise
            except Exception as error:
                if self._error is None and not isinstance(error, OSError):
                    raise OutputError(
                        f"{self._path}: cannot be encoded ({error or type(error).__name__}); "
                        "use another format"
                    ) from error
                if self._error is None:
                    raise
            if self._error is not None:
                raise self._error


def _write(file: _OutputFile, encoder: Any, samples: Any) -> None:
    with file.guarded():
        encoder.write(samples)


def _close(file: _OutputFile, encoder: Any) -> None:
    with file.guarded():
        encoder.close()


def _blocks(stem: soundfile.SoundFile, gain: float) -> Iterator[FloatArray]:
    while len(block := stem.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        yield np.ascontiguousarray(block.T) * np.float32(gain)


def _encoder(
    file: _OutputFile,
    output: OutputFormat,
    stem: soundfile.SoundFile,
    names: Sequence[str],
    seed: int,
) -> StemMp4Encoder | _SoundFileEncoder | _FFmpegEncoder:
    binary = cast("BinaryIO", file)
    rate, channels = stem.samplerate, stem.channels
    if output.holds_all:
        titles = [name.capitalize() for name in names]
        return StemMp4Encoder(binary, titles, rate, channels, output.kilobits)
    if output.name in _CONTAINERS:
        return _FFmpegEncoder(binary, output, rate, channels)
    return _SoundFileEncoder(binary, output, rate, channels, stem.frames, seed)


class _SoundFileEncoder:
    """WAV, FLAC and Vorbis, by libsndfile."""

    def __init__(
        self,
        file: BinaryIO,
        output: OutputFormat,
        sample_rate: int,
        channels: int,
        frames: int,
        seed: int,
    ) -> None:
        options: dict[str, Any] = {"format": output.name.upper(), "subtype": "VORBIS"}
        self._bits = output.bits
        # The same song gives the same bytes, and each stem has noise of its own.
        self._rng = np.random.default_rng(seed)
        if output.depth is not None:
            bits = output.bits or 32
            options["subtype"] = "FLOAT" if output.is_float else f"PCM_{bits}"
            if output.name == "wav" and frames * channels * bits // 8 > _MAX_PLAIN_BYTES:
                options["format"] = "RF64"
        else:
            quality = np.interp(output.kilobits, _VORBIS_KILOBITS, np.linspace(0, 1, 11))
            options["compression_level"] = float(1 - quality)
        self._file = soundfile.SoundFile(file, "w", sample_rate, channels, **options)

    def write(self, block: FloatArray) -> None:
        """Append float32 (channels, n); what is beyond full scale is cut off."""
        samples = self._rounded(block, self._bits) if self._bits else block.clip(-1, 1)
        self._file.write(np.ascontiguousarray(samples.T))

    def _rounded(self, block: FloatArray, bits: int) -> NDArray[np.int32]:
        """Return integers in the highest bits of 32, which is where libsndfile takes them."""
        scale = 2.0 ** (bits - 1)
        steps = block.astype(np.float64) * scale
        if bits == 16:
            # Rounding alone makes soft sounds rough; triangular noise of one step turns that into
            # steady, much softer hiss (Lipshitz, Wannamaker and Vanderkooy 1992).
            steps += self._rng.random(block.shape) - self._rng.random(block.shape)
        integers = np.rint(steps).clip(-scale, scale - 1).astype(np.int32)
        return np.left_shift(integers, 32 - bits)

    def close(self) -> None:
        """Complete the file, which itself stays open."""
        self._file.close()

    def abort(self) -> None:
        """Let go of a file that nobody wants any more; after closing, do nothing."""
        with suppress(Exception):
            self._file.close()


class _FFmpegEncoder:
    """MP3, AAC and Opus by FFmpeg's libraries."""

    def __init__(
        self, file: BinaryIO, output: OutputFormat, sample_rate: int, channels: int
    ) -> None:
        import av

        container, codec = _CONTAINERS[output.name]
        # In milliseconds, the default, the edit list of an MP4 cuts off the last samples.
        options = {"movie_timescale": str(sample_rate)} if container == "ipod" else {}
        options["fflags"] = "+bitexact"  # no random numbers in the file
        self._container = av.open(file, "w", format=container, options=options)
        stream = self._container.add_stream(codec, rate=sample_rate)
        self._stream = cast("AudioStream", stream)
        self._stream.layout = _LAYOUTS[channels]
        # Bit rates are meant for stereo: as many per channel for any other number.
        self._stream.bit_rate = output.kilobits * 500 * channels
        context = self._stream.codec_context
        if codec == "libopus":
            context.format = "flt"  # takes 16 bits otherwise
        self._resampler = av.AudioResampler(
            context.format, context.layout, sample_rate, frame_size=context.frame_size or 1152
        )
        self._layout, self._rate, self._given = _LAYOUTS[channels], sample_rate, 0

    def write(self, block: FloatArray) -> None:
        """Append float32 (channels, n)."""
        from av import AudioFrame

        samples = np.ascontiguousarray(block.clip(-1, 1).T).reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="flt", layout=self._layout)
        frame.sample_rate, frame.pts = self._rate, self._given
        self._given += block.shape[-1]
        self._encode(self._resampler.resample(frame))

    def close(self) -> None:
        """Complete the file, which itself stays open."""
        self._encode(self._resampler.resample(None))
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abort(self) -> None:
        """Let go of a file that nobody wants any more; after closing, do nothing."""
        with suppress(Exception):
            self._container.close()

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            self._container.mux(self._stream.encode(frame))
