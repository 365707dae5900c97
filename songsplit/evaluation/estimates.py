"""Stems that any system has made, read from a folder of songs."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path, PurePath
from typing import Any, TypeAlias

import numpy as np

from songsplit.audio import read_audio
from songsplit.data.grouping import SUFFIXES
from songsplit.data.musdb import Audio
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, VOCALS
from songsplit.data.stem_names import MIXTURE, OTHER, stem_at_end, stem_in_folder
from songsplit.errors import DataError
from songsplit.evaluation.scores import ACCOMPANIMENT, FIVE_TARGETS
from songsplit.evaluation.songs import ReferenceSong, SongAudio, folded
from songsplit.evaluation.systems import Estimates

# By resolved path, size, times of change of content and of the file itself, and inode.
_State: TypeAlias = tuple[Path, int, int, int, int]

_NAMES_HINT = "name the files vocals and accompaniment, or vocals, drums, bass and other"


@dataclass(frozen=True)
class SongFiles:
    """Which files are the estimates of a song.

    Parameters
    ----------
    folder : Path
        Where they lie.
    stems : mapping of str to Path
        The file of each stem that is used: ``vocals``, and either ``instrumental`` or
        ``drums``, ``bass`` and ``other``, or all four, or none of them.
    targets : tuple of str
        What they give estimates for.
    remark : str
        What is missing or not used, otherwise empty.
    """

    folder: Path
    stems: dict[str, Path]
    targets: tuple[str, ...]
    remark: str


class EstimatesFolder:
    """A system whose stems are read from files.

    Nothing is resampled or mixed down: estimates must have the rate and the channels of
    the song.

    Parameters
    ----------
    root : Path
        Folder that holds a folder for each song, see :meth:`find`.

    Attributes
    ----------
    name : str
        Name of the folder.

    Raises
    ------
    DataError
        If there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()
        if not self.root.is_dir():
            what = "this is a file" if self.root.exists() else "there is no such folder"
            raise DataError(
                f"{root}: {what}: name the folder that holds a folder of stems for each song"
            )
        self.name = self.root.resolve().name or "estimates"
        self._known_digests: dict[_State, str] = {}

    def find(self, song: ReferenceSong) -> SongFiles:
        """Find the files of a song.

        They are in the folder of the song's name directly in the root, or in the folder
        of its subset there, or else in the only folder of that name at any depth (not
        behind links). If there is none, one will do whose name differs only in upper and
        lower case, in how accented letters are encoded, or in a ``.stem`` at its end. Files
        are named for stems in any of the usual ways (see
        :mod:`songsplit.data.stem_names`), and an instrumental is the accompaniment.

        Parameters
        ----------
        song : ReferenceSong

        Returns
        -------
        SongFiles

        Raises
        ------
        DataError
            If there is no such folder or more than one, if it holds neither vocals nor
            accompaniment, or two files for one stem other than `other`.
        """
        folder = self._folder(song)
        named: dict[str, list[Path]] = defaultdict(list)
        unknown = []
        for file in _audio_files(folder):
            stem = _stem(file)
            if stem is None:
                unknown.append(file)
            elif stem != MIXTURE:
                named[stem].append(file)
        # Some systems give guitar and piano beside what is left.
        others = named.pop(OTHER) if len(named.get(OTHER, [])) > 1 else []
        for stem, files in named.items():
            if len(files) > 1:
                raise DataError(
                    f"{folder}: {_taken(files, stem)}: leave one file that holds all of "
                    f"{_target(stem)}"
                )
        if not {VOCALS, INSTRUMENTAL} & set(named):
            found = ", ".join(file.name for files in [*named.values(), others] for file in files)
            raise DataError(
                f"{folder}: neither vocals nor accompaniment (found: {found or 'no stems'}): "
                f"{_NAMES_HINT}"
            )
        stems = {stem: files[0] for stem, files in named.items()}
        return _sorted_out(folder, stems, others, unknown)

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Give the targets, hashes (SHA-256) of the files, and what is remarked of them."""
        found = self.find(song)
        return {
            "estimate_files": {stem: self._digest(path) for stem, path in found.stems.items()},
            "estimate_remark": found.remark,
            "targets": list(found.targets),
        }

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        """Read the stems of a song."""
        found = self.find(song)
        read = {stem: _read(path, audio) for stem, path in found.stems.items()}
        stems = {_target(stem): samples for stem, samples in read.items()}
        if ACCOMPANIMENT in found.targets and ACCOMPANIMENT not in stems:
            stems[ACCOMPANIMENT] = _sum([stems[part] for part in BACKING_PARTS], found.folder)
        return Estimates({target: stems[target] for target in found.targets}, found.remark)

    def _digest(self, path: Path) -> str:
        """Hash a file, unless it is as it was when it was hashed before."""
        try:
            resolved, state = path.resolve(), path.stat()
            key = (resolved, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
            if key not in self._known_digests:
                with path.open("rb") as file:
                    self._known_digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        return self._known_digests[key]

    def _folder(self, song: ReferenceSong) -> Path:
        name = PurePath(song.name).parts
        direct = [self.root / song.name, self.root / song.subset / song.name]
        below = [parts for parts in self._folders if parts[-len(name) :] == name]
        alike = [
            parts
            for parts in self._folders
            if [_alike(part) for part in parts[-len(name) :]] == [_alike(part) for part in name]
        ]
        for found in (
            [folder for folder in direct if folder.is_dir()],
            [self.root.joinpath(*parts) for parts in below],
            [self.root.joinpath(*parts) for parts in alike],
        ):
            if len(found) > 1:
                raise DataError(
                    f"{self.root} has more than one folder for {song.name!r}: "
                    f"{' and '.join(map(str, found))}: name the one to score by a longer path"
                )
            if found:
                return found[0]
        raise DataError(
            f"{self.root}: no folder called {song.name!r}: add one that holds its stems"
        )

    @cached_property
    def _folders(self) -> list[tuple[str, ...]]:
        """Paths of all folders below the root that hold files."""
        return [
            Path(folder).relative_to(self.root).parts
            for folder, _, files in os.walk(self.root)
            if files
        ]


def _sorted_out(
    folder: Path, stems: dict[str, Path], others: Sequence[Path], unknown: Sequence[Path]
) -> SongFiles:
    """Decide which stems are used, and say which are not.

    Drums, bass and other count only if they are all there is beside vocals: otherwise
    something may be missing from their sum, and from other.
    """
    remarks = []
    parts = [part for part in BACKING_PARTS if part in stems]
    complete = len(parts) == len(BACKING_PARTS) and VOCALS in stems
    used = complete and not unknown
    if VOCALS not in stems:
        remarks.append("the vocals are missing: the accompaniment alone is scored")
    elif INSTRUMENTAL not in stems and not used:
        remarks.append("the accompaniment is missing: vocals alone are scored")
    if others:
        remarks.append(f"{_taken(others, OTHER)}: sum them into {OTHER}")
    if parts and not complete:
        missing = [part for part in (VOCALS, *BACKING_PARTS) if part not in stems]
        remarks.append(f"{', '.join(parts)} not scored without {', '.join(missing)}")
    if unknown:
        names = ", ".join(file.name for file in unknown)
        if complete:
            remarks.append(
                f"{', '.join(parts)} neither scored nor summed, since a part may be in {names}: "
                f"sum it into {OTHER}, or move it elsewhere"
            )
        else:
            remarks.append(f"not used, since no stem is named: {names}")
    if not used:
        stems = {stem: path for stem, path in stems.items() if stem not in parts}
    given = {_target(stem) for stem in stems} | ({ACCOMPANIMENT} if used else set())
    targets = tuple(target for target in FIVE_TARGETS if target in given)
    return SongFiles(folder, stems, targets, "; ".join(remarks))


def _taken(files: Sequence[Path], stem: str) -> str:
    names = " and ".join(file.name for file in files)
    return f"{names} are {'both' if len(files) == 2 else 'all'} taken for {_target(stem)}"


def _audio_files(folder: Path) -> list[Path]:
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read ({error.strerror}): change its permissions"
        ) from error
    # Archives made on a Mac carry a "._" twin of each file.
    return [file for file in files if not file.name.startswith(".") and file.is_file()]


def _stem(file: Path) -> str | None:
    """Tell which stem a file is named for, without taking anything unknown for a part."""
    named = stem_in_folder(file.stem, file.parent.name)
    if named is None:
        return None
    if named.stem == OTHER:
        # It is also what a name stands for that says nothing.
        named = stem_at_end(file.stem)
        return OTHER if named is not None and named.stem == OTHER else None
    return named.stem


def _alike(name: str) -> str:
    """Give what a folder's name has in common with those that stand for the same song."""
    # Programs that name their output after the file leave this of X.stem.mp4.
    return folded(name).removesuffix(".stem")


def _target(stem: str) -> str:
    return ACCOMPANIMENT if stem == INSTRUMENTAL else stem


def _read(path: Path, song: SongAudio) -> Audio:
    samples, rate = read_audio(path)
    if rate != song.sample_rate:
        raise DataError(
            f"{path} is at {rate} Hz, but the song at {song.sample_rate} Hz: separate the song "
            "at its own rate"
        )
    channels = song.mixture.shape[0]
    if samples.shape[0] != channels:
        raise DataError(
            f"{path} has {_channels(samples.shape[0])}, but the song {_channels(channels)}: "
            "separate the song with all of its channels"
        )
    return samples


def _sum(parts: Sequence[Audio], folder: Path) -> Audio:
    lengths = [part.shape[1] for part in parts]
    if len(set(lengths)) > 1:
        raise DataError(
            f"{folder}: {', '.join(BACKING_PARTS)} cannot be summed to the accompaniment, they "
            f"last {', '.join(map(str, lengths))} samples: export them alike, or add a file "
            "named accompaniment"
        )
    return reduce(np.add, parts)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
