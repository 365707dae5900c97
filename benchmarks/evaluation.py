"""Measure time and memory of scoring, and compare the scores with museval.

``python benchmarks/evaluation.py`` scores one estimate of two sources of three minutes. Each
measurement runs in its own process, which first reads the audio. The speed does not depend on the
music, so the song is noise by default; use ``--musdb`` to compare scores on music.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from songsplit.data.sources import SAMPLE_RATE
from songsplit.evaluation.bss_eval import ReferenceStatistics, frame_sdr
from songsplit.evaluation.references import musdb_songs
from songsplit.evaluation.systems import ideal_ratio_mask
from songsplit.evaluation.track_scores import METRICS, TWO_TARGETS, load_museval, museval_scores

CASES = ("arrays alone", "museval", "SDR alone", "all four", "all four, next system")
SECONDS, THREADS = 180, 2
CEILING = 80  # dB; two scores above it count as equal


def prepare(musdb: Path | None) -> NDArray[np.float64]:
    """Return references and estimates, shape (2, targets, channels, samples)."""
    samples = SECONDS * SAMPLE_RATE
    if musdb is None:
        rng = np.random.default_rng(0)
        level = np.repeat(10 ** rng.uniform(-1.5, 0, (2, 1, 4 * SECONDS)), SAMPLE_RATE // 4, axis=2)
        references = 0.1 * rng.standard_normal((2, 2, level.shape[2])) * level
    else:
        references = np.zeros((2, 2, 0))
        for song in itertools.cycle(musdb_songs(musdb, "train")):
            stems = song.read().references
            further = np.stack([stems[name] for name in TWO_TARGETS])
            references = np.concatenate([references, further], axis=2)[:, :, :samples]
            if references.shape[2] == samples:
                break
    mixture = references.sum(axis=0)
    parts = dict(zip(TWO_TARGETS, references, strict=True))
    masked = ideal_ratio_mask(mixture, parts, power=1.0)
    estimates = 0.9 * np.stack([masked[name] for name in parts]) + 0.1 * mixture
    return np.stack([references, estimates])


def measure(case: str, folder: Path) -> None:
    """Score in this process and print seconds and peak memory in bytes."""
    references, estimates = np.load(folder / "audio.npy")
    if case == "museval":
        load_museval()
    statistics = ReferenceStatistics(references, SAMPLE_RATE, SAMPLE_RATE)
    if case == "all four, next system":
        statistics.score(estimates)
    scores = np.zeros((0, 0, 0))
    start = time.perf_counter()
    if case == "museval":
        scores = museval_scores(references, estimates, SAMPLE_RATE, SAMPLE_RATE)
    elif case == "SDR alone":
        scores = frame_sdr(references, estimates, SAMPLE_RATE, SAMPLE_RATE)[np.newaxis]
    elif case.startswith("all four"):
        scores = statistics.score(estimates)
    seconds = time.perf_counter() - start
    np.save(folder / f"{case}.npy", scores)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # on Linux
    sys.stdout.write(json.dumps([seconds, peak]))


def differences(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> str:
    """Return the largest difference of each measure from museval."""
    found = []
    for name, first, second in zip(METRICS, ours, theirs, strict=False):
        compared = ~(np.isnan(first) | ((first > CEILING) & (second > CEILING)))
        found.append(f"{name} {np.abs(first - second)[compared].max(initial=0.0):.0e}")
    return ", ".join(found)


def main() -> None:
    """Run all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--musdb", type=Path, help="use joined songs of the train subset")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each case (default: 3)")
    # The task of a measuring process.
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]))
        return
    table = Table("case", "best", "peak memory", "largest difference in dB")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(THREADS))
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "audio.npy"), prepare(options.musdb))
        for case in CASES:
            command = [sys.executable, __file__, "--measure", case, folder]
            outputs = [
                subprocess.check_output(command, env=os.environ | threads)
                for _ in range(options.repeats)
            ]
            seconds, peaks = zip(*map(json.loads, outputs), strict=True)
            row = [case, f"{min(seconds):.2f} s", f"{max(peaks) / 1e9:.2f} GB"]
            if case not in CASES[:2]:
                ours, theirs = (np.load(Path(folder, f"{name}.npy")) for name in (case, "museval"))
                row.append(differences(ours, theirs))
            table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
