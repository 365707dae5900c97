from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit.data.musdb import SAMPLE_RATE

STEMS = ("drums", "bass", "other", "vocals")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("ffmpeg"):
        for package in ("musdb", "museval"):
            # Not importorskip: without ffmpeg, importing them fails with RuntimeError.
            if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
                pytest.skip(f"{package} needs the programs ffmpeg and ffprobe")
            pytest.importorskip(package)


@pytest.fixture
def hq_root(tmp_path: Path) -> Path:
    """Two made-up songs of 3 s, laid out as the test subset of MUSDB18-HQ."""
    root = tmp_path / "musdb18hq"
    for index, name in enumerate(("Àrtist [1] - Ébb", "Band - Song's End")):
        stems = song(seed=index)
        folder = root / "test" / name
        folder.mkdir(parents=True)
        for stem, audio in (stems | {"mixture": sum_of(stems)}).items():
            soundfile.write(folder / f"{stem}.wav", audio.T, SAMPLE_RATE, subtype="PCM_16")
    return root


def song(seed: int, seconds: float = 3.0) -> dict[str, np.ndarray]:
    """Noise, and a warbling tone that is some 5 dB softer than all of it together."""
    random = np.random.default_rng(seed)
    samples = round(seconds * SAMPLE_RATE)
    time = np.arange(samples) / SAMPLE_RATE
    stems = {
        name: (0.03 * random.standard_normal((2, samples))).astype(np.float32)
        for name in ("drums", "bass", "other")
    }
    tone = np.sin(2 * np.pi * (440 * time + 3 * np.sin(2 * np.pi * 5 * time)))
    noise = 0.001 * random.standard_normal((2, samples))
    stems["vocals"] = (0.04 * tone * np.array([[1.0], [0.7]]) + noise).astype(np.float32)
    return stems


def sum_of(stems: dict[str, np.ndarray]) -> np.ndarray:
    return np.sum([stems[name] for name in STEMS], axis=0, dtype=np.float32)
