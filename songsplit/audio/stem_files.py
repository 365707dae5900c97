"""Stems on disk: all of them, whole, or none."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import numpy as np

from songsplit.audio._types import FloatArray
from songsplit.audio.channels import Converter
from songsplit.audio.conversion import encode_together, joint_gain
from songsplit.audio.tags import Tags, write_tags
from songsplit.audio.writing import PartFile, left_behind, output_errors, part_name
from songsplit.errors import ConfigError, OutputError
from songsplit.formats import CLIPS, Clip, OutputFormat

_Made = TypeVar("_Made")
_TRIES = 5


class _Extra(NamedTuple):
    """A finished file under its temporary name."""

    path: Path
    part: Path


class StemFilesWriter:
    """Writes several files of one length that appear together or not at all.

    They grow as 32-bit float WAV (RF64 beyond 4 GiB) under hidden temporary names in
    their final folders, which are made where missing. Leaving the ``with`` statement
    normally turns them into the format that was asked for and gives them their final
    names, in place of any files of those names; leaving it by an exception removes them
    and the folders that were made.

    Parameters
    ----------
    paths : mapping of str to path-like
        The file of each stem.
    sample_rate : int
        Sample rate in Hz.
    channels : int
        Number of channels of every stem. Files have the rate and channels that `output`
        makes of these.
    output : OutputFormat, optional
        What the files are; by default 32-bit float WAV.
    tags : Tags, optional
        What the files say of the song; titles are marked with the stem.
    clip : {"scale", "clamp"}, optional
        What to do, in any format but floating point, if a sample of a stem goes beyond
        full scale: make all stems quieter by the same amount, so that they still add up,
        or cut off what is beyond.
    guarded : bool, optional
        Do that in floating point too.
    alive : callable, optional
        Called now and then while the files are turned into their format; what it raises
        ends the work.

    Attributes
    ----------
    gain : float
        What all stems were multiplied by in the end, 1 or less.
    problems : list of str
        What could not be written of the tags.

    Raises
    ------
    OutputError
        On entry, if a file cannot be made, and later, if it cannot be written: no
        permission, a full disk, a folder or file in the way, one path for two stems.
    """

    def __init__(
        self,
        paths: Mapping[str, str | os.PathLike[str]],
        sample_rate: int,
        channels: int,
        *,
        output: OutputFormat | None = None,
        tags: Tags | None = None,
        clip: Clip = "scale",
        guarded: bool = False,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._tags = tags
        self.problems: list[str] = []
        self._output = OutputFormat() if output is None else output
        self._source = sample_rate, channels
        self._sample_rate = self._output.sample_rate(sample_rate)
        self._channels = self._output.output_channels(channels)
        if clip not in CLIPS:
            raise ConfigError(f"unknown clip {clip!r}: use {' or '.join(CLIPS)}")
        self._clip = clip
        self._can_clip = guarded or not self._output.is_float
        self._alive = alive
        self._peak = 0.0
        self.gain = 1.0
        self._paths = {stem: Path(path) for stem, path in paths.items()}
        self._parts: dict[str, PartFile] = {}
        self._converters: dict[str, Converter] = {}
        self._extras: list[_Extra] = []
        self._made_folders: list[Path] = []

    def __enter__(self) -> Self:
        seen: set[Path] = set()
        for path in self._paths.values():
            with output_errors(path):
                # A bad name is found now, not when hours of work are to be renamed.
                with contextlib.suppress(FileNotFoundError):
                    if stat.S_ISDIR(path.stat().st_mode):
                        raise OutputError(f"{path}: this is a folder; choose another output name")
                place = path.parent.resolve() / path.name
            if place in seen and not self._output.holds_all:
                raise OutputError(f"{path}: two results have this name; give each its own")
            seen.add(place)
        try:
            for stem, path in self._paths.items():
                with output_errors(path):
                    self._parts[stem] = self._made_in_folder(path, self._part_file)
                self._converters[stem] = Converter(*self._source, self._sample_rate, self._channels)
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, blocks: Mapping[str, FloatArray]) -> None:
        """Append one block to every file.

        Parameters
        ----------
        blocks : mapping of str to ndarray
            For each stem, float32 ``(channels, n)`` with the same n; full scale is 1,
            and values beyond are kept. Without any stems, nothing happens.

        Raises
        ------
        OutputError
            If a file cannot be written.
        ValueError
            If the stems, channels or lengths do not fit.
        """
        if not blocks:
            return
        if blocks.keys() != self._parts.keys():
            raise ValueError(f"blocks for {sorted(self._parts)} are needed, not {sorted(blocks)}")
        if len({block.shape for block in blocks.values()}) > 1:
            raise ValueError("the blocks of all stems must have the same shape")
        self._append({stem: self._converters[stem](block) for stem, block in blocks.items()})

    def _append(self, blocks: Mapping[str, FloatArray]) -> None:
        for stem, block in blocks.items():
            part = self._parts[stem]
            with output_errors(part.path):
                part.write(block)
        if self._can_clip:
            heard = list(blocks.values())
            if self._output.holds_all:
                heard.append(np.sum(heard, axis=0))
            self._peak = max(self._peak, *(float(np.abs(b).max(initial=0)) for b in heard))

    def add_file(self, path: Path, data: bytes) -> None:
        """Write another file that appears together with the others.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        with output_errors(path):
            if path.is_dir():
                raise OutputError(f"{path}: this is a folder; choose another output name")
            extra = _Extra(path, part_name(path))
            self._extras.append(extra)
            self._made_in_folder(path, lambda path: extra.part.write_bytes(data))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._discard()
            return
        try:
            self._commit()
        except BaseException:
            self._discard()
            raise

    def _part_file(self, path: Path) -> PartFile:
        for part in left_behind(path):
            part.unlink(missing_ok=True)
        return PartFile(path, self._sample_rate, self._channels)

    def _made_in_folder(self, path: Path, make: Callable[[Path], _Made]) -> _Made:
        """Make a file, and its folder where that is missing."""
        for _ in range(_TRIES):
            # Who made the folder for another song may give up, and remove it, at any time.
            with contextlib.suppress(FileNotFoundError):
                self._make_folder(path.parent)
                return make(path)
        self._make_folder(path.parent)
        return make(path)

    def _make_folder(self, folder: Path) -> None:
        missing: list[Path] = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            # Another process may make it first; then it is not ours to remove.
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                self._made_folders.append(folder)

    def _commit(self) -> None:
        self._append({stem: convert.rest() for stem, convert in self._converters.items()})
        for part in self._parts.values():
            with output_errors(part.path):
                part.finish()
        if not self._output.is_float or (self._can_clip and self._peak > 1):
            if self._clip == "scale":
                self.gain = joint_gain(self._peak, self._output)
            # Closing files on a full disk fails too, after what has been reported of it.
            with output_errors(next(iter(self._paths.values()))):
                encode_together(self._parts, self._output, self.gain, self._alive)
        if self._tags is not None:
            self._write_tags(self._tags)
        # Where a file is in the way, it is kept aside until all are in their places.
        placed: list[tuple[PartFile | _Extra, Path | None]] = []
        try:
            finished: list[PartFile | _Extra] = [*self._parts.values(), *self._extras]
            for file in finished:
                # Of a file that holds all stems, only the first part is there.
                if not file.part.exists():
                    continue
                with output_errors(file.path):
                    aside = None
                    if file.path.is_file():
                        aside = file.part.with_suffix(".old")
                        file.path.replace(aside)
                    placed.append((file, aside))
                    file.part.replace(file.path)
        except BaseException:
            for file, aside in placed:
                if aside is not None:
                    aside.replace(file.path)
                elif not file.part.exists():
                    file.path.unlink(missing_ok=True)
            raise
        for _, aside in placed:
            if aside is not None:
                aside.unlink(missing_ok=True)

    def _write_tags(self, tags: Tags) -> None:
        for stem, part in self._parts.items():
            if not part.part.exists():
                continue
            own = tags if self._output.holds_all else tags.of_stem(stem)
            try:
                with output_errors(part.path):
                    write_tags(part.part, self._output.name, own)
            except ValueError as error:
                self.problems.append(f"{part.path}: {error}")

    def _discard(self) -> None:
        for part in self._parts.values():
            part.discard()
        for extra in self._extras:
            with contextlib.suppress(OSError):
                extra.part.unlink(missing_ok=True)
        for folder in reversed(self._made_folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
