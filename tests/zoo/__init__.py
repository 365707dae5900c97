"""Odd, damaged and hostile files, and faults: each song is separated or refused by name."""
