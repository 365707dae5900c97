"""Convert a training checkpoint to a weights file."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from songsplit.errors import ConfigError, ModelError, OutputError, OutputExistsError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation_model import SeparationModel
from songsplit.models.unet import encoder_costs
from songsplit.models.weights import save_weights

# Keys of checkpoints: JSON of the network's MaskUNetConfig, the class of a custom network, and JSON
# with the provenance of the weights (code, data, licences, augmentation, loss, seed and scores).
CONFIG_KEY = "songsplit_config"
NETWORK_KEY = "songsplit_network"
PROVENANCE_KEY = "songsplit_provenance"

_PREFIX = "model."
# Keys of the card that come from the checkpoint.
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

    The card gets ``steps`` and ``provenance`` (data, augmentation, loss, seed and scores) from the
    checkpoint, ``sharpness`` if it is not 1, and by default a ``name`` after the file.

    ``sharpness`` is a factor of the logits of the masks. A network trained on absolute errors
    decides for the more likely of "voice" and "no voice". SDR, which measures squared errors, is
    best for the mean of both, with a sharpness of about 0.6.
    """
    for key in _RESERVED:
        if key in card:
            raise ConfigError(f"card: {key!r} comes from the checkpoint: leave it out")
    if not 0 < sharpness < float("inf"):
        raise ConfigError(f"sharpness must be above 0, not {sharpness}")
    target = Path(path)
    if target.suffix != ".safetensors":
        raise OutputError(f"{path}: the name of a weights file must end with .safetensors")
        # Fail before the work.
    if os.path.lexists(target) and not overwrite:
        raise OutputExistsError(f"{path} already exists: allow overwriting, or move it")
    model, from_checkpoint = _load(Path(checkpoint))
    if sharpness != 1:
        card = {**card, "sharpness": sharpness}
        for parameter in model.unet.get_submodule("head").parameters():
            parameter.data.mul_(sharpness)
    # Matrices and kernels are stored in half precision.
    stored = (x.half() if x.ndim > 1 else x for x in model.state_dict().values())
    if not all(bool(value.isfinite().all()) for value in stored):
        raise ModelError(f"{checkpoint} holds weights that are not finite: use an earlier one")
    save_weights(model, {"name": target.stem, **card, **from_checkpoint}, target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def read_card(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a card from a JSON file, or raise ConfigError."""
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(card, dict):
        raise ConfigError(f'{path} must hold a JSON object, such as {{"description": "..."}}')
    return card


def _load(checkpoint: Path) -> tuple[SeparationModel, dict[str, Any]]:
    """Read the model and the entries of the card from a checkpoint, or raise ModelError."""
    try:
        if not checkpoint.is_file():  # a device or a pipe may have no end
            raise ModelError(f"{checkpoint}: there is no such checkpoint file; check the name")
        with zipfile.ZipFile(checkpoint) as archive:
            # Training saves without compression. A compressed file could expand to any size.
            if any(entry.compress_type for entry in archive.infolist()):
                raise ModelError(f"{checkpoint} is compressed: name a .ckpt file of train.py")
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if NETWORK_KEY in saved:
            raise ModelError(
                f"{checkpoint} holds a {saved[NETWORK_KEY]}, but only MaskUNet can be exported: "
                "load its state_dict yourself"
            )
        config = MaskUNetConfig.from_json(saved[CONFIG_KEY])
        weights = {
            name.removeprefix(_PREFIX): tensor
            for name, tensor in saved["state_dict"].items()
            if name.startswith(_PREFIX)
        }
        known = {"steps": int(saved["global_step"])}
        if PROVENANCE_KEY in saved:
            known["provenance"] = json.loads(saved[PROVENANCE_KEY])
    except OSError as error:
        raise ModelError(f"{checkpoint} cannot be read ({error}); check the file") from error
    except ConfigError as error:
        raise ModelError(f"{checkpoint}: {error}") from error
    except ModelError:
        raise
    # Damaged files raise many kinds of exceptions in torch and Python.
    except Exception as error:
        raise ModelError(
            f"{checkpoint} is damaged or not a checkpoint of songsplit: name a .ckpt file of a "
            "training run"
        ) from error
    try:
        # Check before allocating memory of the size in the configuration.
        if 2 * encoder_costs(config)[0] > checkpoint.stat().st_size:
            raise RuntimeError("there are fewer weights than the configuration needs")
        model = SeparationModel(config)
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"{checkpoint} holds a network of another version of songsplit: export it with the "
            "version that trained it"
        ) from error
    return model, known
