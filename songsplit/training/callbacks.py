"""Callbacks of a training run: moving average, checkpoints, excerpts and progress bar."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt
from pytorch_lightning.callbacks import (
    ModelCheckpoint,
    RichProgressBar,
    WeightAveraging,
)
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from songsplit.errors import OutputError
from songsplit.files import whole_file

SCORE = "valid/usdr"  # score of the best checkpoint: mean uSDR over validation clips and targets
_SNIPPET_SECONDS = 8


def checkpoint_folder(root: str | Path) -> Path:
    """Return the folder of the checkpoints of the run in ``root``."""
    return Path(root) / "checkpoints"


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and statistics, which is validated and saved.

    Averaged weights separate better than those of the last step (Polyak and Juditsky 1992). The
    decay begins low and rises as ``(1 + n) / (10 + n)`` with the number ``n`` of averaged steps, so
    that the average soon forgets its random start.

    Parameters
    ----------
    decay : float
        Maximum share of the old average after a step.
    """

    def __init__(self, decay: ClosedUnitInterval = 0.998) -> None:
        super().__init__()
        self.decay = float(decay)
        self._count = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average to the training device."""
        average: Any = self._average_model
        average.to(pl_module.device)
        # Reading the tensor after each step would make the CPU wait for the GPU.
        self._count = int(average.n_averaged)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **options: Any
    ) -> None:
        """Update the average after each optimiser step."""
        if trainer.global_step <= self._latest_update_step:
            return
        average: Any = self._average_model
        pairs = list(zip(_tensors(average.module), _tensors(pl_module), strict=True))
        averages, weights = zip(*(x for x in pairs if x[0].is_floating_point()), strict=True)
        n = self._count
        share = min(self.decay, (1 + n) / (10 + n)) if n else 0.0
        torch._foreach_lerp_(averages, weights, 1 - share)
        for counter, current in pairs:
            if not counter.is_floating_point():
                counter.copy_(current)
        average.n_averaged += 1
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
    """Keeps the state for resuming as ``last.ckpt``.

    The file is written every `every_steps` steps, before and after each validation, after the last
    step, and on Ctrl-C or SIGTERM, which job queues send before they kill a job.

    Parameters
    ----------
    every_steps : int
        Interval in steps; a killed run loses at most this many steps.
    """

    def __init__(self, every_steps: PositiveInt = 500) -> None:
        self.every_steps = int(every_steps)
        self._stopped_by = signal.SIGTERM
        super().__init__("last", every_n_train_steps=self.every_steps)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make Ctrl-C stop a single process between two batches, as SIGTERM does."""

        def stop(number: int, frame: object) -> None:
            rank_zero_info("\nstopping after this step; press Ctrl-C again to stop without saving")
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._stopped_by = signal.SIGINT
            signal.raise_signal(signal.SIGTERM)

        super().on_train_start(trainer, pl_module)
        alone = trainer.world_size == 1 and threading.current_thread() is threading.main_thread()
        if alone and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, stop)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **options: Any
    ) -> None:
        """Save every `every_steps` steps and after the last step."""
        super().on_train_batch_end(trainer, pl_module, *arguments, **options)
        step = trainer.global_step
        if step == trainer.max_steps and step % self.every_steps:
            self._save(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, so that a run stopped during the validation loses no step."""
        self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save again, so that a resumed run includes this validation."""
        super().on_validation_end(trainer, pl_module)
        self._save(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Save after Ctrl-C or SIGTERM, which Lightning handles between two batches.

        Do not save during a validation, when the module holds the averaged weights, or within an
        accumulated step, when it holds gradients: the previous checkpoint remains.
        """
        if not isinstance(exception, SIGTERMException):
            return
        exception.code = 128 + self._stopped_by  # the exit status of a stopped run
        if not trainer.validating and not trainer.fit_loop._should_accumulate():
            self._save(trainer)
        rank_zero_info("stopped; add --ckpt_path last to the same command to continue")

    def _save(self, trainer: pl.Trainer) -> None:
        testing = trainer.fast_dev_run or trainer.sanity_checking  # type: ignore[attr-defined]
        if trainer.state.fn == "fit" and not testing:
            self.last_model_path = str(checkpoint_folder(trainer.default_root_dir) / "last.ckpt")
            trainer.save_checkpoint(self.last_model_path, weights_only=False)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints to a file in the same folder, which is renamed when it is complete.

    Lightning writes to the temporary folder, from which a move to another disk is not atomic.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint, or raise OutputError and keep the old file."""
        try:
            with whole_file(Path(path)) as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # torch raises this on a full disk
            raise OutputError(f"{path}: cannot be written ({error}): free some space") from error


class Snippets(pl.Callback):
    """Logs separated excerpts of the first validation clips to TensorBoard.

    Each validation logs the estimates of an excerpt of each clip, in mono because TensorBoard plays
    only mono. The mixture and the references are logged once.

    Parameters
    ----------
    count : int
        Number of clips; 0 disables the snippets.
    """

    def __init__(self, count: NonNegativeInt = 3) -> None:
        self.count = count
        self._known: set[str] = set()

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **options: Any
    ) -> None:
        """Separate and log an excerpt with the averaged weights, which the module now holds."""
        batch, number = arguments[:2]
        loggers = [x for x in trainer.loggers if isinstance(x, TensorBoardLogger)]
        if number >= self.count or not loggers or not trainer.is_global_zero:
            return
        model: Any = pl_module.model
        rate, targets = model.config.sample_rate, model.config.targets
        stems = _loudest(torch.as_tensor(batch["stems"]), _SNIPPET_SECONDS * rate)
        mixture = stems.sum(dim=0)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            estimates = model(mixture[None].to(pl_module.device))[0].float().cpu()
        sounds = {f"{name}_estimate": x for name, x in zip(targets, estimates, strict=True)}
        if batch["name"] not in self._known:
            self._known.add(batch["name"])
            sounds |= {f"{name}_reference": x for name, x in zip(targets, stems, strict=True)}
            sounds["mixture"] = mixture
        # One gain keeps mixture and stems within full scale and their levels comparable.
        gain = 1 / max(1.0, float(mixture.abs().max()), float(stems.abs().max()))
        for name, sound in sounds.items():
            mono = (sound.mean(dim=0) * gain).nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)
            tag = f"snippets/{batch['name'].replace('/', '-')}/{name}"
            loggers[0].experiment.add_audio(tag, mono, trainer.global_step, sample_rate=rate)


def _loudest(stems: Tensor, length: int) -> Tensor:
    """Cut out the part of (targets, channels, samples) with the loudest first stem."""
    energy = stems[0].double().square().sum(dim=0).cumsum(dim=0)
    gained = energy[length:] - energy[:-length]
    start = int(gained.argmax()) + 1 if len(gained) else 0
    return stems[..., start : start + length]


class StepsBar(RichProgressBar):
    """Lightning's bar on standard error; a resumed run is counted from its first step."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=4, console_kwargs={"stderr": True})

    @property
    def total_train_batches(self) -> int:
        """Number of batches from the first step of the run to the last."""
        return self.trainer.max_steps * self.trainer.accumulate_grad_batches
