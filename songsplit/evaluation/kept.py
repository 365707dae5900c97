"""Keeping the correlations of references, which are the same for every system scored."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from songsplit.evaluation.scores import Floats
from songsplit.files import write_whole


def store_correlations(path: Path, correlations: Floats) -> None:
    """Write correlations.

    Parameters
    ----------
    path : Path
        An ``.npz`` file, which has a checksum.
    correlations : ndarray of float64

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, correlations=correlations)
    write_whole(path, content.getvalue())


def load_correlations(path: Path) -> Floats | None:
    """Read correlations.

    Parameters
    ----------
    path : Path
        What `store_correlations` wrote.

    Returns
    -------
    ndarray of float64 or None
        None if there is no such file or it is damaged: they must then be computed again.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            correlations: Floats = content["correlations"]
            return correlations
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
