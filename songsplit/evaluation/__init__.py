"""How close separated songs come to the true vocals and accompaniment.

`track` scores one song, with `bsseval` and `ratios` for the numbers; `oracles` makes the
estimates that bound what a mask can reach; `runner` goes through the songs that `songs` finds
with the systems of `systems`; `store`, `summary`, `tables`, `html` and `compare` keep, sum up
and show the scores.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from songsplit.evaluation.bsseval import ReferenceStatistics
    from songsplit.evaluation.ratios import frame_sdr, si_sdr, usdr
    from songsplit.evaluation.scores import TrackScores
    from songsplit.evaluation.track import TrackScorer, score_track

__all__ = [
    "ReferenceStatistics",
    "TrackScorer",
    "TrackScores",
    "frame_sdr",
    "score_track",
    "si_sdr",
    "usdr",
]

# Looked up when first used: scoring needs SciPy, of the eval extra, but storing does not.
_HOMES = {
    "ReferenceStatistics": "bsseval",
    "TrackScorer": "track",
    "TrackScores": "scores",
    "frame_sdr": "ratios",
    "score_track": "track",
    "si_sdr": "ratios",
    "usdr": "ratios",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'songsplit.evaluation' has no attribute {name!r}")
    value = getattr(import_module(f"songsplit.evaluation.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
