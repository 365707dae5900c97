"""Signal processing of samples and spectrograms, without files or networks."""

EDGE_BINS = 16
"""Number of highest masked bins whose mean is the mask of all bins above them."""
