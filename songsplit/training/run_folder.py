"""Where a run leaves its checkpoints and logs.

::

    runs/base/                       trainer.default_root_dir
        checkpoints/best.ckpt        best validation score
        checkpoints/last.ckpt        to resume from
        logs/version_0/              one for each start: config.yaml, metrics.csv
        tensorboard/version_0/       likewise
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

from songsplit.errors import ConfigError, OutputError

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
        self.every_steps = every_steps

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **options: Any
    ) -> None:
        """Save every so many steps, and after the last one."""
        super().on_train_batch_end(trainer, pl_module, *arguments, **options)
        step = trainer.global_step
        if step == trainer.max_steps and step % self.every_steps:
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save again, so that what is resumed knows of this validation."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.last_model_path = str(checkpoint_folder(trainer.default_root_dir) / "last.ckpt")
            trainer.save_checkpoint(self.last_model_path, weights_only=False)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside their place, and puts them there when they are whole.

    Lightning writes to the folder for temporary files, from which moving to another disk
    is no longer atomic.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises
        ------
        OutputError
            If it cannot be written. What was there before stays.
        """
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            torch.save(checkpoint, partial)
            partial.replace(target)
        except (OSError, RuntimeError) as error:
            # On a full disk, torch raises the latter.
            raise OutputError(f"{target} cannot be written ({error}): make room") from error
        finally:
            partial.unlink(missing_ok=True)


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
