"""From the floating point files that stems grow in to the format that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from songsplit.audio._types import FloatArray
from songsplit.audio.encoding import Encoder, open_encoder
from songsplit.audio.quantizing import Quantizer
from songsplit.audio.resampling import Resampler, resampled_length
from songsplit.audio.stem_mp4 import StemMp4Encoder
from songsplit.audio.writing import PartFile, output_errors
from songsplit.formats import OutputFormat

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


def encode_together(parts: Mapping[str, PartFile], output: OutputFormat, gain: float) -> None:
    """Replace finished floating point files by files of another format.

    Block by block and side by side, since dither of integer formats is shared out among
    the stems (:class:`songsplit.audio.quantizing.Quantizer`).

    Parameters
    ----------
    parts : mapping of str to PartFile
        By stem, all of the same rate, channels and length. If the format holds all stems
        in one file, this takes the place of the first part, and the others are removed.
    output : OutputFormat
        Any but floating point WAV.
    gain : float
        What to multiply samples by.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    files = list(parts.values())
    kept = files[:1] if output.holds_all else files
    with ExitStack() as stack:
        sources = [stack.enter_context(soundfile.SoundFile(str(part.part))) for part in files]
        rate, channels, frames = sources[0].samplerate, sources[0].channels, sources[0].frames
        to_rate = output.sample_rate(rate)
        length = resampled_length(frames, rate, to_rate)
        streams = [_resampled(_blocks(source, gain), rate, to_rate, channels) for source in sources]
        opened = []
        for part in kept:
            with output_errors(part.path):
                opened.append(stack.enter_context(part.begin_again()))
        with output_errors(files[0].path):
            if output.holds_all:
                _encode_into_one(opened[0], list(parts), streams, output, to_rate, channels)
            else:
                encoders = [open_encoder(f, output, to_rate, channels, length) for f in opened]
                _encode_each(encoders, streams, output)
    for part in files:
        if part in kept:
            part.use_again()
        else:
            part.discard()


def _encode_each(
    encoders: Sequence[Encoder], streams: Sequence[Iterator[FloatArray]], output: OutputFormat
) -> None:
    quantize = None if output.depth is None else Quantizer(int(output.depth))
    for blocks in zip(*streams, strict=True):
        written: Sequence[NDArray[np.int32] | FloatArray] = blocks
        if quantize is not None:
            written = quantize(blocks)
        for encoder, block in zip(encoders, written, strict=True):
            encoder.write(block)
    for encoder in encoders:
        encoder.close()


def _encode_into_one(
    file: BinaryIO,
    names: Sequence[str],
    streams: Sequence[Iterator[FloatArray]],
    output: OutputFormat,
    sample_rate: int,
    channels: int,
) -> None:
    titles = [name.capitalize() for name in names]
    encoder = StemMp4Encoder(file, titles, sample_rate, channels, output.kilobits)
    for blocks in zip(*streams, strict=True):
        encoder.write(blocks)
    encoder.close()


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
