"""A training run small enough for tests of what watches it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from tests.models.tiny import tiny_model

RATE = 8000


class Endless(IterableDataset[Tensor]):
    """Noise, as stems of shape (2, 2, samples)."""

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(0)
        while True:
            yield torch.randn(2, 2, 2000, generator=generator) * 0.1


class TinyData(pl.LightningDataModule):
    """Endless training batches and a few clips of different lengths."""

    batch_size = 2
    chunk_samples = 2000

    def __init__(self, seconds: tuple[float, ...] = (0.5, 0.25)) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.clips = []
        for number, length in enumerate(seconds):
            stems = rng.normal(size=(2, 2, int(length * RATE))).astype(np.float32) * 0.1
            self.clips.append({"name": f"set/song {number}", "stems": stems})

    def validation_clips(self):
        return self.clips

    def train_dataloader(self):
        return DataLoader(Endless(), batch_size=self.batch_size)

    def val_dataloader(self):
        return DataLoader(self.clips, batch_size=1)


class TinyTraining(pl.LightningModule):
    """Logs a loss, and one score after the other as result of the validations.

    The learning rate falls to a tenth with each step.
    """

    def __init__(self, scores: tuple[float, ...] = (1.0, 3.0, 2.0), rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate
        self.model = tiny_model(sample_rate=RATE).train()
        self.scores = list(scores)

    def training_step(self, stems: Tensor) -> Tensor:
        loss = (self.model(stems.sum(dim=1)) - stems).abs().mean()
        self.log("train/loss", loss, batch_size=len(stems))
        return loss

    def validation_step(self, clip: object) -> None:
        pass

    def on_validation_epoch_end(self) -> None:
        if self.scores and not self.trainer.sanity_checking:
            self.log("valid/usdr", self.scores.pop(0))

    def configure_optimizers(self) -> object:
        optimizer = torch.optim.SGD(self.model.parameters(), lr=self.rate)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.1**step)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def fit(
    *callbacks: pl.Callback,
    steps: int = 6,
    module: pl.LightningModule | None = None,
    data: pl.LightningDataModule | None = None,
    ckpt_path: str | None = None,
    **settings: object,
) -> pl.Trainer:
    """Train on the CPU, validating after every second batch."""
    values = {
        "val_check_interval": 2,
        "num_sanity_val_steps": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": any(isinstance(c, pl.callbacks.ProgressBar) for c in callbacks),
    }
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **{**values, **settings},
    )
    trainer.fit(module or TinyTraining(), datamodule=data or TinyData(), ckpt_path=ckpt_path)
    return trainer
