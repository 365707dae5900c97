"""Random damage to everything that songsplit parses and may come from a stranger.

``python -m tests.fuzz --minutes 60`` looks for faults as long as it is told to;
:mod:`tests.fuzz.test_fuzz` does so for a short time.
"""
