"""Scores by the package `museval` itself, to certify our own."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from songsplit.errors import DataError, MissingExtraError
from songsplit.evaluation.bsseval import FILTER_LENGTH
from songsplit.evaluation.framing import silent
from songsplit.evaluation.scores import Floats, Samples


class NoScoresError(Exception):
    """museval gives no scores for this audio."""


def museval_scores(references: Samples, estimates: Samples, window: int, hop: int) -> Floats:
    """Score with museval's BSS Eval v4.

    Parameters
    ----------
    references, estimates : ndarray, shape (targets, channels, samples)
        True and estimated audio of all targets.
    window, hop : int
        Length and distance of the frames in samples.

    Returns
    -------
    ndarray of float64, shape (4, targets, frames)
        SDR, ISR, SIR and SAR in dB.

    Raises
    ------
    NoScoresError
        If museval gives up: on references or estimates that are silent throughout, and on
        references that depend linearly on each other.
    MissingExtraError
        If museval is not installed.
    DataError
        If museval cannot work because the ffmpeg program is missing.
    """
    metrics = load_museval().metrics
    if silent(references).any() or silent(estimates).any():
        raise NoScoresError("museval scores nothing: a part is silent throughout")
    try:
        with warnings.catch_warnings():
            # scipy.fftpack, which museval uses, may announce its end; not for our readers.
            warnings.simplefilter("ignore", DeprecationWarning)
            *measures, _ = metrics.bss_eval(
                np.moveaxis(references.astype(np.float64), 1, 2),
                np.moveaxis(estimates.astype(np.float64), 1, 2),
                window=window,
                hop=hop,
                compute_permutation=False,
                filters_len=FILTER_LENGTH,
                framewise_filters=False,
                bsseval_sources_version=False,
            )
    except (np.linalg.LinAlgError, AttributeError) as error:
        # museval 0.4.1 guards against a singular system of equations by naming the
        # exception np.linalg.linalg.LinAlgError, a module that numpy 2.4 does not have.
        if isinstance(error, AttributeError) and "linalg" not in str(error):
            raise
        raise NoScoresError(
            "museval scores nothing: the references depend linearly on each other"
        ) from error
    return np.stack(measures)


def load_museval() -> Any:
    """Import museval, which is optional and needs the ffmpeg program.

    Returns
    -------
    module
        The package `museval`.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    DataError
        If the programs ffmpeg and ffprobe, which it looks for on import, are missing.
    """
    try:
        import museval
    except ImportError as error:
        raise MissingExtraError("museval", "eval") from error
    except RuntimeError as error:
        raise DataError(
            "museval needs the programs ffmpeg and ffprobe: install ffmpeg from "
            "https://ffmpeg.org or the system's packages and put it on the PATH"
        ) from error
    return museval
