"""Sources of training songs: MUSDB18 and folders.

The songs of MUSDB18 are found and decoded like all others, not with the `musdb` package, which
needs the ffmpeg program even for WAV files and clips samples beyond full scale. Only the list of
validation songs comes from `musdb`, so that scores refer to the usual split.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from songsplit.data.folders import (
    Finding,
    FolderScan,
    find_recordings,
    require_songs,
    scan_folder,
)
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, VOCALS, OnBad, Song
from songsplit.errors import ConfigError, DataError, MissingExtraError

SourceKind = Literal["musdb", "songs", "vocals", "instrumentals"]
Subset: TypeAlias = Literal["train", "test"]

SAMPLE_RATE = 44100  # of MUSDB18


@dataclass(frozen=True)
class SourceConfig:
    """A source of songs and its weights in the sampling.

    Attributes
    ----------
    kind : {"musdb", "songs", "vocals", "instrumentals"}
        ``musdb`` is the folder of MUSDB18 or MUSDB18-HQ; its train subset is used, with the
        validation songs of the musdb package. ``songs`` is a folder of songs, see
        :func:`songsplit.data.folders.scan_folder`. ``vocals`` and ``instrumentals`` are folders of
        recordings of only vocals or only instrumentals.
    path : str
        The folder; ``~`` is your home folder.
    weight : float
        How often the source is drawn from, relative to other sources; 0 is never.
    vocals_weight, backing_weight, same_song_weight : float or None
        The same for singing, for backings, and for unchanged songs; by default `weight`.
    valid_share : float
        Share of the songs of a ``songs`` source for validation, at least 0 and below 1. A hash
        of the name decides for each song, so that adding a song does not move others. Of two
        songs or more, at least one is for validation and one for training.
    bandwidth : float or None
        Highest frequency in Hz of the recordings.
    licence : str
        Licence of the recordings, which is recorded with models trained on them.

    Raises
    ------
    ConfigError
        If a value is invalid.
    """

    kind: SourceKind
    path: str = ""
    weight: float = 1.0
    vocals_weight: float | None = None
    backing_weight: float | None = None
    same_song_weight: float | None = None
    valid_share: float = 0.1
    bandwidth: float | None = None
    licence: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(SourceKind):
            kinds = ", ".join(get_args(SourceKind))
            raise ConfigError(f"source setting kind: {self.kind!r} is unknown: use {kinds}")
        for name in ("weight", "vocals_weight", "backing_weight", "same_song_weight"):
            weight = getattr(self, name)
            if weight is not None and not 0 <= weight < math.inf:
                raise ConfigError(f"source setting {name} must be 0 or more, not {weight}")
        if not 0 <= self.valid_share < 1:
            raise ConfigError(
                f"source setting valid_share must be at least 0 and below 1, not {self.valid_share}"
            )
        if self.bandwidth is not None and not 0 < self.bandwidth < math.inf:
            raise ConfigError(f"source setting bandwidth must be above 0 Hz, not {self.bandwidth}")


def scan_source(name: str, kind: SourceKind, folder: Path) -> FolderScan:
    """Find the data of a kind in a folder, or raise a DataError."""
    if kind == "songs":
        return scan_folder(folder, name)
    if kind == "musdb":
        return scan_musdb(folder, name, "train")
    return find_recordings(folder, name, VOCALS if kind == "vocals" else INSTRUMENTAL)


def find_source(name: str, config: SourceConfig, on_bad: OnBad = "skip") -> list[Song]:
    """Find the songs of a source, or raise a DataError if there are none.

    Incomplete songs are left out with a warning, or raise a DataError with ``on_bad="stop"``.
    """
    if not config.path:
        raise ConfigError(f"the source {name!r} has no path: set path to the folder of its songs")
    path = Path(config.path).expanduser()
    scan = scan_source(name, config.kind, path)
    songs = require_songs(path, scan)
    if problems := scan.problems:
        for problem in problems:
            if problem.severity == "error" and on_bad == "stop":
                raise DataError(f"{problem.path}: {problem.text}")
        warnings.warn(
            f"{path}: {len(problems)} songs or files are left out, such as "
            f"{problems[0].path}: {problems[0].text}. songsplit data check lists all of them",
            stacklevel=2,
        )
    valid: Collection[str] = ()
    if config.kind == "musdb":
        valid = validation_names()
    elif config.kind == "songs":
        valid = _set_aside([song.name for song in songs], config.valid_share)
    songs = [replace(song, bandwidth=config.bandwidth) for song in songs]
    return [replace(song, split="valid") if song.name in valid else song for song in songs]


def scan_musdb(root: Path, source: str, subset: Subset) -> FolderScan:
    """Find the songs of MUSDB18 or MUSDB18-HQ in a folder with ``train`` and ``test``.

    A song without all stems is among the problems. A missing folder raises a DataError.
    """
    folder = root.expanduser() / subset
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder: name the folder that holds 'train' and 'test'")
    scan = scan_folder(folder, source)
    whole = [song for song in scan.songs if {*song.stems} == {VOCALS, *BACKING_PARTS}]
    text = "not used, one of vocals, drums, bass and other is missing: unpack MUSDB18 again"
    lacking = [
        Finding(song.parts[0].path.parent, text, "error")
        for song in scan.songs
        if song not in whole
    ]
    return FolderScan(whole, [*scan.problems, *lacking])


def validation_names() -> frozenset[str]:
    """Return the names of the 14 train songs that the `musdb` package uses for validation."""
    # Importing musdb fails without the ffmpeg program, so read the list from its file.
    spec = importlib.util.find_spec("musdb")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("musdb", "eval")
    # musdb depends on yaml.
    import yaml  # type: ignore[import-untyped, unused-ignore]

    path = Path(spec.submodule_search_locations[0]) / "configs" / "mus.yaml"
    config = cast("Mapping[str, list[str]]", yaml.safe_load(path.read_text(encoding="utf-8")))
    return frozenset(config["validation_tracks"])


def _set_aside(names: list[str], valid_share: float) -> set[str]:
    """Choose songs for validation, as documented at `SourceConfig`."""
    if valid_share == 0 or len(names) < 2:
        return set()
    first, *_, last = sorted(names, key=_place)
    return ({name for name in names if _place(name) < valid_share} | {first}) - {last}


def _place(name: str) -> float:
    """Hash a name to a number of at least 0 and below 1, the same on every machine."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6]) / 2**48
