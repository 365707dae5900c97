"""Saying beforehand how much work and room it takes to fill a cache folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from songsplit.audio import open_audio
from songsplit.data.decoding import FolderError
from songsplit.errors import AudioFileError, DataError

UNKNOWN_SECONDS = 240.0
"""What a file counts for that does not say how long it is."""


def estimated_seconds(files: Iterable[Path]) -> float:
    """Estimate how long a song is without decoding it.

    Parameters
    ----------
    files : iterable of Path
        Its files, at least one.

    Returns
    -------
    float
        Seconds of the longest.

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    found = []
    for file in files:
        try:
            with open_audio(file) as reader:
                seconds = reader.info.seconds
        except AudioFileError as error:
            raise DataError(str(error)) from error
        found.append(UNKNOWN_SECONDS if seconds is None else seconds)
    return max(found)


def announce(console: Console, folder: Path, songs: int, seconds: float, size: float) -> None:
    """Say what will be decoded, and refuse if there is no room for it.

    Parameters
    ----------
    console : Console
    folder : Path
        The cache folder.
    songs : int
        How many will be decoded.
    seconds : float
        Their estimated duration in all.
    size : float
        Bytes that they will take, as estimated.

    Raises
    ------
    FolderError
        If they take more than is free.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FolderError(
            f"{folder} has room for {_size(free)}, but the songs to decode take about "
            f"{_size(size)}: make room or choose another cache folder"
        )
    # On one line however narrow the terminal, so that paths stay whole.
    console.print(
        f"decoding {songs} {'song' if songs == 1 else 'songs'} ({_duration(seconds)}) into "
        f"{folder}: about {_size(size)}, {_size(free)} free",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _duration(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _size(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
