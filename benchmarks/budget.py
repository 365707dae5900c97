"""What each quality setting computes for a second of stereo, overlap of chunks included.

``python benchmarks/budget.py`` separates a minute of noise at the network's own rate, from array
to array, and prints milliseconds per second of audio: of the network (with pooling of bands, which
is part of it), of that and of all else (transforms, other speeds, cross-fades).
"""

from __future__ import annotations

import statistics
import sys
import time
from unittest import mock

import numpy as np
from torch import Tensor

from songsplit import Separator
from songsplit.inference import QUALITIES, Quality
from songsplit.models.separation_model import SeparationModel

SECONDS, RATE, REPETITIONS = 60, 44100, 5


def measure(quality: Quality) -> list[float]:
    """Give milliseconds per second of audio: of the network, and of everything."""
    separator = Separator(quality=quality)
    mixture = 0.1 * np.random.default_rng(0).normal(size=(2, SECONDS * RATE)).astype(np.float32)
    masks = SeparationModel.foreground_masks
    network: list[float] = []

    def timed(model: SeparationModel, spectrogram: Tensor) -> Tensor:
        start = time.perf_counter()
        found = masks(model, spectrogram)
        network[-1] += time.perf_counter() - start
        return found

    whole = []
    with mock.patch.object(SeparationModel, "foreground_masks", timed):
        for _ in range(1 + REPETITIONS):
            network.append(0.0)
            start = time.perf_counter()
            separator.separate(mixture, RATE)
            whole.append(time.perf_counter() - start)
    # The first time is for warming up.
    return [1e3 * statistics.median(times[1:]) / SECONDS for times in (network, whole)]


if __name__ == "__main__":
    sys.stdout.write("| quality | network, ms/s | all, array to array, ms/s |\n|---|---|---|\n")
    for setting in QUALITIES:
        sys.stdout.write("| {} | {:.1f} | {:.1f} |\n".format(setting, *measure(setting)))
