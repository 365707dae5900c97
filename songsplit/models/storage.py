"""Weights files: safetensors with the model's configuration and card inside."""

from __future__ import annotations

import hashlib
import json
import math
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
from songsplit.models.unet import least_weights

_FORMAT = "songsplit-2"


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
        SHA-256 of configuration, card and weights.
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
        SHA-256 of configuration, card and weights.
    """
    tensors = {
        name: _stored(tensor)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    described = {"config": model.config.to_json(), "card": json.dumps(dict(card))}
    digest = _digest(described, tensors)
    metadata = {"format": _FORMAT, **described, "sha256": digest}
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
            if metadata.get("format") != _FORMAT:
                raise ModelError(f"{path} holds no songsplit model, or one of a newer songsplit")
            config, card = _described(path, metadata)
            names = list(file.keys())
            weights = sum(math.prod(file.get_slice(name).get_shape()) for name in names)
            # Before anything is made of the size that the configuration asks for.
            if least_weights(config) > weights:
                raise ModelError(f"{path} does not fit its own configuration: export it again")
            tensors = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such model file; check the name") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is not a readable safetensors file ({error}): copy or export it again"
        ) from error
    digest = _digest(metadata, tensors)
    if digest != metadata.get("sha256"):
        raise ModelError(f"{path} is damaged, its checksum is wrong: copy or export it again")
    model = SeparationModel(config)
    values = {name: tensor.float() for name, tensor in tensors.items()}
    try:
        missing, unexpected = model.load_state_dict(values, strict=False)
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit its own configuration: export it again") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ModelError(
            f"{path} does not fit this version of songsplit ({(missing + unexpected)[0]})"
        )
    if not all(bool(value.isfinite().all()) for value in values.values()):
        raise ModelError(f"{path} holds weights that are not finite: export it again")
    return StoredModel(model.eval(), card, digest)


def _described(
    path: str | os.PathLike[str], metadata: Mapping[str, str]
) -> tuple[MaskUNetConfig, Mapping[str, Any]]:
    """Read configuration and card."""
    try:
        config = MaskUNetConfig.from_json(metadata.get("config", ""))
        card = json.loads(metadata.get("card", ""))
    except (ConfigError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {error}") from error
    if not isinstance(card, dict):
        raise ModelError(f"{path}: the model's card is no JSON object: export it again")
    return config, card


def _stored(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.ndim > 1 else tensor.float()


def _digest(described: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for part in (described["config"], described["card"]):
        digest.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
