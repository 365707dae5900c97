"""What a training checkpoint holds besides what Lightning puts there."""

from __future__ import annotations

CONFIG_KEY = "songsplit_config"
"""JSON text of the :class:`~songsplit.models.config.MaskUNetConfig` of the network."""

PROVENANCE_KEY = "songsplit_provenance"
"""JSON text of an object that says what the weights were made from: the version of the code,
the data with their licences, augmentation, loss, seed and validation scores."""
