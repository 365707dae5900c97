"""Command line of ``train.py``: Lightning's command line with songsplit's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from jsonargparse import Namespace, set_parsing_settings
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from songsplit.data.datamodule import StemDataModule
from songsplit.errors import ConfigError, SongsplitError
from songsplit.models.config import MaskUNetConfig
from songsplit.training.callbacks import (
    SCORE,
    AtomicCheckpoints,
    BestCheckpoint,
    LastCheckpoint,
    MovingAverage,
    Snippets,
    StepsBar,
    checkpoint_folder,
)
from songsplit.training.lightning_module import SeparationTraining
from songsplit.training.losses import LossConfig

_TRAINER_DEFAULTS = {
    "default_root_dir": "runs/my-run",
    "gradient_clip_val": 1.0,
    "val_check_interval": 500,
    "log_every_n_steps": 20,
    # Validation separates whole clips and would delay the first step.
    "num_sanity_val_steps": 0,
}


class TrainingCLI(LightningCLI):
    """Lightning's command line with the callbacks and loggers of a songsplit run.

    Network, loss and data module are those of songsplit unless the config names others by
    ``class_path``. `arguments` are by default those of the process. Without `run`, objects are
    created but the command is not run.
    """

    def __init__(self, arguments: list[str] | None = None, *, run: bool = True) -> None:
        # Without this, a class_path would not replace the settings of an earlier config.
        set_parsing_settings(subclasses_enabled=[MaskUNetConfig, LossConfig])
        super().__init__(
            SeparationTraining,
            pl.LightningDataModule,
            subclass_mode_data=True,
            trainer_defaults=_TRAINER_DEFAULTS,
            seed_everything_default=0,
            args=arguments,
            auto_configure_optimizers=False,
            run=run,
            save_config_kwargs={"overwrite": True},
            # The list of all options would scroll the error off the screen.
            parser_kwargs={
                "fit": {"usage": "train.py fit [--config FILE] [--key.of.config VALUE ...]"}
            },
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Offer only ``fit``; ``evaluate.py`` evaluates."""
        return {"fit": LightningCLI.subcommands()["fit"]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add config keys for the callbacks."""
        parser.add_lightning_class_args(MovingAverage, "average")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.add_lightning_class_args(Snippets, "snippets")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.set_defaults(
            {
                "data": {"class_path": f"{StemDataModule.__module__}.StemDataModule"},
                "early_stopping.monitor": SCORE,
                "early_stopping.mode": "max",
                # Validations without a better score; by default, runs do not stop early.
                "early_stopping.patience": 1000,
                "early_stopping.check_on_train_epoch_end": False,
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse and check arguments, and find the checkpoint, before data are read."""
        super().parse_arguments(parser, args)
        if (options := self.config.get("fit")) is not None:
            if options.trainer.max_steps < 1:
                raise ConfigError("trainer.max_steps must be set: the schedule depends on it")
            options.ckpt_path = _checkpoint(options.ckpt_path, options.trainer)

    def instantiate_classes(self) -> None:
        """Create all objects, and set the data module's settings that the network determines."""
        try:
            super().instantiate_classes()
        except SongsplitError:
            raise
        except (ValueError, MisconfigurationException) as error:
            raise ConfigError(f"the configuration is invalid: {error}") from error
        data, model = self.datamodule, self.model
        if not isinstance(data, StemDataModule):
            return
        data.targets, data.sample_rate = model.config.targets, model.config.sample_rate
        # One seed determines chunks, augmentation and initial weights.
        data.seed = int(self._get(self.config, "seed_everything"))
        data.read_samples = model.augmentation.config.pitch_tempo.read_samples(data.chunk_samples)

    def instantiate_trainer(self, **options: Any) -> pl.Trainer:
        """Create the trainer, by default with TensorBoard and CSV logs."""
        asked = self._get(self.config_init, "trainer")
        if asked["logger"] in (None, True):
            csv = CSVLogger(asked["default_root_dir"], name="logs")
            board = TensorBoardLogger(csv.save_dir, name="tensorboard", version=csv.version)
            options["logger"] = [csv, board]
        # BestCheckpoint must see a new score before LastCheckpoint saves it.
        callbacks = [BestCheckpoint(), *_as_list(asked["callbacks"])]
        if asked["logger"] is not False:
            callbacks.append(LearningRateMonitor())
        if asked["enable_progress_bar"] is not False:
            callbacks.append(StepsBar())
        plugins = [AtomicCheckpoints(), *_as_list(asked["plugins"])]
        return super().instantiate_trainer(callbacks=callbacks, plugins=plugins, **options)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _checkpoint(wanted: str | None, trainer: Namespace) -> str | None:
    """Find the checkpoint to resume from; refuse to start a run in the folder of another run."""
    folder = checkpoint_folder(trainer.default_root_dir)
    if wanted is None:
        if any(folder.glob("*.ckpt")) and not trainer.fast_dev_run:
            raise ConfigError(
                f"{folder} holds the checkpoints of another run: add --ckpt_path last to continue "
                "it, or choose another --trainer.default_root_dir"
            )
        return None
    path = folder / f"{wanted}.ckpt" if wanted in ("best", "last") else Path(wanted)
    try:
        torch.load(path, weights_only=True, mmap=True)
    except FileNotFoundError:
        if wanted == "last":
            return None  # job queues start and resume a run with the same command
        raise ConfigError(f"ckpt_path: there is no {path}; check the name") from None
    except Exception as error:
        # Damaged files raise many kinds of exceptions in torch.
        raise ConfigError(f"ckpt_path {path} is damaged or not a checkpoint ({error})") from error
    return str(path)
