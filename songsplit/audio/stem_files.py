"""Stems on disk: all of them, whole, or none."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from songsplit.audio.arrays import FloatArray
from songsplit.audio.encoders import encode_together, joint_gain
from songsplit.audio.formats import OutputFormat
from songsplit.audio.resampling import Resampler
from songsplit.audio.tags import Tags, write_tags
from songsplit.audio.wav import GrowingWav
from songsplit.errors import OutputError
from songsplit.files import WholeFiles, output_errors


class StemFilesWriter:
    """Writes several files of one length that appear together or not at all.

    They grow as 32-bit float WAV under temporary names. Leaving the ``with`` statement normally
    turns them into the format that was asked for, at the nearest rate that it can have, in place of
    any files of those names; leaving it by an exception removes them and the folders that were
    made. What cannot be written is an OutputError.

    All stems are multiplied by one `gain` if a format that is not floating point would clip, or if
    `guarded`; `problems` says what could not be written of the tags. `alive` is called now and then
    while the files are turned into their format; what it raises ends the work.
    """

    def __init__(
        self,
        paths: Mapping[str, str | os.PathLike[str]],
        sample_rate: int,
        channels: int,
        *,
        output: OutputFormat | None = None,
        tags: Tags | None = None,
        guarded: bool = False,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.gain = 1.0
        self.problems: list[str] = []
        self._output = OutputFormat() if output is None else output
        self._output.check_channels(channels)
        self._paths = {stem: Path(path) for stem, path in paths.items()}
        self._given_rate, self._channels = sample_rate, channels
        self._sample_rate = self._output.sample_rate(sample_rate)
        self._tags = tags
        self._can_clip = guarded or not self._output.is_float
        self._alive = alive
        self._peak = 0.0
        self._files = WholeFiles()
        self._resources = contextlib.ExitStack()
        self._parts: dict[str, Path] = {}
        self._wavs: dict[str, GrowingWav] = {}
        self._resamplers: dict[str, Resampler] = {}

    def __enter__(self) -> Self:
        places: set[Path] = set()
        for path in self._paths.values():
            _refuse_folder(path)
            with output_errors(path):
                place = path.parent.resolve() / path.name
            if place in places and not self._output.holds_all:
                raise OutputError(f"{path}: two results have this name; give each its own")
            places.add(place)
        self._resources.enter_context(self._files)
        try:
            for stem, path in self._paths.items():
                self._parts[stem] = self._files.temporary(path)
                with output_errors(path):
                    file = self._parts[stem].open("wb")
                    self._resources.callback(_close_quietly, file)
                    self._wavs[stem] = GrowingWav(file, self._sample_rate, self._channels)
                self._resamplers[stem] = Resampler(
                    self._given_rate, self._sample_rate, self._channels
                )
        except BaseException:
            self._resources.__exit__(*sys.exc_info())
            raise
        return self

    def write(self, blocks: Mapping[str, FloatArray]) -> None:
        """Append one float32 ``(channels, n)`` block to every file; no stems are no block.

        Full scale is 1, and values beyond are kept.
        """
        if not blocks:
            return
        self._append({stem: self._resamplers[stem].process(b) for stem, b in blocks.items()})

    def _append(self, blocks: Mapping[str, FloatArray]) -> None:
        for stem, block in blocks.items():
            with output_errors(self._paths[stem]):
                self._wavs[stem].write(block)
        if self._can_clip:
            heard = list(blocks.values())
            if self._output.holds_all:
                heard.append(np.sum(heard, axis=0))
            self._peak = max(self._peak, *(float(np.abs(b).max(initial=0)) for b in heard))

    def add_file(self, path: Path, data: bytes) -> None:
        """Write another file that appears together with the others."""
        _refuse_folder(path)
        temporary = self._files.temporary(path)
        with output_errors(path):
            temporary.write_bytes(data)
        self._files.place(temporary, path)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._resources.__exit__(type(error), error, error.__traceback__)
            return
        with self._resources:
            self._finish()

    def _finish(self) -> None:
        self._append({stem: resampler.flush() for stem, resampler in self._resamplers.items()})
        for stem, wav in self._wavs.items():
            with output_errors(self._paths[stem]):
                wav.close()
        finished = {path: self._parts[stem] for stem, path in self._paths.items()}
        if not self._output.is_float or (self._can_clip and self._peak > 1):
            self.gain = joint_gain(self._peak, self._output)
            finished = {path: self._files.temporary(path) for path in finished}
            # Closing files on a full disk fails too, after what has been reported of it.
            with output_errors(next(iter(finished))):
                encode_together(self._parts, finished, self._output, self.gain, self._alive)
        for stem, path in self._paths.items():
            if self._tags is not None:
                self._write_tags(stem, path, finished[path], self._tags)
            self._files.place(finished[path], path)

    def _write_tags(self, stem: str, path: Path, file: Path, tags: Tags) -> None:
        try:
            with output_errors(path):
                own = tags if self._output.holds_all else tags.of_stem(stem)
                write_tags(file, self._output.name, own)
        except ValueError as error:
            self.problems.append(f"{path}: {error}")


def _refuse_folder(path: Path) -> None:
    """Find a bad name now, and not when hours of work are to be renamed."""
    with output_errors(path), contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(path.stat().st_mode):
            raise OutputError(f"{path}: this is a folder; choose another output name")


def _close_quietly(file: BinaryIO) -> None:
    # Closing writes what is buffered, which on a full disk fails once more.
    with contextlib.suppress(OSError):
        file.close()
