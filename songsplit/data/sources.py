"""Where training clips come from: MUSDB18, and lists of other recordings."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from songsplit.audio import read_audio, resample
from songsplit.data.cache import RawClip
from songsplit.data.musdb import musdb_tracks
from songsplit.errors import AudioFileError, DataError

_NARROW = 10_000.0  # Hz; solo singing of less bandwidth is a source of its own
_SUFFIXES = ("_vocals", "_instrumental", "_accomp")
_COLUMNS = ("path", "kind", "source", "split", "sample_rate")


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
        ``instrumentals``. Only rows whose split is ``train`` are read.

    Raises
    ------
    DataError
        If the list cannot be read, misses a column, or names a file that is missing,
        damaged or without its partner.
    """
    path = Path(manifest)
    halves: dict[str, dict[str, RawClip]] = defaultdict(dict)
    for row in _rows(path):
        if row["split"] != "train":
            continue
        clip, stem = _clip(path, row)
        if not row["kind"].startswith("multitrack"):
            yield clip
            continue
        pair = halves[clip.name]
        pair[stem] = clip
        if len(pair) == 2:
            del halves[clip.name]
            yield _paired(clip, pair)
    if halves:
        raise DataError(f"{path}: {next(iter(halves))} has no partner: list both files of a pair")


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV file ({error})") from error
    missing = [column for column in _COLUMNS if not rows or column not in rows[0]]
    if missing:
        raise DataError(f"{path} has no rows with the column {missing[0]!r}")
    return rows


def _clip(manifest: Path, row: dict[str, str]) -> tuple[RawClip, str]:
    try:
        samples, rate = read_audio(manifest.parent / row["path"])
    except AudioFileError as error:
        raise DataError(f"{manifest}: {error}") from error
    bandwidth = _bandwidth(manifest, row)
    stem = "vocals" if row["kind"].endswith("vocals") else "instrumental"
    name, source = row["path"], row["source"]
    if row["kind"].startswith("multitrack"):
        name = str(Path(row["path"]).with_suffix(""))
        for suffix in _SUFFIXES:
            name = name.removesuffix(suffix)
    elif stem == "instrumental":
        source = "instrumentals"
    else:
        narrow = bandwidth is not None and bandwidth < _NARROW
        source = "narrowband-singers" if narrow else "singers"
    return RawClip(name, source, "train", {stem: samples}, rate, bandwidth), stem


def _bandwidth(manifest: Path, row: dict[str, str]) -> float | None:
    try:
        if row.get("bandwidth"):
            return float(row["bandwidth"])
        rate = float(row["sample_rate"])
    except ValueError as error:
        raise DataError(f"{manifest}: {row['path']}: {error}") from error
    # Anti-aliasing filters take the last few percent below half the sample rate.
    return 0.96 * rate / 2 if rate < 44100 else None


def _paired(clip: RawClip, pair: dict[str, RawClip]) -> RawClip:
    stems = {
        name: resample(half.stems[name], half.sample_rate, clip.sample_rate)
        for name, half in pair.items()
    }
    widths = [half.bandwidth for half in pair.values() if half.bandwidth is not None]
    bandwidth = min(widths, default=None)
    return RawClip(clip.name, clip.source, clip.split, stems, clip.sample_rate, bandwidth)
