"""From the floating point files that stems grow in to the format that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import repeat
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from songsplit.audio._types import FloatArray
from songsplit.audio.encoding import Encoder, open_encoder
from songsplit.audio.quantizing import Quantizer
from songsplit.audio.stem_mp4 import StemMp4Encoder
from songsplit.audio.writing import PartFile, output_errors
from songsplit.errors import OutputError
from songsplit.formats import OutputFormat

_BLOCK_FRAMES = 1 << 16

Blocks: TypeAlias = Sequence[NDArray[Any]]


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
    highest = Quantizer(output.bits).highest if output.bits else 1.0
    return min(1.0, highest / peak) if peak else 1.0


def encode_together(
    parts: Mapping[str, PartFile],
    output: OutputFormat,
    gain: float,
    alive: Callable[[], None],
) -> None:
    """Replace finished floating point files by files of another format, or level.

    Block by block and side by side, since dither of integer formats is shared out among
    the stems (:class:`songsplit.audio.quantizing.Quantizer`).

    Parameters
    ----------
    parts : mapping of str to PartFile
        By stem, all of the same rate, channels and length. If the format holds all stems
        in one file, this takes the place of the first part, and the others are removed.
    output : OutputFormat
    gain : float
        What to multiply samples by.
    alive : callable
        Called for every block; what it raises ends the work.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    files = list(parts.values())
    kept = files[:1] if output.holds_all else files
    with ExitStack() as stack:
        opened = [stack.enter_context(part.part.open("rb")) for part in files]
        sources = [stack.enter_context(soundfile.SoundFile(file)) for file in opened]
        rate, channels, frames = sources[0].samplerate, sources[0].channels, sources[0].frames
        targets = []
        for part in kept:
            with output_errors(part.path):
                targets.append(_Target(part, stack.enter_context(part.begin_again())))
        jobs = _jobs(stack, targets, list(parts), output, rate, channels, frames)
        quantize = Quantizer(output.bits) if output.bits else None
        # Encoders work outside of Python's lock, and MP3 and AAC take longer than the
        # separation: a thread for each file. Entered last, it is waited for first.
        pool = stack.enter_context(ThreadPoolExecutor(len(jobs)))
        for blocks in zip(*(_blocks(source, gain) for source in sources), strict=True):
            if quantize is None:
                written: Blocks = [np.clip(block, -1, 1) for block in blocks]
            else:
                written = quantize(blocks)
            list(pool.map(_Job.write, jobs, repeat(written)))
            alive()
        list(pool.map(_Job.finish, jobs))
    for part in files:
        if part in kept:
            part.use_again()
        else:
            part.discard()


class _Job:
    """A file, what encodes it, and what takes the blocks of all stems for it."""

    def __init__(
        self,
        target: _Target,
        encoder: Encoder | StemMp4Encoder,
        encode: Callable[[Blocks], None],
    ) -> None:
        self._target, self._encoder, self._encode = target, encoder, encode

    def write(self, blocks: Blocks) -> None:
        """Encode a block of every stem."""
        with self._target.guarded():
            self._encode(blocks)

    def finish(self) -> None:
        """Complete the file."""
        with self._target.guarded():
            self._encoder.close()
        self._target.finish()


def _jobs(
    stack: ExitStack,
    targets: Sequence[_Target],
    stems: Sequence[str],
    output: OutputFormat,
    sample_rate: int,
    channels: int,
    frames: int,
) -> list[_Job]:
    if output.holds_all:
        titles = [name.capitalize() for name in stems]
        file = cast("BinaryIO", targets[0])
        with targets[0].guarded():
            whole = StemMp4Encoder(file, titles, sample_rate, channels, output.kilobits)
            stack.callback(whole.abort)
        return [_Job(targets[0], whole, whole.write)]

    def job(index: int) -> _Job:
        file = cast("BinaryIO", targets[index])
        with targets[index].guarded():
            encoder = open_encoder(file, output, sample_rate, channels, frames)
            stack.callback(encoder.abort)
        return _Job(targets[index], encoder, lambda blocks: encoder.write(blocks[index]))

    return [job(index) for index in range(len(targets))]


class _Target:
    """A file for encoders, whose libraries lose errors of what they write to."""

    def __init__(self, part: PartFile, file: BinaryIO) -> None:
        self._part, self._file = part, file
        self._error: BaseException | None = None
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def write(self, data: bytes) -> int:
        """Write, or keep the error for later."""
        try:
            return self._file.write(data)
        except BaseException as error:
            self._error = self._error or error
            return len(data)

    def flush(self) -> None:
        """Do nothing: the file is flushed when it is finished."""

    def seekable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Raise what went wrong in the file, or the encoder's own error as one of ours."""
        with output_errors(self._part.path):
            try:
                yield
            except OutputError:
                raise
            except Exception as error:
                if self._error is None and not isinstance(error, OSError):
                    raise OutputError(
                        f"{self._part.path}: cannot be encoded ({error or type(error).__name__}); "
                        "use another format"
                    ) from error
                if self._error is None:
                    raise
            if self._error is not None:
                raise self._error

    def finish(self) -> None:
        """Write what is still in memory."""
        with output_errors(self._part.path):
            self._file.close()


def _blocks(source: soundfile.SoundFile, gain: float) -> Iterator[FloatArray]:
    while len(block := source.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        yield np.ascontiguousarray(block.T) * np.float32(gain)
