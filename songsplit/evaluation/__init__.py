"""Scores of separated songs against the true vocals and accompaniment.

Data flows one way: `references` finds songs with their true stems, `systems` gives estimates of the
stems, `track_scores` scores a song with `bss_eval`, and `summary` summarises songs and compares
systems. `program` is the program ``evaluate.py``, and `report` writes its HTML report.
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
