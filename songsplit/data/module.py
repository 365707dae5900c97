"""Lightning data module: remixed chunks to train on, whole clips to validate on."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from songsplit.data.cache import Clip, ClipCache
from songsplit.data.remix import Example, RemixConfig, RemixDataset
from songsplit.errors import DataError

_DEFAULT_REMIX = RemixConfig()


class WholeClip(TypedDict):
    """Two stems of a whole clip, each of shape (2, samples)."""

    vocals: NDArray[np.float32]
    instrumental: NDArray[np.float32]


class WholeClips(Dataset[WholeClip]):
    """Clips of the valid split that have vocals and a backing, uncut.

    Parameters
    ----------
    cache : ClipCache

    Raises
    ------
    DataError
        If there are none.
    """

    def __init__(self, cache: ClipCache) -> None:
        self.cache = cache
        self.clips: list[Clip] = [
            c for c in cache.clips if c.split == "valid" and "vocals" in c.stems and c.backing
        ]
        if not self.clips:
            raise DataError(f"{cache.folder} holds no clips for validation")

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> WholeClip:
        clip = self.clips[index]
        backing = [self.cache.read(clip, name) for name in clip.backing]
        vocals = self.cache.read(clip, "vocals")
        return {"vocals": vocals, "instrumental": np.sum(backing, axis=0)}


class RemixDataModule(pl.LightningDataModule):
    """Examples for training and validation out of a cache folder.

    Parameters
    ----------
    cache : str
        Folder filled by ``python -m songsplit.data``.
    chunk_samples : int
        Length of a training example.
    batch_size : int
    batches : int
        Batches in an epoch.
    workers : int
        Processes that prepare batches ahead.
    seed : int
    remix : RemixConfig
    """

    def __init__(
        self,
        cache: str,
        chunk_samples: int,
        batch_size: int = 4,
        batches: int = 200,
        workers: int = 1,
        seed: int = 0,
        remix: RemixConfig = _DEFAULT_REMIX,
    ) -> None:
        super().__init__()
        self.cache = cache
        self.chunk_samples = chunk_samples
        self.batch_size = batch_size
        self.batches = batches
        self.workers = workers
        self.seed = seed
        self.remix = remix

    def train_dataloader(self) -> DataLoader[Example]:
        """Chunks of the epoch that begins; needs the trainer to reload it every epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        dataset = RemixDataset(
            ClipCache(self.cache),
            self.remix,
            samples=self.chunk_samples,
            length=self.batches * self.batch_size,
            # Every epoch draws new examples, and drawing them again after a restart in
            # the same epoch gives the same ones.
            seed=self.seed * 1_000_003 + epoch,
        )
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            num_workers=self.workers,
            persistent_workers=False,
        )

    def val_dataloader(self) -> DataLoader[WholeClip]:
        """Whole clips, one at a time because their lengths differ."""
        return DataLoader(WholeClips(ClipCache(self.cache)), batch_size=1)
