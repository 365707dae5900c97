"""Synthetic songs, and a function that runs commands in this process."""

from __future__ import annotations

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import mutagen
import numpy as np
import soundfile
from mutagen.flac import Picture

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "lithium.ogg"
COVER = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8


def music(seconds: float, rate: int = 44100, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Return float32 samples (channels, samples): a warbling voice, chords and a drum."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (220 + 30 * seed) * time + 2 * np.sin(2 * np.pi * 5.5 * time)
    voice = sum(np.sin(k * phase) / k for k in range(1, 9)) * (np.sin(1.3 * time) > -0.3)
    chords = sum(np.sin(2 * np.pi * pitch * time) for pitch in (110, 138.6, 164.8))
    drum = rng.standard_normal(time.size) * np.exp(-12 * (time % 0.5))
    return np.stack(
        [
            0.10 * voice + (0.04 + 0.01 * c) * chords + 0.08 * np.roll(drum, 50 * c)
            for c in range(channels)
        ]
    ).astype(np.float32)


def song_stems(seed: int, seconds: float = 3.0, rate: int = 44100) -> dict[str, np.ndarray]:
    """Return true stems of a song, in float64, shape (2, samples)."""
    vocals = music(seconds, rate, seed=seed).astype(np.float64)
    noise = np.random.default_rng(100 + seed).standard_normal(vocals.shape)
    return {"vocals": vocals, "accompaniment": 0.05 * noise}


def estimated(stems: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return stems of an imperfect system, with leaks, artefacts and a delay."""
    noise = np.random.default_rng(9).standard_normal(stems["vocals"].shape)
    vocals, rest = stems["vocals"], stems["accompaniment"]
    return {
        "vocals": 0.9 * np.roll(vocals, 3, axis=1) + 0.1 * rest + 0.005 * noise,
        "accompaniment": 0.8 * rest + 0.15 * vocals - 0.01 * noise,
    }


def tagged_flac(path: Path, samples: np.ndarray, rate: int = 44100) -> Path:
    """Write a song with tags and a cover picture."""
    soundfile.write(path, samples.T, rate)
    file = mutagen.File(path)
    file["title"], file["artist"], file["album"] = "T.N.T.", "AC/DC", "High Voltage"
    file["tracknumber"] = "3"
    picture = Picture()
    picture.type, picture.mime, picture.data = 3, "image/jpeg", COVER
    file.add_picture(picture)
    file.save()
    return path


class Outcome(NamedTuple):
    """The exit status and the output of a command."""

    code: int
    out: str
    err: str


def command(*arguments: object, program: str = "songsplit") -> Outcome:
    """Run ``python -m songsplit``, or a script of the checkout, as a shell would."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2)]
    argv, sys.argv = sys.argv, [program, *map(str, arguments)]
    code = 0
    # The command may call os._exit, which would end the tests too.
    leaving = patch("os._exit", sys.exit)
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]), leaving:
            try:
                if program == "songsplit":
                    runpy.run_module("songsplit", run_name="__main__")
                else:
                    runpy.run_path(str(ROOT / program), run_name="__main__")
            except SystemExit as end:
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)  # noqa: T201
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = argv
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8"))
    return Outcome(code, *texts)


def read(path: Path) -> tuple[np.ndarray, int]:
    """Return samples (channels, samples) and rate of a file that libsndfile reads."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.T, rate
