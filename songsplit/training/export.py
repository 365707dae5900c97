"""From a training checkpoint to a weights file: ``python -m songsplit.training.export``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from songsplit.errors import ModelError, SongsplitError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation import SeparationModel
from songsplit.models.storage import save_weights
from songsplit.training.module import CONFIG_KEY


def export_checkpoint(
    checkpoint: str | os.PathLike[str], card: Mapping[str, Any], path: str | os.PathLike[str]
) -> str:
    """Write the averaged weights of a checkpoint as a weights file.

    Parameters
    ----------
    checkpoint : path
        A ``.ckpt`` file that ``train.py`` wrote.
    card : mapping
        What to record of the model; the number of training steps is added.
    path : path
        The ``.safetensors`` file to write.

    Returns
    -------
    str
        SHA-256 of configuration and weights.

    Raises
    ------
    ModelError
        If the checkpoint is missing or holds no model of songsplit.
    """
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        config = MaskUNetConfig.from_json(saved[CONFIG_KEY])
        weights = {
            name.removeprefix("model."): tensor
            for name, tensor in saved["state_dict"].items()
            if name.startswith("model.")
        }
        model = SeparationModel(config)
        model.load_state_dict(weights)
    except FileNotFoundError:
        raise ModelError(f"{checkpoint}: there is no such checkpoint; check the name") from None
    except Exception as error:
        raise ModelError(f"{checkpoint} is no checkpoint of songsplit ({error})") from error
    return save_weights(model, {**card, "steps": saved["global_step"]}, path)


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A .ckpt file that train.py wrote.")],
    weights: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
    card: Annotated[Path | None, typer.Option(help="JSON file to record with it.")] = None,
) -> None:
    """Turn a training checkpoint into a weights file that songsplit can use."""
    try:
        text = card.read_text(encoding="utf-8") if card else "{}"
        export_checkpoint(checkpoint, json.loads(text), weights)
    except (SongsplitError, OSError, ValueError) as error:
        typer.echo(f"songsplit: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(weights)


if __name__ == "__main__":
    typer.run(main)
