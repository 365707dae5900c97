"""Encoders: blocks of samples in, a file in some format out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from songsplit.audio.formats import FormatName, OutputFormat
from songsplit.audio.wav import MAX_PLAIN_BYTES, WavStream
from songsplit.errors import OutputError
from songsplit.files import GrowingFile, output_errors

_BY_LIBSNDFILE = ("wav", "flac", "ogg")
# What FFmpeg calls the containers and codecs.
_CONTAINERS: dict[FormatName, tuple[str, str]] = {
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "opus": ("opus", "libopus"),
}
# Nominal bit rates of Vorbis at quality 0, 1, ... 10, stereo at 44.1 kHz.
_VORBIS_KILOBITS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)


def joint_gain(peak: float, output: OutputFormat) -> float:
    """Return what to multiply all stems by, 1 or less, so that a largest sample does not clip."""
    # Room for dither and rounding.
    highest = 1 - 2.0 ** (3 - output.bits) if output.bits else 1.0
    return min(1.0, highest / peak) if peak else 1.0


def encode(
    stems: Iterable[Sequence[NDArray[np.float64]]],
    files: Sequence[GrowingFile],
    output: OutputFormat,
    names: Sequence[str],
    sample_rate: int,
    channels: int,
    frames: int,
    alive: Callable[[], None],
) -> None:
    """Write blocks of stems, which do not clip, to a file for each, or to one for all."""

    def encoder(file: GrowingFile) -> Any:
        if output.is_float:
            return WavStream(file, sample_rate, channels)
        if output.name in _BY_LIBSNDFILE:
            return _SoundFileEncoder(file, output, sample_rate, channels, frames)
        # FFmpeg's libraries are slow to load.
        from songsplit.audio.ffmpeg_encoder import FFmpegEncoder
        from songsplit.audio.stem_mp4 import StemMp4Encoder

        if output.holds_all:
            return StemMp4Encoder(file, names, sample_rate, output.kilobits)
        kind = _CONTAINERS[output.name]
        return FFmpegEncoder(file, *kind, sample_rate, channels, output.kilobits)

    blocks: Any = _rounded(stems, output.bits) if output.bits else stems
    encoders: list[Any] = []
    try:
        for file in files:
            _run(file, lambda file: encoders.append(encoder(file)), [file])
        # Encoders work outside of Python's lock, and MP3 and AAC take longer than the
        # separation: a thread for each file.
        with ThreadPoolExecutor(len(files)) as pool:
            for block in blocks:
                given = [block] if output.holds_all else [[stem] for stem in block]
                list(pool.map(_run, files, [e.write for e in encoders], given))
                alive()
            list(pool.map(_run, files, [e.close for e in encoders]))
    except BaseException:
        # Before the files are closed, to which encoders may have something to write.
        for opened in encoders:
            with suppress(Exception):
                opened.close()
        raise


def _run(file: GrowingFile, work: Callable[..., Any], arguments: Sequence[Any] = ()) -> None:
    """Let an encoder work; raise what went wrong in its file, or its own error as one of ours."""
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


def _rounded(
    blocks: Iterable[Sequence[NDArray[np.float64]]], bits: int
) -> Iterator[list[NDArray[np.int32]]]:
    """Round to integers in the highest bits of 32, which is where libsndfile takes them.

    What rounding takes from one stem the next one gets, so that all add up to the rounded song.
    """
    scale = 2.0 ** (bits - 1)
    rng = np.random.default_rng(0)  # the same song gives the same bytes
    for stems in blocks:
        rounded: list[NDArray[np.int32]] = []
        # Rounding alone makes soft sounds rough; triangular noise of one step turns that into
        # steady, much softer hiss (Lipshitz, Wannamaker and Vanderkooy 1992).
        shape = stems[0].shape
        noise = np.subtract(*rng.random((2, *shape), np.float32)) if bits == 16 else 0.0
        rest = np.zeros(shape)
        for stem in stems:
            exact = stem * scale + rest
            steps = np.rint(exact + (0 if rounded else noise)).clip(-scale, scale - 1)
            rest = exact - steps
            rounded.append(np.left_shift(steps.astype(np.int32), 32 - bits))
        yield rounded


class _SoundFileEncoder:
    """WAV of whole numbers, FLAC and Vorbis, by libsndfile."""

    def __init__(
        self, file: GrowingFile, output: OutputFormat, sample_rate: int, channels: int, frames: int
    ) -> None:
        options: dict[str, Any] = {"format": output.name.upper(), "subtype": f"PCM_{output.bits}"}
        if not output.bits:
            quality = np.interp(output.kilobits, _VORBIS_KILOBITS, np.linspace(0, 1, 11))
            options |= {"subtype": "VORBIS", "compression_level": float(1 - quality)}
        elif output.name == "wav" and frames * channels * output.bits // 8 > MAX_PLAIN_BYTES:
            options["format"] = "RF64"
        self._file = soundfile.SoundFile(file, "w", sample_rate, channels, **options)

    def write(self, block: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(block.T))

    def close(self) -> None:
        self._file.close()
