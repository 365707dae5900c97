"""How fast the configs train, and whether the loader keeps up.

``python benchmarks/training.py`` measures, for each config: the loader alone, the training
step alone (one batch over and over), and both together as in a real run. Music does not
change the speed, so songs are noise.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path
from typing import Any, cast

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
WARM_UP = 3  # steps that do not count: memory is found, kernels are chosen
SONGS, SONG_SECONDS = 12, 60


class Stopwatch(pl.Callback):
    """Seconds from the end of the warm-up to the last step, and those spent waiting."""

    def __init__(self) -> None:
        self.waiting = 0.0
        self.ends: list[float] = []

    @property
    def total(self) -> float:
        """Seconds of all steps that count."""
        return self.ends[-1] - self.ends[WARM_UP - 1]

    def on_train_batch_start(self, *_: Any) -> None:
        """Count the wait for the batch."""
        if len(self.ends) > WARM_UP:
            self.waiting += time.perf_counter() - self.ends[-1]

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Count the step."""
        if module.device.type != "cpu":
            torch.accelerator.synchronize(module.device)
        self.ends.append(time.perf_counter())


def parsed(config: Path, songs: Path, cache: Path, more: list[str]) -> TrainingCLI:
    """Build network and data of a config, with made-up songs for its sources."""
    sources = f'{{"noise": {{"kind": "songs", "path": "{songs}"}}}}'
    return TrainingCLI(
        [
            f"--config={config}", f"--data.sources={sources}", f"--data.cache={cache}",
            "--trainer.logger=false", *more,
        ],
        run=False,
    )  # fmt: skip


def loader_seconds(data: StemDataModule, batches: int) -> float:
    """Measure seconds for a batch out of the loader when nothing else is to be done."""
    loader = iter(data.train_dataloader())
    for _ in range(WARM_UP + data.workers * 4):  # also what was prepared ahead
        next(loader)
    begin = time.perf_counter()
    for _ in range(batches):
        next(loader)
    return (time.perf_counter() - begin) / batches


def step_seconds(cli: TrainingCLI, steps: int, loader: Any) -> tuple[float, float]:
    """Measure seconds for a step, and the share of them spent waiting for data."""
    watch = Stopwatch()
    names = ("precision", "accelerator", "gradient_clip_val")
    asked: Any = {name: cli.config["trainer"][name] for name in names}
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = pl.Trainer(
        max_steps=steps + WARM_UP,
        devices=1,
        callbacks=[MovingAverage(), watch],
        limit_val_batches=0,
        **asked,
        **cast("Any", dict.fromkeys(off, False)),
    )
    # The module asks its data module for batches; the trainer only needs to know it.
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
    parser.add_argument(
        "--batch-size", type=int, help="instead of that of the config, to fit into memory"
    )
    options = parser.parse_args()
    names = options.configs or sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    more = [f"--data.batch_size={options.batch_size}"] if options.batch_size else []

    table = Table(
        "config", "parameters", "batch", "loader alone", "step alone", "both", "waiting for data",
        "audio per second",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        songs, cache = Path(folder, "songs"), Path(folder, "cache")
        made_up_songs(songs)
        for name in names:
            cli = parsed(CONFIGS / f"{name}.yaml", songs, cache, more)
            data: StemDataModule = cli.datamodule
            data.setup()
            loading = loader_seconds(data, options.steps)
            batches = [data.train_batches().batch(0)] * (options.steps + WARM_UP)
            # A list serves as a data set.
            same: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
            alone, _ = step_seconds(cli, options.steps, same)
            both, waiting = step_seconds(cli, options.steps, data.train_dataloader())
            seconds = data.batch_size * data.chunk_samples / data.sample_rate
            table.add_row(
                name,
                f"{sum(p.numel() for p in cli.model.model.parameters()) / 1e6:.2f} M",
                f"{data.batch_size} x {data.chunk_samples / data.sample_rate:.1f} s",
                f"{loading * 1e3:.0f} ms",
                f"{alone * 1e3:.0f} ms",
                f"{both * 1e3:.0f} ms",
                f"{waiting:.1%}",
                f"{seconds / both:.1f} s",
            )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    console = Console(width=120)
    console.print(table)
    console.print(f"{device or platform.machine()}, {torch.get_num_threads()} threads", end=", ")
    console.print(f"torch {torch.__version__}, {options.steps} steps each")


if __name__ == "__main__":
    main()
