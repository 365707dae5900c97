"""How close separated songs come to the true vocals and accompaniment.

Data flows one way: `references` finds songs with their true stems, `systems` gives estimates of
them, `track_scores` scores a song by means of `bss_eval`, and `summary` sums songs up, shows them
and compares systems. `program` is the program ``evaluate.py``, and `report` writes its page.
"""

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
