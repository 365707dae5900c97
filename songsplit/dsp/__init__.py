"""Signal processing between samples and spectrograms; no files, no networks."""
