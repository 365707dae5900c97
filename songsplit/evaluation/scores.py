"""What the scores of one system on one song are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from songsplit.data.songs import BACKING_PARTS, VOCALS

Floats: TypeAlias = NDArray[np.float64]
Samples: TypeAlias = NDArray[np.floating[Any]]

ACCOMPANIMENT = "accompaniment"
"""Everything but the vocals."""

TWO_TARGETS = (VOCALS, ACCOMPANIMENT)
FIVE_TARGETS = (*TWO_TARGETS, *BACKING_PARTS)

METRICS = ("SDR", "ISR", "SIR", "SAR")
"""Measures of BSS Eval v4, in dB, of each frame."""

WHOLE_MEASURES = ("uSDR", "SI-SDR")
"""Measures of the whole song, in dB."""

WINDOW_SECONDS = 1.0
HOP_SECONDS = 1.0


@dataclass(frozen=True)
class TrackScores:
    """Scores of one system on one song.

    Parameters
    ----------
    frames : mapping of str to mapping of str to ndarray of float64, shape (frames,)
        For each target that was scored and each measure of `METRICS` the value in dB of
        every frame. NaN marks frames that cannot be scored. Empty if the song could not be
        scored at all.
    whole : mapping of str to mapping of str to float
        For each target that was scored and each measure of `WHOLE_MEASURES` the value in
        dB, NaN where it cannot be computed.
    remark : str
        What a reader must know: why scores are missing, or what was done to the estimates
        before they were scored. Otherwise empty.
    """

    frames: Mapping[str, Mapping[str, Floats]]
    whole: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    remark: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets that were scored, in order."""
        return tuple(self.frames)

    def value(self, target: str, measure: str) -> float:
        """Give the figure of the song in one measure.

        Parameters
        ----------
        target : str
            A target, scored or not.
        measure : str
            One of `METRICS`, of which the median over the frames that have a finite score
            is taken (infinite ones, of a perfect estimate, are left out as museval leaves
            them out), or one of `WHOLE_MEASURES`.

        Returns
        -------
        float
            The figure in dB, NaN if there is none.
        """
        if measure in WHOLE_MEASURES:
            return self.whole.get(target, {}).get(measure, float("nan"))
        if target not in self.frames:
            return float("nan")
        return finite_median(self.frames[target][measure])


def finite_median(values: Floats) -> float:
    """Median of the values that are finite.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)

    Returns
    -------
    float
        NaN if no value is finite.
    """
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")
