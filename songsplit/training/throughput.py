"""How fast a training run is, what it waits for, and how large its gradients are."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from songsplit.errors import ConfigError


class Throughput(pl.Callback):
    """Log speed, gradient norm and learning rate every ``log_every_n_steps`` steps.

    The values go to every logger of the trainer, together with the loss of that step:

    ``train/audio_seconds_per_second``
        Seconds of audio trained on per second of wall time since the values were last
        logged, over all devices.
    ``train/data_wait_share``
        Share of that time, in [0, 1], from the end of a batch to the arrival of the
        next. Much above 0.05 the loader is what limits the speed.
    ``train/gradient_norm``
        Euclidean norm of all gradients before clipping. With 16-bit floats and their
        loss scaling, of the unscaled gradients; it is infinite in steps that overflow.
    ``train/learning_rate``
        That of the step, for the optimizer's first group of parameters.

    The first batch, validations and checkpoints do not count as wall time. The device is
    only waited for in steps that are logged.

    Notes
    -----
    What other callbacks do at the end of a batch counts as waiting for data if they come
    later in the trainer's list, so this one had better come last.
    """

    def __init__(self) -> None:
        self._batch_seconds = 0.0
        self._warm = False
        self._start = 0.0
        self._end: float | None = None  # None where the wait since then does not count
        self._values: dict[str, float | Tensor] = {}
        self._clear()

    def _clear(self) -> None:
        self._batches, self._wait, self._wall = 0, 0.0, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find out how much audio a batch is.

        Raises
        ------
        ConfigError
            If the data module does not tell.
        """
        data: Any = getattr(trainer, "datamodule", None)
        try:
            seconds = data.batch_size * data.chunk_samples / _sample_rate(pl_module)
        except AttributeError as error:
            raise ConfigError(
                f"Throughput needs batch_size and chunk_samples of the data module and the "
                f"sample rate of the model ({error}): leave the callback out"
            ) from error
        self._batch_seconds = seconds * trainer.world_size
        self._warm, self._end = False, None
        self._values.clear()
        self._clear()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note when the batch arrived."""
        self._start = monotonic()
        if self._end is not None:
            self._wait += self._start - self._end
            self._wall += self._start - self._end

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Take norm and learning rate: gradients are unscaled by now and not yet clipped."""
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every == 0 or (trainer.global_step + 1) % every != 0:
            return
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        gradients = [p.grad for p in parameters if p.grad is not None]
        self._values = {
            "train/gradient_norm": get_total_norm(gradients),
            "train/learning_rate": float(optimizer.param_groups[0]["lr"]),
        }

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the batch, and log if its step is one to log."""
        if self._values:
            # Logging waits for the device; that is no wait for data.
            _synchronize(pl_module.device)
        self._end = monotonic()
        if self._warm:
            self._wall += self._end - self._start
            self._batches += 1
        self._warm = True
        if self._values:
            if self._batches and self._wall > 0:
                audio = self._batches * self._batch_seconds
                self._values["train/audio_seconds_per_second"] = audio / self._wall
                self._values["train/data_wait_share"] = self._wait / self._wall
            pl_module.log_dict(self._values)
            self._values = {}
            self._clear()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the time until the next batch out."""
        self._end = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Leave the time until the next batch out."""
        self._end = None


def _sample_rate(pl_module: pl.LightningModule) -> int:
    model: Any = pl_module.model
    return int(model.config.sample_rate)


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
