"""Lightning data module that fills the cache and loads batches and clips from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from songsplit.data.cache import Clip, fill_cache
from songsplit.data.sampling import (
    Batch,
    SamplingConfig,
    TrainingBatches,
    ValidationClips,
    WholeClip,
)
from songsplit.data.songs import INSTRUMENTAL, VOCALS, OnBad
from songsplit.data.sources import SourceConfig, find_source
from songsplit.errors import ConfigError

_PREFETCH = 4  # batches that each loader process keeps ready


@dataclass(eq=False, repr=False)
class StemDataModule(pl.LightningDataModule):
    """Training batches and validation clips from any number of sources.

    Parameters
    ----------
    sources : dict of str to SourceConfig
        Sources of songs by a name of your choice.
    cache : str
        Folder into which all audio is decoded once.
    chunk_samples : int
        Length of a training example in samples.
    batch_size : int
        Examples per step and device.
    workers : int
        Loader processes per device; with 0, the training process loads batches itself.
    seed : int
        Seed of the choice of chunks.
    sampling : SamplingConfig
    on_bad : {"skip", "stop"}
        Whether unusable songs are left out with a warning or stop the training.
    read_samples : int or None
        Samples to read for an example, more than ``chunk_samples`` if augmentation may
        shorten it. Set by ``train.py``.
    targets : tuple of str
        Targets of the network. Set by ``train.py``.
    sample_rate : int
        Sample rate of the network in Hz. Set by ``train.py``.
    """

    sources: dict[str, SourceConfig]
    cache: str = "cache"
    chunk_samples: int = 180224
    batch_size: int = 4
    workers: int = 1
    seed: int = 0
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    on_bad: OnBad = "skip"
    read_samples: int | None = None
    targets: tuple[str, ...] = (VOCALS, INSTRUMENTAL)
    sample_rate: int = 44100

    def __post_init__(self) -> None:
        super().__init__()
        self.clips: list[Clip] = []
        if not self.sources:
            raise ConfigError("data.sources is empty: name at least one source")
        for name, least in {"chunk_samples": 1, "batch_size": 1, "workers": 0, "seed": 0}.items():
            if getattr(self, name) < least:
                raise ConfigError(
                    f"data.{name} must be at least {least}, not {getattr(self, name)}"
                )

    def setup(self, stage: str = "fit") -> None:
        """Find the songs and fill the cache in one process, while the others wait."""
        if not self.clips:
            songs = [
                song
                for name, source in self.sources.items()
                for song in find_source(name, source, self.on_bad)
            ]
            self.clips = fill_cache(songs, self.cache, self.sample_rate, self.on_bad)

    def train_batches(self) -> TrainingBatches:
        """Return the batches of this rank, from the trainer's step on."""
        trainer = self.trainer
        rank, world_size = self._rank()
        return TrainingBatches(
            self.clips,
            self.sources,
            self.sampling,
            targets=self.targets,
            sample_rate=self.sample_rate,
            samples=self.chunk_samples,
            read_samples=self.read_samples or self.chunk_samples,
            batch_size=self.batch_size,
            seed=self.seed,
            first=trainer.global_step * trainer.accumulate_grad_batches if trainer else 0,
            rank=rank,
            world_size=world_size,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return endless batches; a resumed run continues with the next batch."""
        return DataLoader(
            self.train_batches(),
            batch_size=None,
            num_workers=self.workers,
            prefetch_factor=_PREFETCH if self.workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[WholeClip]:
        """Return the validation clips of this rank, one at a time because their lengths differ."""
        return DataLoader(ValidationClips(self.clips, self.targets, *self._rank()), batch_size=None)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move the audio of a training batch; the other entries stay on the CPU."""
        moved = {name: batch[name] for name in ("parts", "scales") if name in batch}
        return batch | {name: x.to(device, non_blocking=True) for name, x in moved.items()}

    def provenance(self) -> Mapping[str, Mapping[str, Any]]:
        """Return a description of the sources for the record in the weights file."""
        found = {}
        for name, source in self.sources.items():
            own = [clip for clip in self.clips if clip.song.source == name]
            found[name] = {
                "kind": source.kind,
                "weight": source.weight,
                "licence": source.licence,
                "path": Path(source.path).name,
                "clips": len(own),
                "seconds": round(sum(clip.samples for clip in own) / self.sample_rate, 3),
            }
        return found

    def _rank(self) -> tuple[int, int]:
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
