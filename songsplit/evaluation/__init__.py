"""How close separated songs come to the true vocals and accompaniment.

`metrics` scores estimates against references, `oracles` makes the estimates that bound
what a mask can reach, `runner` goes through MUSDB18, and `report` stores and prints.
"""

from songsplit.evaluation.metrics import TrackScores, frame_sdr, score_track, usdr

__all__ = ["TrackScores", "frame_sdr", "score_track", "usdr"]
