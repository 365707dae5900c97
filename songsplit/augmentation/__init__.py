"""Augmentation of training examples in batches, on the device that trains."""

from songsplit.augmentation.chain import Augmentation, AugmentConfig

__all__ = ["AugmentConfig", "Augmentation"]
