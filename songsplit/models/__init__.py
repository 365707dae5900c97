"""The separation network, its configuration and its weights files."""
