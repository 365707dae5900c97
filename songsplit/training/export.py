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
from songsplit.models.separation_model import SeparationModel
from songsplit.models.weights import save_weights

CONFIG_KEY = "songsplit_config"
"""Of checkpoints: JSON text of the network's :class:`~songsplit.models.config.MaskUNetConfig`."""

NETWORK_KEY = "songsplit_network"
"""Of checkpoints: class of the network, where it is none of ours."""

PROVENANCE_KEY = "songsplit_provenance"
"""Of checkpoints: JSON text of an object that says what the weights were made from: the version
of the code, the data with their licences, augmentation, loss, seed and validation scores."""

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
    """Write the averaged weights of a checkpoint as a weights file; return its SHA-256.

    To the card are added ``steps`` and ``provenance`` (data, augmentation, loss, seed and scores)
    from the checkpoint, ``sharpness`` where it is not 1, and, where the card has none, a ``name``
    after the file. ``sharpness`` is a factor of what goes into the sigmoid that makes masks: a
    network trained on absolute errors says "voice" or "no voice" wherever one of them is likelier,
    while SDR, being about squared errors, is best served by the mean over both: some 0.6.
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
    if NETWORK_KEY in saved:
        raise ModelError(
            f"{checkpoint} holds a {saved[NETWORK_KEY]}: only MaskUNet can be exported; load "
            "its state_dict yourself"
        )
    model = _model(checkpoint, saved)
    if sharpness != 1:
        _sharpen(model, sharpness)
        card = {**card, "sharpness": sharpness}
    full = {"name": target.stem, **card, "steps": saved["global_step"]}
    if PROVENANCE_KEY in saved:
        full["provenance"] = _provenance(checkpoint, saved[PROVENANCE_KEY])
    save_weights(model, full, target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def read_card(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a card from a JSON file, or raise ConfigError."""
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
    for parameter in model.unet.get_submodule("head").parameters():
        parameter.data.mul_(sharpness)


def _provenance(checkpoint: str | os.PathLike[str], text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{checkpoint} is damaged: what it was made from is no JSON") from error
