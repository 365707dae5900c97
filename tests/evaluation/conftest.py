from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit.data.sources import SAMPLE_RATE
from songsplit.evaluation.track_scores import METRICS, WHOLE_MEASURES, TrackScores
from tests.data import recordings

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
    """Two synthetic songs of 3 s in the layout of the test subset of MUSDB18-HQ."""
    root = tmp_path / "musdb18hq"
    for index, name in enumerate(("Àrtist [1] - Ébb", "Band - Song's End")):
        stems = song(seed=index)
        folder = root / "test" / name
        folder.mkdir(parents=True)
        for stem, audio in (stems | {"mixture": sum_of(stems)}).items():
            soundfile.write(folder / f"{stem}.wav", audio.T, SAMPLE_RATE, subtype="PCM_16")
    return root


def song(seed: int, seconds: float = 3.0) -> dict[str, np.ndarray]:
    """Noise, and a warbling tone about 5 dB below the sum of all noise."""
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


def write_stems(folder: Path, stems: Mapping[str, np.ndarray], rate: int = SAMPLE_RATE) -> None:
    """Write a WAV file, exact to the last bit, for each stem."""
    for name, audio in stems.items():
        recordings.write(folder / f"{name}.wav", audio, rate)


class _QuickScorer:
    """Return the SDR of the whole song for every frame and measure, which is fast."""

    made = 0

    def __init__(self, references: Mapping[str, np.ndarray], rate: int, *, backend: str) -> None:
        self._references, self._rate = references, rate
        _QuickScorer.made += 1

    def score(self, estimates: Mapping[str, np.ndarray]) -> TrackScores:
        frames, whole = {}, {}
        for target in [name for name in self._references if name in estimates]:
            reference = self._references[target]
            error = reference - estimates[target]
            sdr = float(10 * np.log10(np.square(reference).sum() / np.square(error).sum()))
            count = reference.shape[1] // self._rate
            frames[target] = {metric: np.full(count, sdr) for metric in METRICS}
            whole[target] = {measure: round(sdr, 5) for measure in WHOLE_MEASURES}
        return TrackScores(frames, whole)


@pytest.fixture
def quick_scorer(monkeypatch: pytest.MonkeyPatch) -> type[_QuickScorer]:
    """Replace the scoring; `made` counts the scored songs."""
    monkeypatch.setattr("songsplit.evaluation.program.TrackScorer", _QuickScorer)
    monkeypatch.setattr(_QuickScorer, "made", 0)
    return _QuickScorer


def scores_of(
    sdr: list[float], targets: tuple[str, ...] = ("vocals", "accompaniment"), remark: str = ""
) -> TrackScores:
    """Return the given frames of SDR for the first target; each other target is 5 dB higher."""
    frames = {
        target: {metric: np.array(sdr) + 5 * t + m for m, metric in enumerate(METRICS)}
        for t, target in enumerate(targets)
    }
    whole = {target: {"uSDR": 40.0 + t, "SI-SDR": 60.0 + t} for t, target in enumerate(targets)}
    return TrackScores(frames, whole, remark)
