"""The Lightning module: training step, validation on whole clips, and optimiser."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, NonNegativeInt, PositiveFloat
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import LambdaLR

import songsplit
from songsplit.augmentation import Augmentation, AugmentConfig
from songsplit.data.datamodule import StemDataModule
from songsplit.data.sampling import Batch, WholeClip
from songsplit.errors import ConfigError, ModelError, TrainingError
from songsplit.evaluation.bss_eval import finite_median, frame_sdr, usdr
from songsplit.inference.pipeline import stream_stems
from songsplit.inference.torch_engine import TorchEngine
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation_model import SeparationModel
from songsplit.models.weights import load_weights
from songsplit.training.export import CONFIG_KEY, NETWORK_KEY, PROVENANCE_KEY
from songsplit.training.losses import LossConfig, SeparationLoss
from songsplit.training.optimizers import Muon

_DEFAULT_AUGMENT = AugmentConfig()
_OPTIONS = ("optimizer", "learning_rate", "weight_decay", "warmup_steps", "decay_share")

_ADVICE = (
    "continue from the last checkpoint with a lower model.learning_rate, a smaller "
    "trainer.gradient_clip_val or trainer.precision 32-true"
)


class SeparationTraining(pl.LightningModule):
    """Trains a :class:`~songsplit.models.separation_model.SeparationModel`.

    Parameters
    ----------
    model : MaskUNetConfig or nn.Module, optional
        Settings of the MaskUNet, or another network. The latter maps powers (batch, 4,
        config.bins, frames) to masks (batch, targets - 1, 2, config.bins, frames) in [0, 1], and
        its attribute ``config``, a MaskUNetConfig, describes targets, sample rate and STFT.
    augment : AugmentConfig
        Settings of the augmentation.
    loss : LossConfig or nn.Module, optional
        Weights of the losses of :class:`~songsplit.training.losses.SeparationLoss`, or a module
        with the same arguments that returns the same dictionary or only the loss.
    optimizer : {"adamw", "muon"}
        AdamW, or :class:`~songsplit.training.optimizers.Muon`.
    learning_rate : float
        Peak of the learning rate.
    weight_decay : float
    warmup_steps : int
        Steps of the rise of the learning rate to its peak.
    decay_share : float
        Share of all steps, at the end, over which the learning rate falls to zero along a half
        cosine; 0 for a run of unknown length. A resumed run uses the value of its config, so a
        decay can begin at any time.
    init_from : str or None
        Weights file to start from.
    compile : bool
        Whether to compile the network with torch.compile, which takes minutes at the start and
        speeds up long runs on a GPU.
    """

    def __init__(
        self,
        model: MaskUNetConfig | nn.Module | None = None,
        augment: AugmentConfig = _DEFAULT_AUGMENT,
        loss: LossConfig | nn.Module | None = None,
        optimizer: Literal["adamw", "muon"] = "adamw",
        learning_rate: PositiveFloat = 2e-3,
        weight_decay: NonNegativeFloat = 1e-2,
        warmup_steps: NonNegativeInt = 100,
        decay_share: ClosedUnitInterval = 0.5,
        init_from: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        network = model if isinstance(model, nn.Module) else None
        config = getattr(network, "config", None) if network else model or MaskUNetConfig()
        if not isinstance(config, MaskUNetConfig):
            raise ConfigError(
                f"model.model: {type(network).__name__} needs an attribute config, a "
                "MaskUNetConfig that describes targets, sample rate and STFT"
            )
        self.config = config
        self.network = None if network is None else _class_path(network)
        self.optimizer = optimizer
        # Plain numbers, because jsonargparse's types would be pickled into checkpoints.
        self.learning_rate = float(learning_rate)
        self.weight_decay = float(weight_decay)
        self.warmup_steps = int(warmup_steps)
        self.decay_share = float(decay_share)
        loss = loss or LossConfig()
        self._made_from = {
            "songsplit": songsplit.__version__,
            "commit": _commit(),
            "augmentation": asdict(augment),
            "loss": asdict(loss) if isinstance(loss, LossConfig) else _class_path(loss),
        }
        self.init_from: dict[str, str] | None = None
        if init_from is None:
            self.model = SeparationModel(config, network)
        else:
            if network is not None:
                raise ConfigError(
                    "model.init_from needs a MaskUNet: leave it out for other networks"
                )
            stored = load_weights(init_from)
            _refuse_other_network(init_from, stored.model.config, config)
            self.model = stored.model.train()
            self.init_from = {"file": Path(init_from).name, "sha256": stored.digest}
        # Convolutions on CPUs and tensor cores are fastest with channels last in memory.
        self.model.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compile:
            self.model.unet.compile()
        self.augmentation = Augmentation(
            augment, config.targets, config.sample_rate, self.model.stft.bins
        )
        self.loss: nn.Module = (
            SeparationLoss(loss, self.model.stft) if isinstance(loss, LossConfig) else loss
        )
        # Two masks add up to one, so the errors of two targets differ only in sign.
        self._foreground_only = len(config.targets) == 2 and isinstance(loss, LossConfig)
        self._scores: dict[str, NDArray[np.float64]] = {}
        self._validation: dict[str, float] = {}
        self._former_data: dict[str, Any] = {}
        self._first_bad: Tensor | None = None

    @torch.no_grad()
    def examples(self, batch: Batch) -> Tensor:
        """Return spectrograms of targets, complex64 (batch, targets, 2, bins, frames)."""
        generator = torch.Generator().manual_seed(batch["seed"])
        # The batch holds only the parts that are present.
        present, packed = batch["present"], batch["parts"]
        parts = torch.zeros((*present.shape, *packed.shape[1:]), device=packed.device)
        parts[present] = packed * batch["scales"][present][:, None, None]
        stems = self.augmentation.stems(
            parts, batch["same_song"], generator, batch["samples"], present
        )
        return self.augmentation.spectrograms(self.model.stft(stems), batch["bandwidth"], generator)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        targets = self.examples(batch)
        mixture = targets.sum(dim=1)
        if self._foreground_only:
            masks, targets = self.model.foreground_masks(mixture), targets[:, :1]
        else:
            masks = self.model.masks(mixture)
        mixture = mixture[:, :, : self.config.bins]
        targets = targets[:, :, :, : self.config.bins]
        if masks.shape != targets.shape:
            shapes = f"{(*masks.shape,)} instead of {(*targets.shape,)}"
            raise ConfigError(f"model.model: the masks of {self.network} have the shape {shapes}")
        losses = self.loss(masks * mixture.unsqueeze(1), targets, mixture, batch["samples"])
        if isinstance(losses, Tensor):
            losses = {"loss": losses}
        loss: Tensor = losses["loss"]
        self._watch(loss.detach(), batch["number"])
        for name in losses if len(losses) > 2 else ("loss",):
            self.log(f"train/{name}", losses[name], prog_bar=name == "loss", batch_size=1)
        return loss

    def validation_step(self, batch: WholeClip, batch_index: int) -> None:
        """Separate a whole clip and keep its SDR."""
        references = np.asarray(batch["stems"])
        if references.shape[-1] == 0:
            return  # other ranks have one more clip
        # Separate in chunks, as for users, so that songs of any length fit into memory.
        engine = TorchEngine(self.model, self.device, shared=True)
        blocks = stream_stems(engine, [references.sum(axis=0)], self.config.sample_rate, channels=2)
        try:
            estimates = np.concatenate(list(blocks), axis=-1)
        except ModelError as error:
            self._raise_if_bad()
            raise TrainingError(f"{error}, after step {self.global_step}: {_ADVICE}") from error
        second = self.config.sample_rate
        frames = frame_sdr(references, estimates, window=second, hop=second)
        medians = [finite_median(values) for values in frames]
        self._scores[batch["name"]] = np.array([medians, usdr(references, estimates)])

    def on_validation_epoch_end(self) -> None:
        """Log the scores over the clips of all ranks."""
        shares: list[Any] = [self._scores]
        if self.trainer.world_size > 1:
            shares *= self.trainer.world_size
            torch.distributed.all_gather_object(shares, self._scores)
        scores = {name: score for share in shares for name, score in share.items()}
        self._scores = {}
        frame_medians, clip_scores = np.moveaxis(np.stack(list(scores.values())), 1, 0)
        found = {"valid/usdr": _mean(clip_scores)}
        for column, target in enumerate(self.config.targets):
            found[f"valid/{target}_sdr"] = finite_median(frame_medians[:, column])
            found[f"valid/{target}_usdr"] = _mean(clip_scores[:, column])
        # Leave out NaN, for example of songs with silent vocals, which have no scored frame.
        found = {name: score for name, score in found.items() if math.isfinite(score)}
        # Log on all ranks, so that early stopping and checkpoints decide equally.
        self.log_dict(found, sync_dist=True)
        words = [f"{name.removeprefix('valid/')} {value:.2f}" for name, value in found.items()]
        self.print(f"step {self.global_step}: {', '.join(words)} dB")
        self._validation = {**found, "step": self.global_step}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the settings and provenance of the network to the checkpoint, for the export."""
        self._raise_if_bad()
        if not all(bool(weight.isfinite().all()) for weight in self.parameters()):
            raise TrainingError(
                f"after step {self.global_step} the weights are no longer finite: {_ADVICE}"
            )
        checkpoint[CONFIG_KEY] = self.config.to_json()
        if self.network is not None:
            checkpoint[NETWORK_KEY] = self.network
        made_from = {
            **self._made_from,
            **{name: getattr(self, name) for name in _OPTIONS},
            "max_steps": self.trainer.max_steps,
            "validation": self._validation,
            "init_from": self.init_from,
            "data": self._former_data,
        }
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, StemDataModule):
            made_from |= {
                "data": {**self._former_data, **data.provenance()},
                "seed": data.seed,
                "chunk_samples": data.chunk_samples,
                "batch_size": data.batch_size * self.trainer.world_size,
                "sampling": asdict(data.sampling),
            }
        checkpoint[PROVENANCE_KEY] = json.dumps(made_from)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse checkpoints of another network, and restore scores and provenance."""
        if CONFIG_KEY not in checkpoint:
            raise ConfigError("ckpt_path is not a checkpoint of a songsplit training run")
        if checkpoint.get(NETWORK_KEY) != self.network:
            raise ConfigError("ckpt_path holds a network of another class than model.model")
        _refuse_other_network(
            "ckpt_path", MaskUNetConfig.from_json(checkpoint[CONFIG_KEY]), self.config
        )
        made_from = json.loads(checkpoint.get(PROVENANCE_KEY, "{}"))
        self._validation = made_from.get("validation", {})
        # The provenance includes data of earlier runs.
        self._former_data = made_from.get("data", {})
        self.init_from = made_from.get("init_from")

    def configure_optimizers(self) -> Any:
        """Create the optimiser and the schedule: the learning rate rises, stays, falls to zero."""
        matrices = {name: p for name, p in self.named_parameters() if p.ndim > 1}
        plain = {"params": [p for p in self.parameters() if p.ndim <= 1], "weight_decay": 0.0}
        options: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        optimizer: torch.optim.Optimizer
        groups: list[dict[str, Any]]
        if self.optimizer == "muon":
            # Muon is for hidden layers, so the last layer gets AdamW steps.
            last = [matrices.pop(name) for name in [*matrices] if name == "model.unet.head.weight"]
            hidden = {"params": list(matrices.values()), "orthogonal": True}
            groups = [hidden, {"params": last}, plain]
            optimizer = Muon(groups, **options)
        else:
            groups = [{"params": list(matrices.values())}, plain]
            optimizer = torch.optim.AdamW(groups, **options)
        schedule = {
            "scheduler": LambdaLR(optimizer, self._learning_rate_factor),
            "interval": "step",
            "name": "train/learning_rate",
        }
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the norm of the gradients before they are clipped."""
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.global_step + 1) % every == 0:
            gradients = [p.grad for p in self.parameters() if p.grad is not None]
            self.log("train/gradient_norm", get_total_norm(gradients))

    def on_train_start(self) -> None:
        """Use the learning rate of the config instead of that of the checkpoint."""
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
        rise: float = min(1.0, (step + 1) / max(1, self.warmup_steps))
        left = (total - step) / max(1, round(total * self.decay_share))
        return rise * (1 - math.cos(math.pi * max(0.0, min(1.0, left)))) / 2

    def _watch(self, loss: Tensor, number: int) -> None:
        """Remember the first batch whose loss is not finite."""
        bad = torch.where(loss.isfinite(), -1, number)
        known = self._first_bad
        self._first_bad = bad if known is None else torch.where(known >= 0, known, bad)
        # Reading the value makes the CPU wait for the GPU, so it is read rarely and before saves.
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if loss.device.type == "cpu" or self.global_step % every == 0:
            self._raise_if_bad()

    def _raise_if_bad(self) -> None:
        number = -1 if self._first_bad is None else int(self._first_bad)
        if number < 0:
            return
        text = f"the loss of batch {number} is not finite: {_ADVICE}"
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, StemDataModule):
            examples = data.train_batches().describe(number)
            text += ". The batch was made of" + "".join(f"\n  {line}" for line in examples)
        raise TrainingError(text)


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the finite values; NaN if there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else math.nan


def _class_path(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _commit() -> str | None:
    """Return the commit of the checkout, with a mark for uncommitted changes."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists() or shutil.which("git") is None:
        return None  # an installed package
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None


def _refuse_other_network(name: str, found: MaskUNetConfig, wanted: MaskUNetConfig) -> None:
    for field in fields(MaskUNetConfig):
        there, here = getattr(found, field.name), getattr(wanted, field.name)
        if there != here:
            raise ConfigError(
                f"{name} holds a network with {field.name} = {there}, but the config sets "
                f"model.model.{field.name} to {here}: use the same value"
            )
