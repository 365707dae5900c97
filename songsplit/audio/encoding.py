"""Encoders: blocks of samples in, a file in some format out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from songsplit.audio._forking import survive_forks
from songsplit.formats import FormatName, OutputFormat

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

survive_forks()


class Encoder(Protocol):
    """A file in the making."""

    def write(self, block: NDArray[Any]) -> None:
        """Append (channels, n): int32 for formats with a bit depth, else float32."""

    def close(self) -> None:
        """Complete the file, which itself stays open."""

    def abort(self) -> None:
        """Let go of a file that nobody wants any more; after closing, do nothing."""


def open_encoder(
    file: BinaryIO, output: OutputFormat, sample_rate: int, channels: int, frames: int
) -> Encoder:
    """Begin to write a file.

    Parameters
    ----------
    file : binary file object
        Empty, open for writing, able to seek.
    output : OutputFormat
    sample_rate, channels : int
        Of the audio, such as the format can hold.
    frames : int
        Number of samples per channel that are to come.

    Returns
    -------
    Encoder
    """
    if output.name in _CONTAINERS:
        return _PyAVEncoder(file, output, sample_rate, channels)
    return _SoundFileEncoder(file, output, sample_rate, channels, frames)


class _SoundFileEncoder:
    """WAV, FLAC and Vorbis, by libsndfile."""

    def __init__(
        self, file: BinaryIO, output: OutputFormat, sample_rate: int, channels: int, frames: int
    ) -> None:
        import soundfile

        options: dict[str, Any] = {"format": output.name.upper(), "subtype": "VORBIS"}
        self._shift = 0
        if output.depth is not None:
            bits = output.bits or 32
            options["subtype"] = "FLOAT" if output.is_float else f"PCM_{bits}"
            # libsndfile takes the highest bits of 32.
            self._shift = 32 - bits
            if output.name == "wav" and frames * channels * bits // 8 > _MAX_PLAIN_BYTES:
                options["format"] = "RF64"
        else:
            quality = np.interp(output.kilobits, _VORBIS_KILOBITS, np.linspace(0, 1, 11))
            options["compression_level"] = float(1 - quality)
        self._file = soundfile.SoundFile(file, "w", sample_rate, channels, **options)

    def write(self, block: NDArray[Any]) -> None:
        if self._shift:
            block = np.left_shift(block, self._shift)
        self._file.write(np.ascontiguousarray(block.T))

    def close(self) -> None:
        self._file.close()

    def abort(self) -> None:
        with suppress(Exception):
            self._file.close()


class _PyAVEncoder:
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
        self._stream.bit_rate = output.kilobits * 500 * max(channels, 1)
        context = self._stream.codec_context
        if codec == "libopus":
            context.format = "flt"  # takes 16 bits otherwise
        self._resampler = av.AudioResampler(
            context.format, context.layout, sample_rate, frame_size=context.frame_size or 1152
        )
        self._layout, self._rate, self._given = _LAYOUTS[channels], sample_rate, 0

    def write(self, block: NDArray[Any]) -> None:
        from av import AudioFrame

        if not block.shape[-1]:
            return
        samples = np.ascontiguousarray(block.T, dtype=np.float32).reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="flt", layout=self._layout)
        frame.sample_rate, frame.pts = self._rate, self._given
        self._given += block.shape[-1]
        self._encode(self._resampler.resample(frame))

    def close(self) -> None:
        self._encode(self._resampler.resample(None))
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abort(self) -> None:
        with suppress(Exception):
            self._container.close()

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            self._container.mux(self._stream.encode(frame))
