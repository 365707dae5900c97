"""What a training run does besides training: averages, checkpoints, excerpts, a bar.

::

    runs/base/                       trainer.default_root_dir
        checkpoints/best.ckpt        best validation score
        checkpoints/last.ckpt        to resume from
        logs/version_0/              one for each start: config.yaml, metrics.csv
        tensorboard/version_0/       likewise
"""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    ModelCheckpoint,
    RichProgressBar,
    ThroughputMonitor,
    WeightAveraging,
)
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from songsplit.errors import ConfigError, OutputError
from songsplit.files import whole_file

SCORE = "valid/usdr"
"""What decides which checkpoint is best: uSDR, mean over validation clips and targets."""


def checkpoint_folder(root: str | Path) -> Path:
    """Return the folder for the checkpoints of the run in ``root``."""
    return Path(root) / "checkpoints"


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and statistics, which is validated and saved.

    Averaged weights separate better than those of the last step (Polyak and Juditsky
    1992). With a fixed decay the average holds on to its random start for thousands of
    steps, and normalisation statistics with it; here the decay begins low and rises as
    ``(1 + n) / (10 + n)`` with the number ``n`` of steps averaged.

    Parameters
    ----------
    decay : float
        Highest share of the old average that a step leaves in place.
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"average.decay must be at least 0 and below 1, not {decay}")
        super().__init__()
        self.decay = decay
        self._count = 0
        self._averaged: list[tuple[Tensor, Tensor]] = []
        self._copied: list[tuple[Tensor, Tensor]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average on the device that trains, and list what is averaged."""
        average: Any = self._average_model
        average.to(pl_module.device)
        # Looking at the tensor after each step would make the CPU wait for the GPU.
        self._count = int(average.n_averaged)
        both = list(zip(_tensors(average.module), _tensors(pl_module), strict=True))
        self._averaged = [pair for pair in both if pair[0].is_floating_point()]
        self._copied = [pair for pair in both if not pair[0].is_floating_point()]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **options: Any
    ) -> None:
        """Move the average towards the weights after each optimiser step."""
        if trainer.global_step <= self._latest_update_step:
            return
        n = self._count
        share = min(self.decay, (1 + n) / (10 + n)) if n else 0.0
        averages, weights = zip(*self._averaged, strict=True)
        torch._foreach_lerp_(averages, weights, 1 - share)
        for counter, current in self._copied:
            counter.copy_(current)
        self._average_model.n_averaged += 1  # type: ignore[union-attr]
        self._count += 1
        self._latest_update_step = trainer.global_step


def _tensors(module: torch.nn.Module) -> itertools.chain[Tensor]:
    return itertools.chain(module.parameters(), module.buffers())


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

    It is written every so many steps, before and after each validation, after the last step,
    and when the process gets SIGTERM, as job queues send it before they kill.

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

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, so that no step is lost if the run is stopped during the validation."""
        self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save again, so that what is resumed knows of this validation."""
        super().on_validation_end(trainer, pl_module)
        self._save(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Save after SIGTERM, which Lightning heeds between two batches.

        During a validation the module holds the averaged weights, and within an accumulated
        step some gradients: then what was saved before stands.
        """
        if not isinstance(exception, SIGTERMException):
            return
        exception.code = 128 + signal.SIGTERM  # otherwise a stopped run would look finished
        if not trainer.validating and not trainer.fit_loop._should_accumulate():
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        testing = trainer.fast_dev_run or trainer.sanity_checking  # type: ignore[attr-defined]
        if trainer.state.fn == "fit" and not testing:
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
        """Write a checkpoint, or raise OutputError and leave what was there before."""
        try:
            with whole_file(Path(path)) as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # what torch raises on a full disk
            raise OutputError(f"{path}: cannot be written ({error}): make room") from error


class Snippets(pl.Callback):
    """Lets TensorBoard play how the network separates parts of the first validation clips.

    At each validation an excerpt of each of these clips is separated with the weights that are
    validated, and the estimates are logged, downmixed to mono because TensorBoard plays nothing
    else. The mixture and the references are logged once. Where the trainer has no TensorBoard
    logger nothing is done.

    Parameters
    ----------
    count : int
        Number of clips; 0 switches the snippets off.
    seconds : float
        Length of the excerpts, at most 60: where the first target is loudest. Shorter clips
        are taken whole.
    """

    def __init__(self, count: int = 3, seconds: float = 8.0) -> None:
        if count < 0:
            raise ConfigError(f"snippets.count must be 0 or more, not {count}")
        if not 0 < seconds <= 60:
            raise ConfigError(f"snippets.seconds must be above 0 and at most 60, not {seconds}")
        self.count = count
        self.seconds = seconds
        self._known: set[str] = set()

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Separate and log an excerpt; the averaged weights are in the module by now."""
        loggers = [x for x in trainer.loggers if isinstance(x, TensorBoardLogger)]
        unwanted = trainer.sanity_checking or not trainer.is_global_zero
        if unwanted or not loggers or batch_idx >= self.count:
            return
        model: Any = pl_module.model
        rate, targets = model.config.sample_rate, model.config.targets
        stems = loudest(torch.as_tensor(batch["stems"]), max(1, round(self.seconds * rate)))
        mixture = stems.sum(dim=0)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            estimates = model(mixture[None].to(pl_module.device))[0].float().cpu()
        sounds = {f"{name}_estimate": x for name, x in zip(targets, estimates, strict=True)}
        if batch["name"] not in self._known:
            self._known.add(batch["name"])
            sounds |= {f"{name}_reference": x for name, x in zip(targets, stems, strict=True)}
            sounds["mixture"] = mixture
        # One gain keeps mixture and stems within full scale and comparable.
        gain = 1 / max(1.0, float(mixture.abs().max()), float(stems.abs().max()))
        for logger, (name, sound) in itertools.product(loggers, sounds.items()):
            mono = (sound.mean(dim=0) * gain).nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)
            tag = f"snippets/{batch['name'].replace('/', '-')}/{name}"
            logger.experiment.add_audio(tag, mono, trainer.global_step, sample_rate=rate)


def loudest(stems: Tensor, length: int) -> Tensor:
    """Cut out where the first stem has the most energy, from (targets, channels, samples)."""
    energy = stems[0].double().square().sum(dim=0).cumsum(dim=0)
    energy = torch.nn.functional.pad(energy, (1, 0))
    if length >= stems.shape[-1]:
        return stems
    start = int((energy[length:] - energy[:-length]).argmax())
    return stems[..., start : start + length]


class StepsBar(RichProgressBar):
    """Lightning's bar on standard error; also a resumed run is shown from its first step on."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=4, console_kwargs={"stderr": True})

    @property
    def total_train_batches(self) -> int:
        """Number of batches from the first step of the run to its last."""
        return self.trainer.max_steps * self.trainer.accumulate_grad_batches


class Rates(ThroughputMonitor):
    """Lightning's rates, in training examples and batches, without those of validations."""

    def __init__(self) -> None:
        super().__init__(lambda batch: len(batch.get("same_song", "1")), window_size=20)

    def _compute(self, trainer: pl.Trainer, iter_num: int | None = None) -> None:
        if not trainer.validating:
            super()._compute(trainer, iter_num)
