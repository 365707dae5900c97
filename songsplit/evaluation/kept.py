"""Keeping the correlations of references, which are the same for every system scored."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np

from songsplit.evaluation.scores import Floats
from songsplit.files import write_whole

# Goes into the checksum: to be changed when correlations are computed in another way.
_FORMAT = b"songsplit correlations 1"


def store_correlations(path: Path, correlations: Floats) -> None:
    """Write correlations: a SHA-256, and the numbers in little-endian double precision.

    Parameters
    ----------
    path : Path
        The file, in folders that are made where they are missing.
    correlations : ndarray of float64

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    content = np.ascontiguousarray(correlations, "<f8").tobytes()
    write_whole(path, hashlib.sha256(_FORMAT + content).digest() + content)


def load_correlations(path: Path, shape: tuple[int, ...]) -> Floats | None:
    """Read correlations.

    Parameters
    ----------
    path : Path
        What `store_correlations` wrote.
    shape : tuple of int
        Shape that they must have.

    Returns
    -------
    ndarray of float64, shape as given, or None
        None if there is no such file, if it is damaged or of another kind: they must then
        be computed again.
    """
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, content = stored[:32], stored[32:]
    if hashlib.sha256(_FORMAT + content).digest() != digest or len(content) != 8 * math.prod(shape):
        return None
    return np.frombuffer(content, "<f8").astype(np.float64).reshape(shape)
