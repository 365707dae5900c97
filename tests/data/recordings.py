"""Small synthetic recordings for training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import ArrayLike

from songsplit.data.songs import AudioPart, Song

RATE = 44100


def write(path: Path, audio: ArrayLike, rate: int = RATE) -> Path:
    """Write audio of shape (channels, samples) to a WAV file of floats."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(audio, np.float32).T, rate, "FLOAT")
    return path


def song(
    folder: Path,
    name: str,
    stems: dict[str, ArrayLike],
    split: Literal["train", "valid"] = "train",
    rate: int = RATE,
    source: str = "musdb18",
) -> Song:
    """Write a song's stems, with its mixture if it is among them, and return the song."""
    parts = {stem: AudioPart(write(folder / name / f"{stem}.wav", audio, rate))
             for stem, audio in stems.items()}  # fmt: skip
    mixture = parts.pop("mixture", None)
    return Song(name, source, split, {stem: (part,) for stem, part in parts.items()}, mixture)


def songs(folder: Path, seconds: float = 2.5) -> list[Song]:
    """Songs with vibrato tones as voices, noise bursts as drums and chords as other."""
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * RATE)) / RATE
    made = []
    for number in range(6):
        pitch = rng.uniform(150, 500)
        voice = sum(np.sin(2 * np.pi * k * pitch * t + 3 * np.sin(35 * t)) / k for k in range(1, 8))
        drums = rng.normal(size=t.size) * (np.sin(2 * np.pi * 2 * t) > 0.6)
        bass = np.sin(2 * np.pi * pitch / 4 * t)
        other = sum(np.sin(2 * np.pi * ratio * pitch * t) for ratio in (1, 5 / 4, 3 / 2)) / 3
        stems = {
            name: np.stack([audio, audio * pan]) * 0.1
            for name, audio, pan in [
                ("vocals", voice, 1.0),
                ("drums", drums, 0.8),
                ("bass", bass, 1.0),
                ("other", other, 0.5),
            ]
        }
        made.append(song(folder, f"song {number}", stems, "valid" if number >= 3 else "train"))
    return made
