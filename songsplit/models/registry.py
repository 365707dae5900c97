"""The models that come with songsplit, and loading of any model by name or path."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from songsplit.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from songsplit.models.storage import StoredModel

DEFAULT_MODEL = "default"
_FOLDER = Path(str(resources.files("songsplit") / "weights"))
_REGISTRY = "registry.json"


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model that comes with songsplit.

    Attributes
    ----------
    name : str
        What ``model=`` accepts.
    path : Path
        The weights file.
    sha256 : str
        Checksum of the file.
    card : mapping
        Description, data, training, scores and terms of use.
    fast : str or None
        Name of the smaller model that ``quality="fast"`` takes in its place.
    """

    name: str
    path: Path
    sha256: str
    card: Mapping[str, Any]
    fast: str | None = None


def list_models() -> list[ModelInfo]:
    """List the models that come with songsplit, the default one first.

    Returns
    -------
    list of ModelInfo

    Raises
    ------
    ModelError
        If one is missing or damaged.

    Examples
    --------
    >>> import songsplit
    >>> [model.name for model in songsplit.list_models()]
    ['default', 'default-fast', 'open']
    """
    return [
        ModelInfo(name, entry.path, entry.sha256, _card(entry.path), entry.fast)
        for name, entry in _entries().items()
    ]


def fast_model(model: str | os.PathLike[str] | None = None) -> str:
    """Return the name of the smaller model that stands for another where speed counts.

    Raises
    ------
    ConfigError
        If there is none.
    """
    wanted = DEFAULT_MODEL if model is None else os.fspath(model)
    entry = _entries().get(wanted)
    if entry is None or entry.fast is None:
        raise ConfigError(f"{wanted} has no faster model: use another quality")
    return entry.fast


def load_model(model: str | os.PathLike[str] | None = None) -> StoredModel:
    """Load a model by name or from a file.

    Parameters
    ----------
    model : str or path, optional
        Name of a model that comes with songsplit, or a ``.safetensors`` file; by
        default the default model.

    Returns
    -------
    StoredModel

    Raises
    ------
    ModelError
        If there is no such model, or its file is damaged.
    """
    # Only here is torch needed, and importing it takes longer than all the rest.
    from songsplit.models.storage import load_weights

    wanted = DEFAULT_MODEL if model is None else os.fspath(model)
    if wanted.endswith(".safetensors"):
        # Before the list is read: a damaged installation must not stand in the way.
        return load_weights(wanted)
    known = _entries()
    if wanted in known:
        # No other model is looked at: one that is damaged must not stop this one.
        entry = known[wanted]
        if not entry.path.is_file() or _checksum(entry.path) != entry.sha256:
            raise ModelError(f"{entry.path} is missing or damaged: install songsplit again")
        return load_weights(entry.path)
    if Path(wanted).exists():
        return load_weights(wanted)
    raise ModelError(
        f"unknown model {wanted!r}: use {', '.join(known)} or the path of a .safetensors file"
    )


@dataclass(frozen=True)
class _Entry:
    """What the list of models says of one, without opening its file."""

    path: Path
    sha256: str
    fast: str | None


def _entries() -> dict[str, _Entry]:
    path = _FOLDER / _REGISTRY
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is missing or damaged: install songsplit again") from error
    return {
        name: _Entry(_FOLDER / entry["file"], entry["sha256"], entry.get("fast"))
        for name, entry in entries.items()
    }


def _card(path: Path) -> Mapping[str, Any]:
    """Read the card in a weights file, without its weights."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            card: dict[str, Any] = json.loads(file.metadata()["card"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is missing or damaged: install songsplit again") from error
    return card


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
