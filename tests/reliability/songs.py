"""Short songs for tests of what many of them do, and what lies in a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile

EXAMPLE = Path(__file__).parents[2] / "examples" / "lithium.ogg"


def make_songs(folder: Path, count: int, *, seconds: tuple[float, float] = (1.0, 3.0)) -> None:
    """Cut short songs from the example song, some of them into folders of their own.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    count : int
        How many songs.
    seconds : tuple of float, optional
        The shortest and the longest.

    Notes
    -----
    The same every time: lengths, channels and kinds of files depend on the number of the
    song alone. Noise is mixed in, so that no two songs are alike.
    """
    whole, rate = soundfile.read(EXAMPLE, dtype="float32", always_2d=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        frames = round(rng.uniform(*seconds) * rate)
        start = int(rng.integers(len(whole) - frames))
        song = whole[start : start + frames] * np.float32(rng.uniform(0.3, 0.9))
        song = song + rng.normal(0, 1e-3, song.shape)
        if index % 5 == 4:
            song = song[:, :1]
        below = folder / ("", "disc 1", "disc 2/live")[index % 3]
        below.mkdir(parents=True, exist_ok=True)
        kind = ("wav", "flac")[index % 2]
        soundfile.write(below / f"song {index:03}.{kind}", song, rate, subtype="PCM_16")


def song_files(folder: Path) -> list[Path]:
    """List the songs of a folder in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, str]:
    """Return a digest of every file below a folder, by its path, without hidden ones."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def hidden(folder: Path) -> list[Path]:
    """List the temporary files below a folder."""
    return sorted(path for path in folder.rglob(".*") if path.is_file())


def empty_folders(folder: Path) -> list[Path]:
    """List folders without anything in them, the folder itself included."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    return [path for path in folders if path.is_dir() and not any(path.iterdir())]
