"""Scores and results that look like those of real songs, for tests of what shows them."""

from __future__ import annotations

import numpy as np

from songsplit.evaluation.scores import METRICS, TrackScores

PAIR = ("vocals", "accompaniment")
FIVE = (*PAIR, "drums", "bass", "other")
YARDSTICKS = {"mixture": -5.0, "ideal ratio mask": 10.0, "multichannel Wiener filter": 11.0}


def scores_of(sdr: list[float], targets: tuple[str, ...] = PAIR, remark: str = "") -> TrackScores:
    """Frames of SDR as given for the first target, each further target 5 dB higher."""
    frames = {
        target: {metric: np.array(sdr) + 5 * t + m for m, metric in enumerate(METRICS)}
        for t, target in enumerate(targets)
    }
    whole = {target: {"uSDR": 40.0 + t, "SI-SDR": 60.0 + t} for t, target in enumerate(targets)}
    return TrackScores(frames, whole, remark)


def failed(remark: str = "no vocals") -> TrackScores:
    return TrackScores({}, {}, remark)


def results_of(
    songs: int, targets: tuple[str, ...] = PAIR, candidate: str = "model"
) -> dict[str, dict[str, TrackScores]]:
    """A candidate beside the yardsticks on songs with long names."""
    random = np.random.default_rng(0)
    return {
        system: {
            f"Artist number {song} and the Others - A Song of Many Words": scores_of(
                list(level + random.normal(0, 3, 5)), targets
            )
            for song in range(songs)
        }
        for system, level in ({candidate: 6.0} | YARDSTICKS).items()
    }
