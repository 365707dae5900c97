"""Stems on disk: all of them, whole, or none."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from songsplit.audio.arrays import FloatArray
from songsplit.audio.encoders import encode, joint_gain
from songsplit.audio.formats import OutputFormat
from songsplit.audio.resampling import Resampler
from songsplit.audio.stem_mp4 import PARTS
from songsplit.audio.tags import Tags, write_tags
from songsplit.errors import OutputError
from songsplit.files import TEMPORARY_PREFIX, GrowingFile, WholeFiles, output_errors

_BLOCK_FRAMES = 1 << 16


class StemFilesWriter:
    """Writes several files of one length that appear together or not at all.

    Stems grow as raw samples in files without names. Leaving the ``with`` statement normally
    turns them into the format that was asked for, at the nearest rate that it can have, in place of
    any files of the names in `paths`; leaving it by an exception removes them and the folders that
    were made. What cannot be written is an OutputError.

    All stems are multiplied by one `gain` if a format that is not floating point would clip, or if
    `guarded`. A WAV whose depth is left open has 16 bits if these hold all samples of the song (see
    :meth:`watching`) and nothing would clip, otherwise 24. `problems` says what could not be
    copied of the tags. `alive` is called now and then while the files are turned into their
    format; what it raises ends the work.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        sample_rate: int,
        channels: int,
        *,
        output: OutputFormat | None = None,
        tags: Tags | None = None,
        guarded: bool = False,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.gain = 1.0
        self.problems = [tags.problem] if tags and tags.problem else []
        self._output = OutputFormat() if output is None else output
        self._output.check_channels(channels)
        self._paths, self._channels = paths, channels
        if self._output.holds_all and len(paths) > PARTS:
            raise OutputError(
                f"stem.mp4 files hold {PARTS} stems, not {len(paths)}: use another format"
            )
        if not self._output.holds_all and len({*paths.values()}) < len(paths):
            raise OutputError(f"{next(iter(paths.values()))}: two results have this name")
        self._sample_rate = self._output.sample_rate(sample_rate)
        self._resamplers = {
            stem: Resampler(sample_rate, self._sample_rate, channels) for stem in paths
        }
        self._tags, self._guarded, self._alive = tags or Tags(), guarded, alive
        self._peak, self._frames, self._fits_16_bits = 0.0, 0, False
        self._whole = WholeFiles()
        self._files: dict[Path, GrowingFile] = {}
        self._samples: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._whole)
            for stem, path in self._paths.items():
                if path not in self._files:
                    self._files[path] = self._whole.create(path)
                with output_errors(path):
                    file = tempfile.TemporaryFile(dir=path.parent, prefix=TEMPORARY_PREFIX)
                stack.callback(_close_quietly, file)
                self._samples[stem] = file
            self._resources = stack.pop_all()
        return self

    def watching(self, song: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Pass blocks of the song through, and see whether 16 bits hold them."""
        self._fits_16_bits = True
        for block in song:
            if self._fits_16_bits:
                steps = block * 2**15
                self._fits_16_bits = np.array_equal(steps, np.rint(steps))
            yield block

    def write(self, blocks: Mapping[str, FloatArray]) -> None:
        """Append one float32 ``(channels, n)`` block to every file; full scale is 1."""
        self._append({stem: self._resamplers[stem].process(b) for stem, b in blocks.items()})

    def _append(self, blocks: Mapping[str, FloatArray]) -> None:
        for stem, block in blocks.items():
            with output_errors(self._paths[stem]):
                self._samples[stem].write(np.ascontiguousarray(block.T, np.float32).data)
        heard = list(blocks.values())
        if self._output.holds_all:
            heard.append(np.sum(heard, axis=0))
        self._peak = max(self._peak, *(float(np.abs(block).max(initial=0)) for block in heard))
        self._frames += heard[0].shape[1]

    def add_file(self, path: Path, data: bytes) -> None:
        """Write another file that appears together with the others."""
        self._whole.create(path).write(data)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._resources.__exit__(type(error), error, error.__traceback__)
            return
        with self._resources:
            self._finish()

    def _finish(self) -> None:
        self._append({stem: resampler.flush() for stem, resampler in self._resamplers.items()})
        output = self._output
        if output == OutputFormat("wav") and self._fits_16_bits:
            smaller = OutputFormat("wav", "16")
            output = smaller if joint_gain(self._peak, smaller) == 1 else output
        if self._guarded or not output.is_float:
            self.gain = joint_gain(self._peak, output)
        with output_errors(next(iter(self._files))):
            encode(
                self._blocks(),
                list(self._files.values()),
                output,
                list(self._paths),
                self._sample_rate,
                self._channels,
                self._frames,
                self._alive,
            )
        for path, stem in {path: stem for stem, path in self._paths.items()}.items():
            tags = self._tags if self._output.holds_all else self._tags.of_stem(stem)
            try:
                with output_errors(path):
                    write_tags(self._files[path], self._output.name, tags)
            except ValueError as error:
                self.problems.append(f"{path}: {error}")

    def _blocks(self) -> Iterator[list[NDArray[np.float64]]]:
        for samples in self._samples.values():
            samples.seek(0)
        gain = np.float64(self.gain)
        for _ in range(0, self._frames, _BLOCK_FRAMES):
            parts = [f.read(4 * self._channels * _BLOCK_FRAMES) for f in self._samples.values()]
            blocks = (np.frombuffer(p, np.float32).reshape(-1, self._channels).T for p in parts)
            yield [gain * block for block in blocks]


def _close_quietly(file: IO[bytes]) -> None:
    # Closing writes what is buffered, which on a full disk fails once more.
    with suppress(OSError):
        file.close()
