"""Write stems to disk: all files completely, or none."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from songsplit.audio.arrays import FloatArray
from songsplit.audio.encoders import encode, encoder, joint_gain, rounded
from songsplit.audio.formats import MAX_STEMS, OutputFormat
from songsplit.audio.resampling import Resampler
from songsplit.audio.tags import Tags, write_tags
from songsplit.errors import OutputError
from songsplit.files import TEMPORARY_PREFIX, GrowingFile, WholeFiles, output_errors

_BLOCK_FRAMES = 1 << 16
_WAV = OutputFormat("wav")


class StemFilesWriter:
    """Writes several files of the same length that appear together or not at all.

    Stems are collected as raw samples in an unnamed file. When the ``with`` statement ends
    normally, they are encoded and replace any files at `paths`. An OutputError is raised if a file
    cannot be written.

    All stems are multiplied by one `gain` if a format other than floating point would clip, or if
    `guarded`. WAV without a given depth has 16 bits if the song fits into 16 bits (see
    :meth:`watching`) and nothing would clip, otherwise 24. `problems` lists tags that could not be
    copied. `alive` is called for every encoded block; an exception from it stops the work.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        sample_rate: int,
        channels: int,
        *,
        output: OutputFormat = _WAV,
        tags: Tags | None = None,
        guarded: bool = False,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.gain = 1.0
        self.problems = [tags.problem] if tags and tags.problem else []
        self._output, self._paths, self._channels = output, paths, channels
        output.check_channels(channels)
        if output.holds_all and len(paths) > MAX_STEMS:
            raise OutputError(
                f"stem.mp4 files hold {MAX_STEMS} stems, not {len(paths)}: use another format"
            )
        if not output.holds_all and len({*paths.values()}) < len(paths):
            raise OutputError(f"{next(iter(paths.values()))}: two results have this name")
        self._sample_rate = output.sample_rate(sample_rate)
        # Resample all channels of all stems as one signal.
        self._resampler = Resampler(sample_rate, self._sample_rate, len(paths) * channels)
        self._tags, self._guarded, self._alive = tags or Tags(), guarded, alive
        self._peak, self._frames, self._fits_16_bits = 0.0, 0, False
        self._whole = WholeFiles()
        self._files: list[GrowingFile] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._whole)
            for path in dict.fromkeys(self._paths.values()):
                self._files.append(self._whole.create(path))
            with output_errors(path):
                self._samples = tempfile.TemporaryFile(dir=path.parent, prefix=TEMPORARY_PREFIX)
            stack.callback(_close_quietly, self._samples)
            self._resources = stack.pop_all()
        return self

    def watching(self, song: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Pass blocks of the song through and check whether they fit into 16 bits."""
        self._fits_16_bits = True
        for block in song:
            if self._fits_16_bits:
                steps = block * 2**15
                self._fits_16_bits = np.array_equal(steps, np.rint(steps))
            yield block

    def write(self, blocks: Mapping[str, FloatArray]) -> None:
        """Append one float32 ``(channels, n)`` block to every file; full scale is 1."""
        joined = np.concatenate([blocks[stem] for stem in self._paths])
        self._append(self._resampler.process(joined))

    def _append(self, block: FloatArray) -> None:
        with output_errors(self._files[0].path):
            self._samples.write(np.ascontiguousarray(block.T, np.float32).data)
        self._frames += block.shape[1]
        if self._output.holds_all:  # the mixture is written too
            block = np.concatenate([block, np.sum(np.split(block, len(self._paths)), axis=0)])
        self._peak = max(self._peak, float(np.abs(block).max(initial=0)))

    def add_file(self, path: Path, data: bytes) -> None:
        """Add a file that appears together with the others."""
        self._whole.create(path).write(data)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._resources.__exit__(type(error), error, error.__traceback__)
            return
        with self._resources:
            self._finish()

    def _finish(self) -> None:
        self._append(self._resampler.flush())
        output = self._output
        if output == _WAV and self._fits_16_bits:
            smaller = OutputFormat("wav", "16")
            output = smaller if joint_gain(self._peak, smaller) == 1 else output
        if self._guarded or not output.is_float:
            self.gain = joint_gain(self._peak, output)
        open_encoder = partial(
            encoder,
            output=output,
            sample_rate=self._sample_rate,
            channels=self._channels,
            frames=self._frames,
            names=list(self._paths),
        )
        with output_errors(self._files[0].path):
            blocks = rounded(self._blocks(), output.bits) if output.bits else self._blocks()
            encode(blocks, self._files, open_encoder, self._alive)
        # A file of all stems is paired with the first stem.
        for file, stem in zip(self._files, self._paths, strict=False):
            tags = self._tags if output.holds_all else self._tags.of_stem(stem)
            try:
                with output_errors(file.path):
                    write_tags(file, output.name, tags)
            except ValueError as error:
                self.problems.append(f"{file.path}: {error}")

    def _blocks(self) -> Iterator[list[NDArray[np.float64]]]:
        self._samples.seek(0)
        count = len(self._paths)
        while data := self._samples.read(4 * count * self._channels * _BLOCK_FRAMES):
            joined = np.frombuffer(data, np.float32).reshape(-1, count * self._channels).T
            yield np.split(joined * np.float64(self.gain), count)


def _close_quietly(file: IO[bytes]) -> None:
    # Closing writes the buffer, which fails again on a full disk.
    with suppress(OSError):
        file.close()
