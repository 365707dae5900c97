"""MUSDB18 and MUSDB18-HQ: which songs there are, and which of them are for validation.

The songs are found and decoded as all others are, rather than by the `musdb` package, which needs
the ffmpeg program even for WAV files and clips what exceeds full scale. Only the list of validation
songs is taken from it, so that it stays the one that everybody else reports on.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias, cast

from songsplit.data.folders import Finding, FolderScan, scan_folder
from songsplit.data.songs import BACKING_PARTS, VOCALS
from songsplit.errors import DataError, MissingExtraError

Subset: TypeAlias = Literal["train", "test"]

SAMPLE_RATE = 44100


def scan_musdb(root: Path, source: str, subset: Subset) -> FolderScan:
    """Find the songs of MUSDB18 or MUSDB18-HQ in a folder that holds ``train`` and ``test``.

    A song that lacks a stem is among the problems. A DataError says that there is no such folder.
    """
    folder = root.expanduser() / subset
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder: give the folder that holds 'train' and 'test'")
    scan = scan_folder(folder, source)
    whole = [song for song in scan.songs if {*song.stems} == {VOCALS, *BACKING_PARTS}]
    text = "not used, MUSDB18 has vocals, drums, bass and other of it: unpack it again"
    lacking = [
        Finding(song.parts[0].path.parent, text, "error")
        for song in scan.songs
        if song not in whole
    ]
    return FolderScan(whole, [*scan.problems, *lacking])


def validation_names() -> frozenset[str]:
    """Names of the 14 train songs that the `musdb` package sets aside for validation."""
    # Importing musdb would fail on a machine without the ffmpeg program, which reading
    # its list does not need: find the package and open the file.
    spec = importlib.util.find_spec("musdb")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("musdb", "eval")
    # Comes with musdb.
    import yaml  # type: ignore[import-untyped, unused-ignore]

    path = Path(spec.submodule_search_locations[0]) / "configs" / "mus.yaml"
    config = cast("Mapping[str, list[str]]", yaml.safe_load(path.read_text(encoding="utf-8")))
    return frozenset(config["validation_tracks"])
