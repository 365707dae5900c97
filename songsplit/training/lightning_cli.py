"""Command line of ``train.py``: Lightning's, with songsplit's defaults."""

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
    # Validation takes whole clips and would delay the first step.
    "num_sanity_val_steps": 0,
}


class TrainingCLI(LightningCLI):
    """Lightning's command line with the callbacks and loggers of a songsplit run.

    Network, loss and data module are ours unless the config names others by ``class_path``.
    It takes arguments, by default the process's, and builds or, with `run`, runs what they say.
    """

    def __init__(self, arguments: list[str] | None = None, *, run: bool = True) -> None:
        # Otherwise a class_path would not replace the settings of an earlier config.
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
            # A list of all options would push what was wrong off the screen.
            parser_kwargs={
                "fit": {"usage": "train.py fit [--config FILE] [--key.of.config VALUE ...]"}
            },
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Leave out what ``evaluate.py`` is for."""
        return {"fit": LightningCLI.subcommands()["fit"]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Give callbacks keys of their own."""
        parser.add_lightning_class_args(MovingAverage, "average")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.add_lightning_class_args(Snippets, "snippets")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.set_defaults(
            {
                "data": {"class_path": f"{StemDataModule.__module__}.StemDataModule"},
                "early_stopping.monitor": SCORE,
                "early_stopping.mode": "max",
                # Validations without a better score; by default, runs go to their end.
                "early_stopping.patience": 1000,
                "early_stopping.check_on_train_epoch_end": False,
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; refuse impossible plans, and find the checkpoint, before any data are read."""
        super().parse_arguments(parser, args)
        if (options := self.config.get("fit")) is not None:
            if options.trainer.max_steps < 1:
                raise ConfigError("trainer.max_steps must be set: the schedule depends on it")
            options.ckpt_path = _checkpoint(options.ckpt_path, options.trainer)

    def instantiate_classes(self) -> None:
        """Make everything, and tell the data what the network needs."""
        try:
            super().instantiate_classes()
        except SongsplitError:
            raise
        except (ValueError, MisconfigurationException) as error:
            raise ConfigError(f"the configuration cannot be used: {error}") from error
        data, model = self.datamodule, self.model
        if not isinstance(data, StemDataModule):
            return
        data.targets, data.sample_rate = model.config.targets, model.config.sample_rate
        # One seed for all: what is drawn, how it is changed, and the first weights.
        data.seed = int(self._get(self.config, "seed_everything"))
        data.read_samples = model.augmentation.config.pitch_tempo.read_samples(data.chunk_samples)

    def instantiate_trainer(self, **options: Any) -> pl.Trainer:
        """Make the trainer, with TensorBoard and CSV logs if nothing else was asked for."""
        asked = self._get(self.config_init, "trainer")
        if asked["logger"] in (None, True):
            csv = CSVLogger(asked["default_root_dir"], name="logs")
            board = TensorBoardLogger(csv.save_dir, name="tensorboard", version=csv.version)
            options["logger"] = [csv, board]
        # BestCheckpoint takes a new score first, and LastCheckpoint then saves it.
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
    """Find the checkpoint to go on from; refuse a second run in the folder of another one."""
    folder = checkpoint_folder(trainer.default_root_dir)
    if wanted is None:
        if any(folder.glob("*.ckpt")) and not trainer.fast_dev_run:
            raise ConfigError(
                f"{folder} holds the checkpoints of another run: add --ckpt_path last to go on "
                "with it, or choose another --trainer.default_root_dir"
            )
        return None
    path = folder / f"{wanted}.ckpt" if wanted in ("best", "last") else Path(wanted)
    try:
        torch.load(path, weights_only=True, mmap=True)
    except FileNotFoundError:
        if wanted == "last":
            return None  # the same command begins a run and goes on with it, as job queues need it
        raise ConfigError(f"ckpt_path: there is no {path}; check the name") from None
    except Exception as error:
        # Whatever is wrong with a file, torch has an exception of its own for it.
        raise ConfigError(f"ckpt_path {path} is damaged or no checkpoint ({error})") from error
    return str(path)
