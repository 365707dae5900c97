"""Where training clips come from: MUSDB18, and lists of other recordings."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import read_audio, resample
from songsplit.data.cache import RawClip
from songsplit.data.musdb import musdb_tracks
from songsplit.errors import AudioFileError, DataError

_NARROW = 10_000.0  # Hz; solo singing of less bandwidth is a source of its own
_PAIRED = "multitrack-"
_STEMS = {
    "vocals": "vocals",
    "instrumental": "instrumental",
    "multitrack-vocals": "vocals",
    "multitrack-instrumental": "instrumental",
    "multitrack-accomp": "instrumental",
}
_COLUMNS = ("path", "kind", "source", "split", "sample_rate")


@dataclass(frozen=True)
class _Recording:
    """A checked row of a list: one file that holds one stem."""

    path: Path
    name: str
    kind: str
    source: str
    bandwidth: float | None

    @property
    def stem(self) -> str:
        return _STEMS[self.kind]

    @property
    def pool(self) -> str:
        """Source that the sampling weights of a config refer to."""
        if self.kind.startswith(_PAIRED):
            return self.source
        if self.stem == "instrumental":
            return "instrumentals"
        narrow = self.bandwidth is not None and self.bandwidth < _NARROW
        return "narrowband-singers" if narrow else "singers"


def musdb_clips(root: str | Path) -> Iterator[RawClip]:
    """Read the train subset of MUSDB18 or MUSDB18-HQ, with musdb's own validation split.

    Parameters
    ----------
    root : path
        Folder with ``train`` in it.

    Yields
    ------
    RawClip
        Of the source ``musdb18``, with the stems drums, bass, other and vocals.

    Raises
    ------
    DataError
        If there are no songs, or a file is not what MUSDB18 has.
    """
    for split in ("train", "valid"):
        for track in musdb_tracks(root, subset="train", split=split):
            yield RawClip(
                f"musdb18/{track.name}", "musdb18", split, track.stems(), track.sample_rate
            )


def manifest_clips(manifest: str | Path) -> Iterator[RawClip]:
    """Read the recordings that a CSV file lists.

    Parameters
    ----------
    manifest : path
        With the columns ``path`` (relative to the file), ``kind``, ``source``, ``split``
        and ``sample_rate`` (of the original recording, in Hz), and optionally
        ``bandwidth`` in Hz. Kinds are ``vocals`` and ``instrumental`` for recordings of
        the one or the other alone, and ``multitrack-vocals`` with
        ``multitrack-instrumental`` or ``multitrack-accomp`` for two files that belong
        together: ``<name>_vocals.*`` and ``<name>_instrumental.*`` or ``_accomp.*``.

    Yields
    ------
    RawClip
        Pairs keep the source of the list. Recordings of one kind are pooled into the
        sources ``singers``, ``narrowband-singers`` (nothing above 10 kHz) and
        ``instrumentals``. Only rows whose split is ``train`` are read. Names begin with
        that of the list.

    Raises
    ------
    DataError
        If the list cannot be read, misses a column or a value, or names a kind that is
        none, or a file that is missing, damaged or without its partner.
    """
    path = Path(manifest)
    songs: dict[str, list[_Recording]] = defaultdict(list)
    for number, row in enumerate(_rows(path), start=2):
        recording = _recording(path, number, row)
        if row["split"] == "train":
            songs[recording.name].append(recording)
    for name, parts in songs.items():
        stems = {part.stem for part in parts}
        if parts[0].kind.startswith(_PAIRED) and stems != {"vocals", "instrumental"}:
            raise DataError(f"{path}: {name} has no partner: list both files of a pair")
        if len(stems) < len(parts):
            raise DataError(f"{path}: {name} is listed twice: list each recording once")
        yield _clip(path, name, parts)


def _rows(path: Path) -> list[dict[str, str | None]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV file ({error})") from error
    missing = [column for column in _COLUMNS if not rows or column not in rows[0]]
    if missing:
        raise DataError(f"{path} has no rows with the column {missing[0]!r}")
    return [dict(row) for row in rows]


def _recording(manifest: Path, number: int, row: dict[str, str | None]) -> _Recording:
    where = f"{manifest}, line {number}"
    path, kind, source = row["path"], row["kind"], row["source"]
    if not path or not source:
        raise DataError(f"{where}: path and source must not be empty")
    if kind not in _STEMS:
        raise DataError(f"{where}: kind {kind!r} is none of {', '.join(_STEMS)}")
    name = path
    if kind.startswith(_PAIRED):
        name = str(Path(path).with_suffix("")).removesuffix("_" + kind.removeprefix(_PAIRED))
    try:
        rate = float(row["sample_rate"] or "")
        # Anti-aliasing filters take the last few percent below half the sample rate.
        bandwidth = 0.96 * rate / 2 if rate < 44100 else None
        if row.get("bandwidth"):
            bandwidth = float(row["bandwidth"] or "")
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    full_name = f"{manifest.stem}/{name}"
    return _Recording(manifest.parent / path, full_name, kind, source, bandwidth)


def _clip(manifest: Path, name: str, parts: list[_Recording]) -> RawClip:
    stems: dict[str, NDArray[np.float32]] = {}
    rate = 0
    for part in parts:
        try:
            samples, part_rate = read_audio(part.path)
        except AudioFileError as error:
            raise DataError(f"{manifest}: {error}") from error
        rate = rate or part_rate
        stems[part.stem] = resample(samples, part_rate, rate)
    widths = [part.bandwidth for part in parts if part.bandwidth is not None]
    return RawClip(name, parts[0].pool, "train", stems, rate, min(widths, default=None))
