"""What each quality setting computes for a second of stereo, overlap of chunks included.

``python benchmarks/budget.py`` separates a minute of noise at the network's own rate, from array
to array, and prints milliseconds per second of audio: of the network (with pooling of bands, which
is part of it), of that and of all else (transforms, other speeds, cross-fades).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
from torch import Tensor

from songsplit import Separator
from songsplit.models.separation import SeparationModel
from songsplit.quality import QUALITIES, Quality

SECONDS = 60


class Clock:
    """Adds up the seconds that calls of a function take."""

    def __init__(self, function: Callable[[SeparationModel, Tensor], Tensor]) -> None:
        self.function = function
        self.seconds = 0.0

    def bound(self) -> Callable[[SeparationModel, Tensor], Tensor]:
        """Give a method that does what the function does, and is timed."""

        def timed(model: SeparationModel, spectrogram: Tensor) -> Tensor:
            start = time.perf_counter()
            found = self.function(model, spectrogram)
            self.seconds += time.perf_counter() - start
            return found

        return timed


def measure(quality: Quality, repetitions: int) -> tuple[float, float]:
    """Give milliseconds per second of audio: of the network, and of everything."""
    separator = Separator(quality=quality)
    rate = 44100
    mixture = 0.1 * np.random.default_rng(0).normal(size=(2, SECONDS * rate)).astype(np.float32)
    network, whole = [], []
    for _ in range(1 + repetitions):
        clock = Clock(SeparationModel.foreground_masks)
        with mock.patch.object(SeparationModel, "foreground_masks", clock.bound()):
            start = time.perf_counter()
            separator.separate(mixture, rate)
            whole.append(time.perf_counter() - start)
        network.append(clock.seconds)
    # The first time is for warming up.
    network_time, whole_time = statistics.median(network[1:]), statistics.median(whole[1:])
    return 1e3 * network_time / SECONDS, 1e3 * whole_time / SECONDS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    write = sys.stdout.write
    write("| quality | network, ms/s | all, array to array, ms/s |\n|---|---|---|\n")
    for quality in QUALITIES:
        network, whole = measure(quality, options.repetitions)
        write(f"| {quality} | {network:.1f} | {whole:.1f} |\n")


if __name__ == "__main__":
    main()
