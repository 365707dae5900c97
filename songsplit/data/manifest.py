"""Lists of recordings as CSV files."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from songsplit.data.songs import INSTRUMENTAL, VOCALS, AudioPart, Song, Split
from songsplit.errors import DataError

_PAIRED = "multitrack-"
_STEMS = {
    "vocals": VOCALS,
    "instrumental": INSTRUMENTAL,
    "multitrack-vocals": VOCALS,
    "multitrack-instrumental": INSTRUMENTAL,
    "multitrack-accomp": INSTRUMENTAL,
}
_COLUMNS = ("path", "kind", "source", "split", "sample_rate")
_SPLITS: dict[str | None, Split] = {"train": "train", "valid": "valid"}
_CD_RATE = 44100.0
# Anti-aliasing filters take the last few percent below half the sample rate.
_PASSBAND = 0.96


def manifest_songs(
    manifest: Path, source: str, only: Mapping[str, str | list[str]] | None = None
) -> list[Song]:
    """Find the recordings that a CSV file lists.

    Parameters
    ----------
    manifest : Path
        With the columns ``path`` (relative to the file), ``kind``, ``source``, ``split``
        and ``sample_rate`` (of the original recording, in Hz), and optionally
        ``bandwidth`` in Hz; what is recorded at less than 44.1 kHz is taken to reach up
        to 96 % of half its rate. Kinds are ``vocals`` and ``instrumental`` for recordings
        of the one or the other alone, and ``multitrack-vocals`` with
        ``multitrack-instrumental`` or ``multitrack-accomp`` for two files that belong
        together: ``<name>_vocals.*`` and ``<name>_instrumental.*`` or ``_accomp.*``.
    source : str
        Name of the data source that they become part of.
    only : mapping of str to str or list of str, optional
        Columns and the values, one of which a row must have to count.

    Returns
    -------
    list of Song
        In the order of the list. Pairs are of the split ``train`` or ``valid`` that they
        are listed with; of single recordings there are only those of ``train``, because
        nothing can be measured on them. Rows of other splits are passed over.

    Raises
    ------
    DataError
        If the list cannot be read, misses a column or a value, names a kind that is
        none, a file that is not there or one without its partner, or leaves no songs.
    """
    rows = _rows(manifest, only or {})
    groups: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.split is not None and (row.paired or row.split == "train"):
            if not row.path.is_file():
                raise DataError(f"{row.where}: {row.path}: there is no such file")
            groups[row.name].append(row)
    if not groups:
        chosen = f" among those with {dict(only)}" if only else ""
        raise DataError(f"{manifest}: no recording of the split 'train' or 'valid'{chosen}")
    return [_song(source, name, group) for name, group in groups.items()]


@dataclass(frozen=True)
class _Row:
    """A checked row of a list: one file that holds one stem."""

    where: str
    path: Path
    name: str
    stem: str
    paired: bool
    split: Split | None
    bandwidth: float | None


def _rows(manifest: Path, only: Mapping[str, str | list[str]]) -> list[_Row]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest} cannot be read as a CSV file ({error})") from error
    for column in (*_COLUMNS, *only):
        if not rows or column not in rows[0][1]:
            raise DataError(f"{manifest} has no rows with the column {column!r}")
    wanted = {column: [v] if isinstance(v, str) else v for column, v in only.items()}
    return [
        _row(manifest, number, row)
        for number, row in rows
        if all((row[column] or "") in values for column, values in wanted.items())
    ]


def _row(manifest: Path, number: int, row: Mapping[str, str | None]) -> _Row:
    where = f"{manifest}, line {number}"
    path, kind = row["path"], row["kind"]
    if not path or not row["source"]:
        raise DataError(f"{where}: path and source must not be empty")
    if kind not in _STEMS:
        raise DataError(f"{where}: kind {kind!r} is none of {', '.join(_STEMS)}")
    try:
        rate = float(row["sample_rate"] or "")
        bandwidth = _PASSBAND * rate / 2 if rate < _CD_RATE else None
        if row.get("bandwidth"):
            bandwidth = float(row["bandwidth"] or "")
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    paired = kind.startswith(_PAIRED)
    name = path
    if paired:
        name = str(Path(path).with_suffix("")).removesuffix("_" + kind.removeprefix(_PAIRED))
    split = _SPLITS.get(row["split"])
    return _Row(where, manifest.parent / path, name, _STEMS[kind], paired, split, bandwidth)


def _song(source: str, name: str, rows: Sequence[_Row]) -> Song:
    stems = {row.stem: (AudioPart(row.path),) for row in rows}
    where = " and ".join(row.where for row in rows)
    if len(stems) < len(rows):
        raise DataError(f"{where}: {name} is listed twice: list each recording once")
    if any(row.paired for row in rows) and len(stems) < 2:
        raise DataError(f"{where}: {name} has no partner: both files of a pair must count")
    splits = {row.split for row in rows}
    if splits == {"train", "valid"}:
        raise DataError(f"{where}: {name} is of two splits: put both files of a pair into one")
    widths = [row.bandwidth for row in rows if row.bandwidth is not None]
    split: Split = "valid" if "valid" in splits else "train"
    return Song(name, source, split, stems, bandwidth=min(widths, default=None))
