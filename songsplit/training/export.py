"""From a training checkpoint to a weights file."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from songsplit.errors import ConfigError, ModelError, OutputError, OutputExistsError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation import SeparationModel
from songsplit.models.storage import save_weights
from songsplit.training.checkpoints import CONFIG_KEY, PROVENANCE_KEY

_PREFIX = "model."
# What only the checkpoint can tell.
_RESERVED = ("steps", "provenance", "sharpness")


def export_checkpoint(
    checkpoint: str | os.PathLike[str],
    card: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    sharpness: float = 1.0,
    overwrite: bool = False,
) -> str:
    """Write the averaged weights of a checkpoint as a weights file.

    Parameters
    ----------
    checkpoint : path
        A ``.ckpt`` file that training wrote.
    card : mapping
        What to record of the model. To it are added ``steps`` and ``provenance`` (data,
        augmentation, loss, seed and scores) from the checkpoint, ``sharpness`` where it is
        not 1, and, where the card has none, a ``name`` after the file.
    path : path
        The ``.safetensors`` file to write, in folders that are made where they are missing.
    sharpness : float, optional
        Factor of what goes into the sigmoid that makes masks. A network trained on absolute
        errors says "voice" or "no voice" wherever one of them is likelier, while SDR, being
        about squared errors, is best served by the mean over both: some 0.6.
    overwrite : bool, optional
        Replace a file that is already there.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    ConfigError
        If the card says something of ``steps``, ``provenance`` or ``sharpness`` itself, if
        `sharpness` is not above 0, or not 1 for complex masks.
    ModelError
        If the checkpoint is missing, is none, or holds another network.
    OutputExistsError
        If the file is already there and ``overwrite`` is false.
    OutputError
        If it cannot be written, or has another suffix.
    """
    for key in _RESERVED:
        if key in card:
            raise ConfigError(f"card: {key!r} is taken from the checkpoint: leave it out")
    target = Path(path)
    if target.suffix != ".safetensors":
        raise OutputError(f"{path}: a weights file must be called *.safetensors")
    # Before the work, which would be in vain.
    if os.path.lexists(target) and not overwrite:
        raise OutputExistsError(f"{path} is already there: allow overwriting, or move it")
    saved = _load(checkpoint)
    model = _model(checkpoint, saved)
    if sharpness != 1:
        _sharpen(model, sharpness)
        card = {**card, "sharpness": sharpness}
    full = {"name": target.stem, **card, "steps": saved["global_step"]}
    if PROVENANCE_KEY in saved:
        full["provenance"] = _provenance(checkpoint, saved[PROVENANCE_KEY])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_weights(model, full, target)
        return hashlib.sha256(target.read_bytes()).hexdigest()
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error}): choose another place") from error


def read_card(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a card from a JSON file.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict

    Raises
    ------
    ConfigError
        If the file cannot be read or holds no JSON object.
    """
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(card, dict):
        raise ConfigError(f'{path} must hold a JSON object, such as {{"description": "..."}}')
    return card


def _load(checkpoint: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{checkpoint}: there is no such checkpoint; check the name") from None
    except (IsADirectoryError, PermissionError) as error:
        raise ModelError(f"{checkpoint} cannot be read ({error}); check the file") from error
    # torch.load raises all of these for files that are no checkpoint, and tells no more.
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"{checkpoint} is no checkpoint, or is damaged: give a .ckpt file of a training run"
        ) from error
    if not isinstance(saved, dict) or not {CONFIG_KEY, "state_dict", "global_step"} <= saved.keys():
        raise ModelError(
            f"{checkpoint} is no checkpoint of songsplit: give a .ckpt file of its training"
        )
    return saved


def _model(checkpoint: str | os.PathLike[str], saved: Mapping[str, Any]) -> SeparationModel:
    weights = {
        name.removeprefix(_PREFIX): tensor
        for name, tensor in saved["state_dict"].items()
        if name.startswith(_PREFIX)
    }
    try:
        model = SeparationModel(MaskUNetConfig.from_json(saved[CONFIG_KEY]))
        model.load_state_dict(weights)
    except ConfigError as error:
        raise ModelError(f"{checkpoint}: {error}") from error
    except RuntimeError as error:
        raise ModelError(
            f"{checkpoint} holds another network than this version of songsplit builds: export it "
            "with the version that trained it"
        ) from error
    return model


def _sharpen(model: SeparationModel, sharpness: float) -> None:
    if not 0 < sharpness < float("inf"):
        raise ConfigError(f"sharpness must be above 0, not {sharpness}")
    if model.config.mask == "complex":
        raise ConfigError("sharpness must be 1 for a network with complex masks")
    for parameter in model.unet.head.parameters():
        parameter.data.mul_(sharpness)


def _provenance(checkpoint: str | os.PathLike[str], text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{checkpoint} is damaged: what it was made from is no JSON") from error
