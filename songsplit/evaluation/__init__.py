"""How close separated songs come to the true vocals and accompaniment.

Data flows one way: `references` finds songs with their true stems, `systems` gives estimates of
them, `track_scores` scores a song by means of `bss_eval`, `scoring` runs through the songs and
stores their scores, `summary` sums them up, and `report` and `compare` show them. `program` is
the program ``evaluate.py``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from songsplit.evaluation.bss_eval import ReferenceStatistics, frame_sdr, si_sdr, usdr
    from songsplit.evaluation.track_scores import TrackScorer, TrackScores, score_track

__all__ = [
    "ReferenceStatistics",
    "TrackScorer",
    "TrackScores",
    "frame_sdr",
    "score_track",
    "si_sdr",
    "usdr",
]


def __getattr__(name: str) -> Any:
    # Imported when first used: scoring needs PyTorch and SciPy, `evaluate.py --help` does not.
    if name not in __all__:
        raise AttributeError(f"module 'songsplit.evaluation' has no attribute {name!r}")
    home = "track_scores" if "track" in name.lower() else "bss_eval"
    return getattr(import_module(f"songsplit.evaluation.{home}"), name)
