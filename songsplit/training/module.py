"""The Lightning module: training step, validation on whole clips, optimiser."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from songsplit.data.chunks import Batch, WholeClip
from songsplit.errors import ConfigError, ModelError, TrainingError
from songsplit.evaluation.ratios import frame_sdr, usdr
from songsplit.evaluation.scores import finite_median
from songsplit.inference.engine import stream_stems
from songsplit.inference.runner import Runner
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation import SeparationModel
from songsplit.models.storage import load_weights
from songsplit.training.augment import Augmentation, AugmentConfig
from songsplit.training.checkpoints import CONFIG_KEY, PROVENANCE_KEY
from songsplit.training.losses import LossConfig, SeparationLoss
from songsplit.training.optimizers import Muon
from songsplit.training.provenance import provenance

_DEFAULT_NETWORK = MaskUNetConfig()
_DEFAULT_AUGMENT = AugmentConfig()
_DEFAULT_LOSS = LossConfig()


_ADVICE = (
    "go on from the last checkpoint with a lower model.learning_rate, a smaller "
    "trainer.gradient_clip_val or trainer.precision 32-true"
)


class SeparationTraining(pl.LightningModule):
    """Train a :class:`~songsplit.models.separation.SeparationModel`.

    Parameters
    ----------
    model : MaskUNetConfig
        The network.
    augment : AugmentConfig
        How training examples are mixed and changed.
    loss : LossConfig
        What is minimised.
    optimizer : {"adamw", "muon"}
        AdamW, or :class:`~songsplit.training.optimizers.Muon`.
    learning_rate : float
        Its peak.
    weight_decay : float
    warmup_steps : int
        Steps over which the learning rate rises to its peak.
    decay_share : float
        Share of all steps, at the end, over which it falls to zero along a half cosine.
    init_from : str or None
        Weights file to start from.
    compile : bool
        Whether to compile the network with torch.compile, which takes minutes at the
        beginning and pays in long runs on a GPU.
    """

    def __init__(
        self,
        model: MaskUNetConfig = _DEFAULT_NETWORK,
        augment: AugmentConfig = _DEFAULT_AUGMENT,
        loss: LossConfig = _DEFAULT_LOSS,
        optimizer: Literal["adamw", "muon"] = "adamw",
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 100,
        decay_share: float = 0.5,
        init_from: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if learning_rate <= 0 or weight_decay < 0 or warmup_steps < 0:
            raise ConfigError(
                "model.learning_rate must be above zero, "
                "model.weight_decay and model.warmup_steps zero or more"
            )
        if not 0 <= decay_share <= 1:
            raise ConfigError(f"model.decay_share must lie between 0 and 1, not {decay_share}")
        self.config = model
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.decay_share = decay_share
        self.settings = {
            "augmentation": asdict(augment),
            "loss": asdict(loss),
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "decay_share": decay_share,
        }
        self.init_from: dict[str, str] | None = None
        if init_from is None:
            self.model = SeparationModel(model)
        else:
            stored = load_weights(init_from)
            _refuse_other_network(init_from, stored.model.config, model)
            self.model = stored.model.train()
            self.init_from = {"file": Path(init_from).name, "sha256": stored.digest}
        # Convolutions on CPUs and tensor cores are fastest with channels stored last.
        self.model.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compile:
            self.model.unet.compile()
        self.augmentation = Augmentation(
            augment, model.targets, model.sample_rate, model.n_fft, model.hop_length
        )
        self.loss = SeparationLoss(loss, self.model.stft)
        self._scores: dict[str, NDArray[np.float64]] = {}
        self._validation: dict[str, float] = {}
        self._first_bad: Tensor | None = None

    @torch.no_grad()
    def examples(self, batch: Batch) -> Tensor:
        """Mix and augment a batch.

        Parameters
        ----------
        batch : Batch

        Returns
        -------
        Tensor of complex64, shape (batch, targets, 2, bins, frames)
            Spectrograms of the targets, which add up to that of the mixture.
        """
        generator = torch.Generator().manual_seed(batch["seed"])
        parts = batch["parts"] * batch["scales"][:, :, None, None]
        stems = self.augmentation.stems(
            parts, batch["same_song"], generator, batch["samples"], batch["present"]
        )
        return self.augmentation.spectrograms(self.model.stft(stems), batch["bandwidth"], generator)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        targets = self.examples(batch)
        mixture = targets.sum(dim=1)
        if len(self.config.targets) == 2 and not self.loss.config.magnitude:
            # Masks add up to one, so the errors of the two targets are each other's negative.
            masks, targets = self.model.foreground_masks(mixture), targets[:, :1]
        else:
            masks = self.model.masks(mixture)
        mixture = mixture[:, :, : self.config.bins]
        targets = targets[:, :, :, : self.config.bins]
        losses = self.loss(masks * mixture.unsqueeze(1), targets, mixture, batch["samples"])
        loss: Tensor = losses["loss"]
        self._watch(loss.detach(), batch["number"])
        for name in losses if len(losses) > 2 else ("loss",):
            self.log(f"train/{name}", losses[name], prog_bar=name == "loss", batch_size=1)
        return loss

    def validation_step(self, batch: WholeClip, batch_index: int) -> None:
        """Separate one whole clip and keep its SDR."""
        references = np.asarray(batch["stems"])
        if references.shape[-1] == 0:
            return  # other ranks have one clip more
        # In chunks as users get it, so that songs of any length fit.
        runner = Runner(self.model, self.device, shared=True)
        blocks = stream_stems(runner, [references.sum(axis=0)], self.config.sample_rate, channels=2)
        try:
            estimates = np.concatenate(list(blocks), axis=-1)
        except ModelError as error:
            self._raise_if_bad()
            raise TrainingError(f"{error}, after step {self.global_step}: {_ADVICE}") from error
        second = self.config.sample_rate
        frames = frame_sdr(references, estimates, window=second, hop=second)
        medians = [finite_median(values) for values in frames]
        clip = usdr(references, estimates)
        # Against silence there is no ratio, only a number that would drown all others.
        clip[~references.any(axis=(1, 2))] = np.nan
        self._scores[batch["name"]] = np.array([medians, clip])

    def on_validation_epoch_end(self) -> None:
        """Log the scores over the clips of all ranks."""
        scores = self._gathered_scores()
        self._scores = {}
        frame_medians, clip_scores = np.moveaxis(np.stack(list(scores.values())), 1, 0)
        found = {"valid/usdr": _mean(clip_scores)}
        for column, target in enumerate(self.config.targets):
            found[f"valid/{target}_sdr"] = finite_median(frame_medians[:, column])
            found[f"valid/{target}_usdr"] = _mean(clip_scores[:, column])
        # A song whose vocals are silent has no frame to score; NaN would only confuse.
        found = {name: score for name, score in found.items() if math.isfinite(score)}
        # On all ranks: what stops early or saves the best must decide alike everywhere.
        self.log_dict(found)
        if not self.trainer.sanity_checking:
            self._validation = {**found, "step": self.global_step}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the network's settings and its history beside its weights, for the export."""
        self._raise_if_bad()
        if not all(bool(weight.isfinite().all()) for weight in self.parameters()):
            raise TrainingError(
                f"after step {self.global_step} the weights are no longer finite: {_ADVICE}"
            )
        checkpoint[CONFIG_KEY] = self.config.to_json()
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        made_from = provenance(
            data=data.provenance(),
            settings={
                **self.settings,
                "seed": data.seed,
                "max_steps": self.trainer.max_steps,
                "chunk_samples": data.chunk_samples,
                "batch_size": data.batch_size * self.trainer.world_size,
                "sampling": asdict(data.sampling),
            },
            validation=self._validation,
            init_from=self.init_from,
        )
        checkpoint[PROVENANCE_KEY] = json.dumps(made_from)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse checkpoints of another network, and take over what was measured."""
        if CONFIG_KEY not in checkpoint:
            raise ConfigError("ckpt_path is no checkpoint of a songsplit training run")
        _refuse_other_network(
            "ckpt_path", MaskUNetConfig.from_json(checkpoint[CONFIG_KEY]), self.config
        )
        made_from = json.loads(checkpoint.get(PROVENANCE_KEY, "{}"))
        self._validation = made_from.get("validation", {})
        self.init_from = made_from.get("init_from")

    def configure_optimizers(self) -> Any:
        """Make the optimiser; the learning rate rises, stays, and falls to zero."""
        matrices = [p for p in self.parameters() if p.ndim > 1]
        plain: dict[str, Any] = {
            "params": [p for p in self.parameters() if p.ndim <= 1],
            "weight_decay": 0.0,
        }
        rate, decay = self.learning_rate, self.weight_decay
        optimizer: torch.optim.Optimizer
        if self.optimizer == "muon":
            # The last layer gives masks, not what another layer takes in.
            last = self.model.unet.head.weight
            hidden = [p for p in matrices if p is not last]
            first: dict[str, Any] = {"params": hidden, "orthogonal": True}
            optimizer = Muon([first, {"params": [last]}, plain], lr=rate, weight_decay=decay)
        else:
            optimizer = torch.optim.AdamW(
                [{"params": matrices}, plain], lr=rate, weight_decay=decay
            )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_start(self) -> None:
        """Let the config decide on the learning rate also where a checkpoint holds another."""
        (optimizer,) = self.trainer.optimizers
        (schedule,) = self.trainer.lr_scheduler_configs
        factor = self._learning_rate_factor(self.global_step)
        schedule.scheduler.base_lrs = [self.learning_rate] * len(optimizer.param_groups)
        for group in optimizer.param_groups:
            group["initial_lr"] = self.learning_rate
            group["lr"] = self.learning_rate * factor
            decayed = all(p.ndim > 1 for p in group["params"])
            group["weight_decay"] = self.weight_decay if decayed else 0.0

    def _learning_rate_factor(self, step: int) -> float:
        total = self.trainer.max_steps
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        left = (total - step) / max(1, round(total * self.decay_share))
        return rise * (1 - math.cos(math.pi * max(0.0, min(1.0, left)))) / 2

    def _watch(self, loss: Tensor, number: int) -> None:
        """Remember the first batch whose loss is no number."""
        bad = torch.where(loss.isfinite(), -1, number)
        known = self._first_bad
        self._first_bad = bad if known is None else torch.where(known >= 0, known, bad)
        # Looking at the value makes the CPU wait for the GPU: rarely, but before each save.
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if loss.device.type == "cpu" or self.global_step % every == 0:
            self._raise_if_bad()

    def _raise_if_bad(self) -> None:
        number = -1 if self._first_bad is None else int(self._first_bad)
        if number < 0:
            return
        batches = self.trainer.datamodule.train_batches()  # type: ignore[attr-defined]
        examples = "".join(f"\n  {line}" for line in batches.describe(number))
        raise TrainingError(
            f"the loss of batch {number} is not finite: {_ADVICE}. The batch was made of{examples}"
        )

    def _gathered_scores(self) -> dict[str, NDArray[np.float64]]:
        if self.trainer.world_size == 1:
            return self._scores
        shares: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(shares, self._scores)
        return {name: score for share in shares for name, score in share.items()}


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of the values that are finite; NaN if there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else math.nan


def _refuse_other_network(name: str, found: MaskUNetConfig, wanted: MaskUNetConfig) -> None:
    for field in fields(MaskUNetConfig):
        there, here = getattr(found, field.name), getattr(wanted, field.name)
        if there != here:
            raise ConfigError(
                f"{name} holds a network with {field.name} = {there}, but the config sets "
                f"model.model.{field.name} to {here}: make the two agree"
            )
