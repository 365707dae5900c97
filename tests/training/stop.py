"""A run that is cut short."""

from __future__ import annotations

import pytorch_lightning as pl


class StopAfterEpoch(pl.Callback):
    """Ends training after the first epoch, whatever was planned."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = True
