"""What the experiments of docs/experiments.md cost and bring, as a table in Markdown.

``python benchmarks/experiments.py RUN [RUN ...]`` takes folders of runs, the reference first.
Each must hold ``model.safetensors`` (``songsplit export``) and its scores (``evaluate.py --model
RUN/model.safetensors --output RUN/scores``). ``--train-scores`` adds scores from
``RUN/scores-train`` of the songs that were trained on.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from songsplit.evaluation.compare import compare
from songsplit.inference.devices import precision
from songsplit.models.separation import SeparationModel
from songsplit.models.storage import load_weights

SECONDS = 24.0
REPETITIONS = 5
TARGETS = ("vocals", "accompaniment")


def cost(model: SeparationModel) -> tuple[float, float]:
    """Give billions of multiply-adds, and milliseconds, of the network per second of audio."""
    mixture = 0.1 * torch.randn(1, 2, round(SECONDS * model.config.sample_rate))
    with torch.inference_mode():
        spectrogram = model.stft(mixture)
        # In float32: the counter takes recurrent layers apart, which half precision forbids.
        with FlopCounterMode(display=False) as counter:
            model.foreground_masks(spectrogram)
    durations = []
    with torch.inference_mode(), precision(torch.device("cpu")):
        for _ in range(1 + REPETITIONS):
            start = time.perf_counter()
            model.foreground_masks(spectrogram)
            durations.append(time.perf_counter() - start)
    multiply_adds = counter.get_total_flops() / 2 / SECONDS / 1e9
    return multiply_adds, 1e3 * statistics.median(durations[1:]) / SECONDS


def scores(run: Path, folder: str) -> str:
    """Give the median, and the mean in brackets, of the SDR of both targets."""
    summary = json.loads((run / folder / "summary.json").read_text(encoding="utf-8"))
    overall: Mapping[str, Mapping[str, Mapping[str, float]]]
    overall = summary["systems"][summary["model"]["name"]]["overall"]
    cells = []
    for target in TARGETS:
        sdr = overall[target]["SDR"]
        cells.append(f"{sdr['median']:.2f} ({sdr['mean']:.2f})")
    return " | ".join(cells)


def difference(reference: Path, run: Path, folder: str) -> str:
    """Give the mean change of both targets' SDR with its 95 % bootstrap interval."""
    cells = []
    found = {
        (d.target, d.measure): d for d in compare(reference / folder, run / folder).differences
    }
    for target in TARGETS:
        change = found[target, "SDR"]
        low, high = change.interval or (math.nan, math.nan)
        cells.append(f"{change.mean:+.2f} ({low:+.2f} to {high:+.2f})")
    return " | ".join(cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--train-scores", action="store_true")
    options = parser.parse_args()
    reference, *_ = options.runs
    folders = ["scores", *(["scores-train"] if options.train_scores else [])]
    heads = ["experiment", "parameters", "GMAC/s", "ms/s", "steps"]
    for _ in folders:
        heads += ["vocals", "accomp.", "change vocals", "change accomp."]
    write = sys.stdout.write
    write("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|\n")
    for run in options.runs:
        stored = load_weights(run / "model.safetensors")
        model = stored.model
        parameters = sum(parameter.numel() for parameter in model.parameters())
        multiply_adds, milliseconds = cost(model)
        cells = [run.name, f"{parameters / 1e6:.2f} M", f"{multiply_adds:.2f}"]
        cells += [f"{milliseconds:.1f}", str(stored.card["steps"])]
        for folder in folders:
            cells.append(scores(run, folder))
            cells.append("|" if run == reference else difference(reference, run, folder))
        write("| " + " | ".join(cells) + " |\n")


if __name__ == "__main__":
    main()
