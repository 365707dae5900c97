"""Where songs to train on come from: datasets, folders and lists."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from songsplit.data.layout import find_recordings, musdb_song, require_songs, scan_folder
from songsplit.data.manifest import manifest_songs
from songsplit.data.musdb import musdb_tracks, validation_names
from songsplit.data.songs import Song
from songsplit.errors import ConfigError, DataError

SourceKind = Literal["musdb", "songs", "vocals", "instrumentals", "manifest"]

_KINDS = ("musdb", "songs", "vocals", "instrumentals", "manifest")


@dataclass(frozen=True)
class SourceConfig:
    """A source of songs, and how often it is drawn from.

    Attributes
    ----------
    kind : {"musdb", "songs", "vocals", "instrumentals", "manifest"}
        ``musdb`` is the folder of MUSDB18 or MUSDB18-HQ, of which the train subset is
        used, with musdb's own validation songs. ``songs`` is a folder of songs, see
        :func:`songsplit.data.layout.scan_folder`. ``vocals`` and ``instrumentals`` are
        folders of recordings of the one or the other alone. ``manifest`` is a CSV file,
        see :func:`songsplit.data.manifest.manifest_songs`.
    path : str or None
        The folder or file; ``~`` is the home folder. Without it, what the cache holds
        under the name of the source is used.
    weight : float
        How often it is drawn from, in relation to other sources; 0 for never.
    vocals_weight, backing_weight, same_song_weight : float or None
        The same for singing, for backings, and for songs that are taken as they are;
        `weight` by default.
    valid_share : float
        Share of the songs of a ``songs`` source that are set aside for validation, at
        least 0 and below 1. A hash of its name decides for each song, so that adding one
        never moves another, except that of two songs or more at least one is set aside
        and one is not.
    only : mapping of str to str or list of str
        For a ``manifest``: columns and the values, one of which a row must have to
        count. Values are compared as text.
    bandwidth : float or None
        Frequency in Hz above which its recordings hold nothing, where they do not say so
        themselves.
    licence : str
        Terms of the recordings, to be recorded with the models trained on them.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """

    kind: SourceKind
    path: str | None = None
    weight: float = 1.0
    vocals_weight: float | None = None
    backing_weight: float | None = None
    same_song_weight: float | None = None
    valid_share: float = 0.1
    only: Mapping[str, str | list[str]] = field(default_factory=dict)
    bandwidth: float | None = None
    licence: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError(f"source setting kind: {self.kind!r} is none of {', '.join(_KINDS)}")
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
        if self.only and self.kind != "manifest":
            raise ConfigError(
                f"source setting only is for the kind 'manifest', not {self.kind!r}: take it out"
            )


def find_source(name: str, config: SourceConfig) -> list[Song]:
    """Find the songs of a source, without decoding them.

    Parameters
    ----------
    name : str
        Name of the source.
    config : SourceConfig
        With a path.

    Returns
    -------
    list of Song
        Never empty.

    Raises
    ------
    ConfigError
        If the source has no path.
    DataError
        If nothing is found, what is found cannot be used, or two songs have one name.
    MissingExtraError
        For ``musdb``, if the `musdb` package is not installed.
    """
    if config.path is None:
        raise ConfigError(f"the source {name!r} has no path: say where its songs are")
    path = Path(config.path).expanduser()
    if config.kind == "musdb":
        valid = validation_names()
        songs = [
            replace(
                musdb_song(track, track.name, name),
                split="valid" if track.name in valid else "train",
            )
            for track in musdb_tracks(path, subset="train")
        ]
    elif config.kind == "songs":
        scan = scan_folder(path, name)
        songs = _split(require_songs(path, scan), config.valid_share)
        problems = [problem for problem in scan.problems if problem.severity != "info"]
        if problems:
            first = problems[0]
            warnings.warn(
                f"{path}: {len(problems)} songs or files are passed over, such as "
                f"{first.path}: {first.text}. songsplit data check tells of them all",
                stacklevel=2,
            )
    elif config.kind == "manifest":
        songs = manifest_songs(path, name, config.only)
    else:
        stem: Literal["vocals", "instrumental"] = (
            "vocals" if config.kind == "vocals" else "instrumental"
        )
        songs = find_recordings(path, name, stem)
    _check_names(name, songs)
    if config.bandwidth is None:
        return songs
    return [
        replace(song, bandwidth=config.bandwidth) if song.bandwidth is None else song
        for song in songs
    ]


def _split(songs: list[Song], valid_share: float) -> list[Song]:
    """Set songs aside for validation, as documented at `SourceConfig`."""
    if valid_share == 0 or len(songs) < 2:
        return songs
    places = {song.name: _place(song.name) for song in songs}
    first, last = min(places, key=places.__getitem__), max(places, key=places.__getitem__)
    valid = {name for name, place in places.items() if place < valid_share}
    valid = (valid | {first}) - {last}
    return [replace(song, split="valid") if song.name in valid else song for song in songs]


def _place(name: str) -> float:
    """Hash a name to a number of at least 0 and below 1, the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48


def _check_names(source: str, songs: list[Song]) -> None:
    seen: dict[str, Song] = {}
    for song in songs:
        other = seen.setdefault(song.name, song)
        if other is not song:
            raise DataError(
                f"the source {source!r} has two songs called {song.name!r}: "
                f"{other.parts[0].path} and {song.parts[0].path}: rename one of them"
            )
