"""songsplit splits a finished song into its vocals and its instrumental.

>>> import songsplit
>>> stems = songsplit.separate("examples/lithium.ogg")  # doctest: +SKIP
>>> stems.save("lithium")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from songsplit.audio.formats import OutputFormat
    from songsplit.errors import SongsplitError
    from songsplit.models.weights import ModelInfo, list_models
    from songsplit.separator import Separator, separate
    from songsplit.stems import Mix, Stems

__version__ = "0.1.0"

__all__ = [
    "Mix",
    "ModelInfo",
    "OutputFormat",
    "Separator",
    "SongsplitError",
    "Stems",
    "__version__",
    "list_models",
    "separate",
]

# Importing torch takes seconds, so names are imported when they are first used.
_HOMES = {
    "Mix": "songsplit.stems",
    "ModelInfo": "songsplit.models.weights",
    "OutputFormat": "songsplit.audio.formats",
    "Separator": "songsplit.separator",
    "SongsplitError": "songsplit.errors",
    "Stems": "songsplit.stems",
    "list_models": "songsplit.models.weights",
    "separate": "songsplit.separator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'songsplit' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
