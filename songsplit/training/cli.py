"""Command line of ``train.py``: Lightning's, with songsplit's defaults."""

from __future__ import annotations

from pytorch_lightning.cli import LightningCLI

from songsplit.data.module import RemixDataModule
from songsplit.training.module import SeparationTraining


def main(arguments: list[str] | None = None) -> LightningCLI:
    """Run a subcommand of the trainer.

    Parameters
    ----------
    arguments : list of str, optional
        Command line, by default that of the process.

    Returns
    -------
    LightningCLI
        With the trainer, the module and the data, for whoever calls this from Python.
    """
    return LightningCLI(
        SeparationTraining,
        RemixDataModule,
        seed_everything_default=0,
        args=arguments,
        save_config_kwargs={"overwrite": True},
    )
