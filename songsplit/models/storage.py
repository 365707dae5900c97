"""Weights files: safetensors with the model's configuration and card inside."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from songsplit.errors import ConfigError, ModelError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation import SeparationModel

_FORMAT = "songsplit-1"


@dataclass(frozen=True)
class StoredModel:
    """What a weights file holds.

    Attributes
    ----------
    model : SeparationModel
        In evaluation mode, float32, on the CPU.
    card : mapping
        Where the weights come from: name, data, training, scores, terms of use.
    digest : str
        SHA-256 of configuration and weights.
    """

    model: SeparationModel
    card: Mapping[str, Any]
    digest: str


def save_weights(
    model: SeparationModel, card: Mapping[str, Any], path: str | os.PathLike[str]
) -> str:
    """Write a weights file.

    Matrices and kernels are stored in half precision, which is finer than what the
    network is trained in; statistics and biases stay in float32.

    Parameters
    ----------
    model : SeparationModel
    card : mapping
        Anything JSON can hold.
    path : path
        Written in one piece: either the whole file is there afterwards or none.

    Returns
    -------
    str
        SHA-256 of configuration and weights.
    """
    tensors = {
        name: _stored(tensor)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    config = model.config.to_json()
    digest = _digest(config, tensors)
    metadata = {
        "format": _FORMAT,
        "config": config,
        "card": json.dumps(dict(card)),
        "sha256": digest,
    }
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    try:
        partial.write_bytes(save(tensors, metadata))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return digest


def load_weights(path: str | os.PathLike[str]) -> StoredModel:
    """Read and check a weights file.

    Parameters
    ----------
    path : path

    Returns
    -------
    StoredModel

    Raises
    ------
    ModelError
        If there is no such file, it is no weights file of songsplit, or it is damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such model file; check the name") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a readable safetensors file ({error}): copy or export it again"
        ) from error
    if metadata.get("format") != _FORMAT:
        raise ModelError(f"{path} holds no songsplit model, or one of a newer songsplit")
    config_text = metadata.get("config", "")
    digest = _digest(config_text, tensors)
    if digest != metadata.get("sha256"):
        raise ModelError(f"{path} is damaged, its checksum is wrong: copy or export it again")
    try:
        model = SeparationModel(MaskUNetConfig.from_json(config_text))
        card = json.loads(metadata.get("card", "{}"))
    except (ConfigError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error
    weights = {name: tensor.float() for name, tensor in tensors.items()}
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit its own configuration: export it again") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ModelError(
            f"{path} does not fit this version of songsplit ({(missing + unexpected)[0]})"
        )
    return StoredModel(model.eval(), card, digest)


def _stored(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.ndim > 1 else tensor.float()


def _digest(config: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
