"""Measure the training speed of the configs, and whether the loader keeps up.

``python benchmarks/training.py`` measures for each config: the loader alone, the training step
alone (with the same batch), and both together as in a real run. The speed does not depend on the
music, so songs are noise.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import soundfile
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from songsplit.data.datamodule import StemDataModule
from songsplit.data.songs import BACKING_PARTS, VOCALS
from songsplit.training.callbacks import MovingAverage
from songsplit.training.lightning_cli import TrainingCLI

CONFIGS = Path(__file__).parents[1] / "configs"
WARM_UP = 3  # steps that are not measured, in which memory is allocated and kernels are chosen
SONGS, SONG_SECONDS = 12, 60


class Stopwatch(pl.Callback):
    """Measures the seconds of all steps after the warm-up, and of waiting for data."""

    def __init__(self) -> None:
        self.waiting = 0.0
        self.ends: list[float] = []

    @property
    def total(self) -> float:
        """Seconds of all measured steps."""
        return self.ends[-1] - self.ends[WARM_UP - 1]

    def on_train_batch_start(self, *_: Any) -> None:
        """Add the time of waiting for the batch."""
        if len(self.ends) > WARM_UP:
            self.waiting += time.perf_counter() - self.ends[-1]

    def on_train_batch_end(self, *_: Any) -> None:
        """Record the end of the step."""
        self.ends.append(time.perf_counter())


def parsed(config: Path, songs: Path, cache: Path) -> TrainingCLI:
    """Build network and data of a config, with noise as its sources."""
    sources = f'{{"noise": {{"kind": "songs", "path": "{songs}"}}}}'
    data = [f"--data.sources={sources}", f"--data.cache={cache}"]
    return TrainingCLI([f"--config={config}", *data, "--trainer.logger=false"], run=False)


def loader_seconds(data: StemDataModule, batches: int) -> float:
    """Return the seconds per batch of the loader alone."""
    loader = iter(data.train_dataloader())
    for _ in range(WARM_UP + data.workers * 4):  # including prefetched batches
        next(loader)
    begin = time.perf_counter()
    for _ in range(batches):
        next(loader)
    return (time.perf_counter() - begin) / batches


def step_seconds(cli: TrainingCLI, steps: int, loader: Any) -> tuple[float, float]:
    """Return the seconds per step, and the share of waiting for data."""
    watch = Stopwatch()
    names = ("precision", "accelerator", "gradient_clip_val")
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    settings: Any = {name: cli.config["trainer"][name] for name in names}
    settings |= {"max_steps": steps + WARM_UP, "devices": 1, "limit_val_batches": 0}
    settings |= dict.fromkeys(off, False)
    trainer = pl.Trainer(callbacks=[MovingAverage(), watch], **settings)
    # The module needs its data module, which must know the trainer.
    cli.datamodule.trainer = trainer
    trainer.fit(cli.model, train_dataloaders=loader)
    return watch.total / steps, watch.waiting / watch.total


def made_up_songs(folder: Path) -> None:
    """Write songs of noise."""
    rng = np.random.default_rng(0)
    for number in range(SONGS):
        (folder / f"song {number}").mkdir(parents=True)
        for stem in (VOCALS, *BACKING_PARTS):
            audio = 0.1 * rng.standard_normal((SONG_SECONDS * 44100, 2))
            soundfile.write(folder / f"song {number}" / f"{stem}.wav", audio, 44100)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="*", help="names of configs (default: all)")
    parser.add_argument("--steps", type=int, default=10, help="steps to measure (default: 10)")
    options = parser.parse_args()
    names = options.configs or sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    heads = ("config", "batch", "loader alone", "step alone", "both", "waiting for data")
    table = Table(*heads, "audio per second")
    with tempfile.TemporaryDirectory() as folder:
        songs, cache = Path(folder, "songs"), Path(folder, "cache")
        made_up_songs(songs)
        for name in names:
            cli = parsed(CONFIGS / f"{name}.yaml", songs, cache)
            data: StemDataModule = cli.datamodule
            data.setup()
            loading = loader_seconds(data, options.steps)
            batches = [data.train_batches().batch(0)] * (options.steps + WARM_UP)
            # A list is a valid data set.
            same: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
            alone, _ = step_seconds(cli, options.steps, same)
            both, waiting = step_seconds(cli, options.steps, data.train_dataloader())
            seconds = data.batch_size * data.chunk_samples / data.sample_rate
            batch = f"{data.batch_size} x {data.chunk_samples / data.sample_rate:.1f} s"
            times = (f"{value * 1e3:.0f} ms" for value in (loading, alone, both))
            rest = f"{waiting:.1%}", f"{seconds / both:.1f} s"
            table.add_row(name, batch, *times, *rest)
    console = Console(width=120)
    console.print(table)
    console.print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
