"""From a model's name and a quality setting to what separates songs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

from songsplit.errors import ConfigError
from songsplit.models.fusion import fused
from songsplit.models.registry import fast_model, load_model
from songsplit.models.separation import SeparationModel
from songsplit.models.speeds import SpeedAverage
from songsplit.quality import QUALITIES, Quality

Network: TypeAlias = SeparationModel | SpeedAverage


def load_network(
    model: str | os.PathLike[str] | None, quality: Quality
) -> tuple[Network, Mapping[str, Any]]:
    """Load what separates songs, and the card of its model.

    Parameters
    ----------
    model : str or path or None
        As for :func:`songsplit.models.registry.load_model`.
    quality : {"fast", "balanced", "best"}
        ``"balanced"`` is the model's network as it is, ``"best"`` its mean over three
        speeds, ``"fast"`` the network of a smaller model that goes with it.

    Returns
    -------
    SeparationModel or SpeedAverage
        In evaluation mode, float32, on the CPU.
    mapping
        Where the weights come from: name, data, training, scores, terms of use.

    Raises
    ------
    ModelError
        If there is no such model, or its file is damaged.
    ConfigError
        If there is no such quality, or the model has none for it.
    """
    if quality not in QUALITIES:
        raise ConfigError(f"unknown quality {quality!r}: use {', '.join(QUALITIES)}")
    stored = load_model(fast_model(model) if quality == "fast" else model)
    network = fused(stored.model)
    return SpeedAverage(network).eval() if quality == "best" else network, stored.card
