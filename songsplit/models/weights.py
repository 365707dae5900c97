"""Weights files, and the list of the models that come with songsplit.

A weights file is a safetensors file with the model's configuration and card in its metadata. Only
functions that need torch import it, because that takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError, safe_open

from songsplit.errors import ConfigError, MissingExtraError, ModelError
from songsplit.files import write_whole
from songsplit.models.config import MaskUNetConfig

if TYPE_CHECKING:
    from torch import Tensor

    from songsplit.models.separation_model import SeparationModel

DEFAULT_MODEL = "default"
_FORMAT = "songsplit-2"
_MAX_MULTIPLICATIONS = 1e10  # of the encoder per second of audio; the default model needs 5e8
_FOLDER = Path(str(resources.files("songsplit") / "weights"))


@dataclass(frozen=True)
class ModelInfo:
    """Description of a model that comes with songsplit.

    Attributes
    ----------
    name : str
        Name of the model for ``model=``.
    path : Path
        The weights file.
    sha256 : str
        SHA-256 checksum of the file.
    card : mapping
        Description, data, training, scores and terms of use.
    """

    name: str
    path: Path
    sha256: str
    card: Mapping[str, Any]


@dataclass(frozen=True)
class StoredModel:
    """A model in evaluation mode on the CPU, its card, and the SHA-256 of weights and metadata."""

    model: SeparationModel
    card: Mapping[str, Any]
    digest: str


def list_models() -> list[ModelInfo]:
    """List the models that come with songsplit, the default model first.

    Raises
    ------
    ModelError
        If a model is missing or damaged.

    Examples
    --------
    >>> import songsplit
    >>> [model.name for model in songsplit.list_models()]
    ['default', 'open']
    """
    models = []
    for name, files in registry().items():
        weights = files.weights
        try:
            with safe_open(str(weights.path), framework="numpy") as file:
                card = json.loads(file.metadata()["card"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise _damaged(weights.path) from error
        models.append(ModelInfo(name, weights.path, weights.sha256, card))
    return models


def load_model(model: str | os.PathLike[str] | None = None) -> StoredModel:
    """Load a model by name or from a ``.safetensors`` file; None is the default model."""
    wanted = DEFAULT_MODEL if model is None else os.fspath(model)
    # Read only this file: a damaged list or another damaged model must not matter.
    if wanted.endswith(".safetensors"):
        return load_weights(wanted)
    known = registry()
    if wanted in known:
        known[wanted].weights.read()
        return load_weights(known[wanted].weights.path)
    if Path(wanted).exists():
        return load_weights(wanted)
    raise _unknown(wanted)


def load_network(model: str | None = None, *, int8: bool = False) -> bytes | None:
    """Read the ONNX network of a model by name; None if no such model comes with songsplit.

    `int8` selects the version whose convolutions use 8-bit integers.
    """
    found = registry().get(model or DEFAULT_MODEL)
    return found and (found.int8 if int8 else found.network).read()


def model_digest(model: str | None = None) -> str:
    """Return the SHA-256 of the weights file of a model, by its name or from its path."""
    wanted = DEFAULT_MODEL if model is None else model
    known = registry()
    if wanted in known:
        return known[wanted].weights.sha256
    try:
        return hashlib.sha256(Path(wanted).read_bytes()).hexdigest()
    except OSError as error:
        raise _unknown(wanted) from error


def any_network(model: str | None = None, *, int8: bool = False) -> bytes:
    """Return the ONNX network of any model; users' own models are converted with extra onnx."""
    if (network := load_network(model, int8=int8)) is not None:
        return network
    stored = load_model(model)
    from songsplit.models.onnx import onnx_network

    return onnx_network(stored)


def load_weights(path: str | os.PathLike[str]) -> StoredModel:
    """Read and check a weights file; raise ModelError if it is missing or damaged."""
    if not os.path.lexists(path):
        raise ModelError(f"{path}: there is no such model file; check the name")
    try:
        import torch

        from songsplit.models.separation_model import SeparationModel
        from songsplit.models.unet import encoder_costs
    except ImportError as error:
        raise MissingExtraError("torch", "torch") from error
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ModelError(f"{path} is not a songsplit model, or needs a newer songsplit")
            config = MaskUNetConfig.from_json(metadata.get("config", ""))
            card = json.loads(metadata.get("card", ""))
            if not isinstance(card, dict):
                raise ModelError(f"{path}: the model's card is not a JSON object: export it again")
            names = list(file.keys())
            weights = sum(math.prod(file.get_slice(name).get_shape()) for name in names)
            # Check before allocating memory of the size in the configuration.
            least, multiplications = encoder_costs(config)
            if least > weights:
                raise ModelError(f"{path} does not fit its own configuration: export it again")
            if multiplications > _MAX_MULTIPLICATIONS:
                raise ModelError(f"{path}: the network is too large: use another model")
            tensors = {name: file.get_tensor(name) for name in names}
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from error
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is not a readable safetensors file ({error}): copy or export it again"
        ) from error
    digest = _digest(metadata, tensors)
    if digest != metadata.get("sha256"):
        raise ModelError(f"{path} is damaged, its checksum is wrong: copy or export it again")
    # The host program may have set other default devices and types.
    with torch.device("cpu"):
        model = SeparationModel(config).float()
    values = {name: tensor.float() for name, tensor in tensors.items()}
    try:
        model.load_state_dict(values)
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit its own configuration: export it again") from error
    if not all(bool(value.isfinite().all()) for value in values.values()):
        raise ModelError(f"{path} holds weights that are not finite: export it again")
    return StoredModel(model.eval(), card, digest)


def save_weights(
    model: SeparationModel, card: Mapping[str, Any], path: str | os.PathLike[str]
) -> str:
    """Write the weights file of a model with a MaskUNet; return the SHA-256 of its content.

    Matrices and kernels are stored in half precision, which is finer than the precision of the
    training; statistics and biases stay in float32.
    """
    from safetensors.torch import save

    from songsplit.models.unet import MaskUNet

    if not isinstance(model.unet, MaskUNet):
        raise ModelError(
            f"a weights file holds a MaskUNet, not a {type(model.unet).__name__}: save the "
            "network with torch.save, and pass a SeparationModel to Separator"
        )
    tensors = {
        name: _stored(tensor)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    described = {"config": model.config.to_json(), "card": json.dumps(dict(card))}
    digest = _digest(described, tensors)
    metadata = {"format": _FORMAT, **described, "sha256": digest}
    write_whole(Path(path), save(tensors, metadata))
    return digest


class _File(NamedTuple):
    """A file of a model that comes with songsplit, and its checksum."""

    path: Path
    sha256: str

    def read(self) -> bytes:
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise _damaged(self.path) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise _damaged(self.path)
        return content


class _Files(NamedTuple):
    weights: _File
    network: _File
    int8: _File


def registry() -> dict[str, _Files]:
    """Return the files of each model that comes with songsplit."""
    path = _FOLDER / "registry.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: _Files(*(_File(_FOLDER / file, sha256) for file, sha256 in files.items()))
            for name, files in entries.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _unknown(model: str) -> ModelError:
    names = ", ".join(registry())
    return ModelError(f"unknown model {model!r}: use {names} or the path of a .safetensors file")


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path} is missing or damaged: install songsplit again")


def _stored(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.ndim > 1 else tensor.float()


def _digest(described: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    import torch

    digest = hashlib.sha256()
    for part in (described["config"], described["card"]):
        digest.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
