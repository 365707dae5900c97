"""Open-Unmix's network for vocals, trained on what an experiment is trained on, for as long.

``python benchmarks/openunmix_training.py --config CONFIG --seconds 900 --musdb PATH --output DIR``
draws, mixes and augments the examples of a config of ``train.py`` (``configs/experiments``), but
trains on them what PyPI's ``openunmix`` has, as its authors do: Adam at 1e-3 with a weight decay
of 1e-5 on squared errors of magnitudes, on inputs that are normalised bin by bin. It then separates
the validation clips of MUSDB18 with that package's own program, a Wiener step included, to
``DIR/openunmix/SONG/vocals.wav`` and ``accompaniment.wav`` for ``evaluate.py --estimates``.

It runs where songsplit is installed with its training, and ``pip install --no-deps openunmix``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from peers import openunmix_separator
from scipy.io import wavfile
from torch import Tensor

from songsplit.evaluation.songs import musdb_songs
from songsplit.training.cli import build_cli

STATISTICS_BATCHES = 20
REPORT_EVERY = 50  # steps


def magnitudes(configs: list[str]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield magnitudes of mixture and vocals, shape (batch, 2, bins, frames), without an end."""
    arguments = [f"--config={config}" for config in configs]
    cli = build_cli([*arguments, "--trainer.max_steps=1", "--trainer.logger=false"], run=False)
    cli.datamodule.prepare_data()
    for batch in cli.datamodule.train_batches():
        stems = cli.model.examples(batch)
        yield stems.sum(dim=1).abs(), stems[:, 0].abs()


def statistics(mixtures: list[Tensor]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation by bin over all frames, the latter bounded for bins that are empty."""
    frames = torch.cat([m.mean(dim=1).movedim(1, -1).flatten(0, 1) for m in mixtures])
    deviation = frames.std(dim=0)
    return frames.mean(dim=0).numpy(), deviation.clamp(min=1e-4 * float(deviation.max())).numpy()


def train(
    network: torch.nn.Module, examples: Iterator[tuple[Tensor, Tensor]], seconds: float
) -> int:
    """Train for that long, and give the number of steps."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5)
    network.train()
    start, losses = time.monotonic(), []
    for step, (mixture, vocals) in enumerate(examples, 1):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            estimate = network(mixture)
        loss = (estimate.float() - vocals).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        elapsed = time.monotonic() - start
        if step % REPORT_EVERY == 0 or elapsed > seconds:
            mean = np.mean(losses[-REPORT_EVERY:])
            sys.stdout.write(f"step {step}  {elapsed:.0f} s  loss {mean:.3f}\n")
            sys.stdout.flush()
        if elapsed > seconds:
            return step
    raise AssertionError("batches never end")


def main() -> None:
    """Train, separate, and say how much was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="append", required=True)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--musdb", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    # Lightning's command line warns of arguments that are not its own.
    del sys.argv[1:]
    examples = magnitudes(options.config)
    seen = [mixture for mixture, _ in islice(examples, STATISTICS_BATCHES)]
    separator = openunmix_separator(statistics(seen))
    network = separator.target_models["vocals"]
    steps = train(network, examples, options.seconds)
    separator.eval()
    for song in musdb_songs(options.musdb, "train", "valid"):
        audio = song.read()
        folder = options.output / "openunmix" / song.name
        folder.mkdir(parents=True, exist_ok=True)
        with torch.inference_mode():
            found = separator(torch.from_numpy(audio.mixture)[None])[0].numpy()
        for name, stem in zip(("vocals", "accompaniment"), found, strict=True):
            wavfile.write(folder / f"{name}.wav", audio.sample_rate, stem.T.astype(np.float32))
    parameters = sum(p.numel() for p in network.parameters()) / 1e6
    sys.stdout.write(f"{parameters:.2f} M parameters, {steps} steps of {options.seconds:.0f} s\n")


if __name__ == "__main__":
    main()
