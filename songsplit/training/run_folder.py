"""Where a run leaves its checkpoints and logs.

::

    runs/base/                       trainer.default_root_dir
        checkpoints/best.ckpt        best validation score
        checkpoints/last.ckpt        to resume from
        logs/version_0/              one for each start: config.yaml, metrics.csv
        tensorboard/version_0/       likewise
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from songsplit.errors import ConfigError

SCORE = "valid/usdr"
"""What decides which checkpoint is best: uSDR, mean over validation clips and targets."""


class _RunCheckpoint(ModelCheckpoint):
    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(
            filename=name, enable_version_counter=False, auto_insert_metric_name=False, **options
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.dirpath = str(checkpoint_folder(trainer.default_root_dir))
        super().setup(trainer, pl_module, stage)


class BestCheckpoint(_RunCheckpoint):
    """Keeps the weights with the best validation score as ``best.ckpt``."""

    def __init__(self) -> None:
        super().__init__("best", monitor=SCORE, mode="max")


class LastCheckpoint(_RunCheckpoint):
    """Keeps the state to resume from as ``last.ckpt``.

    Parameters
    ----------
    every_steps : int
        A run that is killed loses at most this many steps.
    """

    def __init__(self, every_steps: int = 500) -> None:
        if every_steps < 1:
            raise ConfigError(f"last.every_steps must be at least 1, not {every_steps}")
        super().__init__("last", every_n_train_steps=every_steps)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **options: Any
    ) -> None:
        """Save every so many steps, and after the last one."""
        super().on_train_batch_end(trainer, pl_module, *arguments, **options)
        if trainer.global_step == trainer.max_steps and self.dirpath is not None:
            self.last_model_path = str(Path(self.dirpath) / "last.ckpt")
            trainer.save_checkpoint(self.last_model_path, weights_only=False)


def checkpoint_folder(root: str | Path) -> Path:
    """Folder for the checkpoints of the run in ``root``."""
    return Path(root) / "checkpoints"


def loggers(root: str | Path) -> list[Logger]:
    """Make the loggers of a run: a CSV file and TensorBoard, in new folders for each start."""
    logs = Path(root) / "logs"
    taken = {path.name for path in logs.glob("version_*")}
    number = next(n for n in range(len(taken) + 1) if f"version_{n}" not in taken)
    version = f"version_{number}"
    return [
        CSVLogger(str(root), name="logs", version=version),
        TensorBoardLogger(str(root), name="tensorboard", version=version),
    ]
