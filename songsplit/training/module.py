"""The Lightning module: training step, validation on whole clips, optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from songsplit.errors import ConfigError
from songsplit.evaluation.metrics import usdr
from songsplit.inference.engine import stream_stems
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation import SeparationModel
from songsplit.models.storage import load_weights
from songsplit.training.augment import RandomEqualizer, limit_band
from songsplit.training.losses import complex_l1

CONFIG_KEY = "songsplit_config"
_DEFAULT_NETWORK = MaskUNetConfig()


class SeparationTraining(pl.LightningModule):
    """Train a :class:`~songsplit.models.separation.SeparationModel`.

    Parameters
    ----------
    model : MaskUNetConfig
        The network. Its targets must be vocals and instrumental.
    learning_rate : float
        Peak learning rate of AdamW.
    weight_decay : float
    warmup_steps : int
        Steps over which the learning rate rises to its peak.
    decay_share : float
        Share of all steps, at the end, over which it falls linearly to zero.
    equalizer_share : float
        Share of stems that get a random equaliser curve.
    init_from : str or None
        Weights file to start from.
    """

    def __init__(
        self,
        model: MaskUNetConfig = _DEFAULT_NETWORK,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 100,
        decay_share: float = 0.4,
        equalizer_share: float = 0.5,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        if model.targets != ("vocals", "instrumental"):
            raise ConfigError("training knows only the targets vocals and instrumental so far")
        self.config = config = model
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.decay_share = decay_share
        if init_from is None:
            self.model = SeparationModel(config)
        else:
            self.model = load_weights(init_from).model.train()
            if self.model.config != config:
                raise ConfigError(f"{init_from} holds a model with other settings")
        # Convolutions on CPUs and tensor cores are fastest with channels stored last.
        self.model.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.equalizer = RandomEqualizer(
            config.sample_rate, self.model.stft.bins, equalizer_share, deviation=4.0
        )
        self._scores: list[NDArray[np.float64]] = []

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Return the loss of a batch of stems, each of shape (batch, 2, samples)."""
        stft, rate = self.model.stft, self.config.sample_rate
        vocals = self.equalizer(stft(batch["vocals"]))
        backing = self.equalizer(stft(batch["instrumental"]))
        vocals = limit_band(vocals, batch["bandwidth"], rate)
        backing = limit_band(backing, batch["bandwidth"], rate)
        mixture = vocals + backing
        mask = self.model.masks(mixture)[:, 0]
        band = slice(0, self.config.bins)
        mixture = mixture[:, :, band]
        # Masks add up to one, so the instrumental's error is the same.
        loss = complex_l1(mask * mixture, vocals[:, :, band], mixture)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(vocals))
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Separate one whole clip and keep its SDR."""
        references = torch.cat([batch["vocals"], batch["instrumental"]]).float().cpu().numpy()
        mixture = references.sum(axis=0)
        # In chunks as users get it, so that songs of any length fit.
        blocks = stream_stems(self.model, [mixture], self.config.sample_rate, channels=2)
        self._scores.append(usdr(references, np.concatenate(list(blocks), axis=-1)))

    def on_validation_epoch_end(self) -> None:
        """Log median and mean over the clips of the SDR of whole clips."""
        scores = np.array(self._scores)
        self._scores.clear()
        for column, target in enumerate(("vocals", "instrumental")):
            values = scores[:, column]
            self.log(f"valid/{target}_usdr_median", float(np.median(values)), prog_bar=True)
            self.log(f"valid/{target}_usdr_mean", float(np.mean(values)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the network's settings beside its weights, for the export."""
        checkpoint[CONFIG_KEY] = self.config.to_json()

    def configure_optimizers(self) -> Any:
        """AdamW; learning rate rises, stays, and falls to zero."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        plain = [p for p in self.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, weight_decay=self.weight_decay)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _learning_rate_factor(self, step: int) -> float:
        total = int(self.trainer.estimated_stepping_batches)
        left = (total - step) / max(1, round(total * self.decay_share))
        return max(0.0, min(1.0, (step + 1) / max(1, self.warmup_steps), left))
