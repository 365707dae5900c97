"""Many songs at once: which there are, what becomes of each, and how it went."""
