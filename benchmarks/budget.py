"""Measure the computing time of each quality setting per second of stereo.

``python benchmarks/budget.py`` separates a minute of noise at the network's rate, from array to
array, and prints milliseconds per second of audio: of the network, and of the whole separation
(with transforms, bands, other speeds and cross-fades).
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any
from unittest import mock

import numpy as np
from onnxruntime import InferenceSession

from songsplit import Separator
from songsplit.inference import QUALITIES, Quality

SECONDS, RATE, REPETITIONS = 60, 44100, 5


def measure(quality: Quality) -> list[float]:
    """Return milliseconds per second of audio: of the network, and in total."""
    separator = Separator(device="cpu", quality=quality)
    mixture = 0.1 * np.random.default_rng(0).normal(size=(2, SECONDS * RATE)).astype(np.float32)
    mixture[1] += mixture[0]  # uncorrelated sides would be separated as mono
    run = InferenceSession.run
    network: list[float] = []

    def timed(session: InferenceSession, *given: Any) -> Any:
        start = time.perf_counter()
        found = run(session, *given)
        network[-1] += time.perf_counter() - start
        return found

    whole = []
    with mock.patch.object(InferenceSession, "run", timed):
        for _ in range(1 + REPETITIONS):
            network.append(0.0)
            start = time.perf_counter()
            separator.separate(mixture, RATE)
            whole.append(time.perf_counter() - start)
    # The first run is a warm-up.
    return [1e3 * statistics.median(times[1:]) / SECONDS for times in (network, whole)]


if __name__ == "__main__":
    sys.stdout.write("| quality | network, ms/s | all, array to array, ms/s |\n|---|---|---|\n")
    for setting in QUALITIES:
        sys.stdout.write("| {} | {:.1f} | {:.1f} |\n".format(setting, *measure(setting)))
