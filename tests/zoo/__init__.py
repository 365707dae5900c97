"""A zoo of odd audio files, made from nothing, and what has to become of each.

``python -m tests.zoo FOLDER`` writes them all, with an index of what is expected.
"""
