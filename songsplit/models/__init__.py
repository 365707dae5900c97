"""The separation network, its configuration and its storage; no audio files."""
