"""Odd, damaged, lying and hostile files, and faults on the way: a song is separated or named."""
