"""Small invented recordings to train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from songsplit.data.cache import ClipCache, RawClip, write_cache

RATE = 44100


def clips(seconds: float = 2.5) -> Iterator[RawClip]:
    """Songs with vibrato tones as voices and noise bursts as drums."""
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * RATE)) / RATE
    for number in range(6):
        pitch = rng.uniform(150, 500)
        voice = sum(np.sin(2 * np.pi * k * pitch * t + 3 * np.sin(35 * t)) / k for k in range(1, 8))
        drums = rng.normal(size=t.size) * (np.sin(2 * np.pi * 2 * t) > 0.6)
        bass = np.sin(2 * np.pi * pitch / 4 * t)
        stems = {
            name: np.stack([audio, audio * pan]).astype(np.float32) * 0.1
            for name, audio, pan in [
                ("vocals", voice, 1.0),
                ("drums", drums, 0.8),
                ("bass", bass, 1.0),
                ("other", np.zeros_like(t), 1.0),
            ]
        }
        split = "valid" if number >= 4 else "train"
        yield RawClip(f"musdb18/song {number}", "musdb18", split, stems, RATE)


def cache(folder: Path) -> ClipCache:
    return write_cache(clips(), folder, RATE)
