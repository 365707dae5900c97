"""How close separated songs come to the true vocals and accompaniment.

`track` scores one song, with `bsseval` and `ratios` for the numbers; `oracles` makes the
estimates that bound what a mask can reach; `runner` goes through the songs that `songs` finds;
`store`, `summary`, `tables`, `html` and `compare` keep, sum up and show the scores.
"""

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
