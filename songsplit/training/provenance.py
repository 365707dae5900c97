"""What a model was made from, recorded in every checkpoint."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import songsplit


def provenance(
    *,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    validation: Mapping[str, float],
    init_from: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Collect what is needed to tell how weights came about.

    Parameters
    ----------
    data : mapping
        By source: kind, weight, licence, number of clips, seconds, and a hash of the audio.
    settings : mapping
        Augmentation, loss, optimiser and seed.
    validation : mapping of str to float
        Scores of the last validation.
    init_from : mapping or None
        Name and hash of the weights that training began with.

    Returns
    -------
    dict
        Can be written as JSON.
    """
    return {
        "songsplit": songsplit.__version__,
        "commit": _commit(),
        "data": dict(data),
        **settings,
        "validation": dict(validation),
        "init_from": None if init_from is None else dict(init_from),
    }


def _commit() -> str | None:
    """Commit of the checkout that runs, with a mark if files were changed since."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None  # an installed package
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
