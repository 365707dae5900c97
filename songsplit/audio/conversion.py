"""From the floating point files that stems grow in to the format that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import soundfile
from numpy.typing import NDArray

from songsplit.audio._types import FloatArray
from songsplit.audio.encoding import open_encoder
from songsplit.audio.formats import OutputFormat
from songsplit.audio.quantizing import Quantizer
from songsplit.audio.resampling import Resampler, resampled_length
from songsplit.audio.writing import PartFile, output_errors

_BLOCK_FRAMES = 1 << 16


def joint_gain(peak: float, output: OutputFormat) -> float:
    """Return what to multiply all stems by, so that none clips.

    Parameters
    ----------
    peak : float
        Largest absolute sample of all stems.
    output : OutputFormat

    Returns
    -------
    float
        1 if nothing would clip.
    """
    highest = 1.0 if output.depth is None else Quantizer(int(output.depth)).highest
    return min(1.0, highest / peak) if peak else 1.0


def encode_together(parts: Sequence[PartFile], output: OutputFormat, gain: float) -> None:
    """Replace finished floating point files by files of another format.

    Block by block and side by side, since dither of integer formats is shared out among
    the stems (:class:`songsplit.audio.quantizing.Quantizer`).

    Parameters
    ----------
    parts : sequence of PartFile
        All of the same rate, channels and length.
    output : OutputFormat
        Any but floating point WAV.
    gain : float
        What to multiply samples by.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(soundfile.SoundFile(str(part.part))) for part in parts]
        rate, channels, frames = sources[0].samplerate, sources[0].channels, sources[0].frames
        to_rate = output.sample_rate(rate)
        encoders = []
        for part in parts:
            with output_errors(part.path):
                file = stack.enter_context(part.begin_again())
                length = resampled_length(frames, rate, to_rate)
                encoders.append(open_encoder(file, output, to_rate, channels, length))
        quantize = None if output.depth is None else Quantizer(int(output.depth))
        streams = [_resampled(_blocks(source, gain), rate, to_rate, channels) for source in sources]
        for blocks in zip(*streams, strict=True):
            written: Sequence[NDArray[np.int32] | FloatArray] = blocks
            if quantize is not None:
                written = quantize(blocks)
            for part, encoder, block in zip(parts, encoders, written, strict=True):
                with output_errors(part.path):
                    encoder.write(block)
        for part, encoder in zip(parts, encoders, strict=True):
            with output_errors(part.path):
                encoder.close()
    for part in parts:
        part.use_again()


def _blocks(source: soundfile.SoundFile, gain: float) -> Iterator[FloatArray]:
    while len(block := source.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        yield np.ascontiguousarray(block.T) * np.float32(gain)


def _resampled(
    blocks: Iterator[FloatArray], from_rate: int, to_rate: int, channels: int
) -> Iterator[FloatArray]:
    if from_rate == to_rate:
        yield from blocks
        return
    resampler = Resampler(from_rate, to_rate, channels)
    for block in blocks:
        yield resampler.process(block)
    yield resampler.flush()
