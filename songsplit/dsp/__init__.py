"""Signal processing between samples and spectrograms; no files, no networks."""

EDGE_BINS = 16
"""Number of highest masked bins whose mean continues the mask upwards."""
