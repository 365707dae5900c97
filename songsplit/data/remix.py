"""Training examples made by mixing stems of different songs.

Example number ``i`` is a function of the seed and ``i`` alone, so data loading in
several processes, and a run that is resumed, see the same examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from songsplit.audio import resample
from songsplit.data.cache import Clip, ClipCache
from songsplit.errors import ConfigError, DataError

_SILENCE = 1e-3  # root mean square below which a chunk of singing counts as silent
_ATTEMPTS = 4

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class RemixConfig:
    """How examples are mixed; every share is a probability.

    Attributes
    ----------
    vocals : mapping of str to float
        Weights of the sources that singing is drawn from.
    backing : mapping of str to float
        Weights of the sources that backings are drawn from. From songs with several
        backing stems each stem is drawn from a song of its own.
    same_song : mapping of str to float
        Weights of the sources whose songs are taken as they are.
    same_song_share : float
        Share of examples that are taken from one song.
    level_mean, level_deviation : float
        Ratio of vocals to backing in dB, drawn from a normal distribution.
    second_singer : float
        Share of examples with another singer on top.
    silent_vocals, silent_backing : float
        Share of examples without the one or the other.
    speed : float
        Share of stems that are played faster or slower, by up to ``speed_range``.
    speed_range : float
        Largest change of speed, hence of pitch and tempo together.
    """

    vocals: Mapping[str, float] = field(default_factory=lambda: {"musdb18": 1.0})
    backing: Mapping[str, float] = field(default_factory=lambda: {"musdb18": 1.0})
    same_song: Mapping[str, float] = field(default_factory=lambda: {"musdb18": 1.0})
    same_song_share: float = 0.25
    level_mean: float = -5.0
    level_deviation: float = 5.0
    second_singer: float = 0.12
    silent_vocals: float = 0.05
    silent_backing: float = 0.02
    speed: float = 0.4
    speed_range: float = 0.12

    def __post_init__(self) -> None:
        for name in ("vocals", "backing", "same_song"):
            weights = getattr(self, name).values()
            if not weights or min(weights) < 0 or sum(weights) == 0:
                raise ConfigError(f"remix setting {name} needs sources with weights above zero")
        for name in ("same_song_share", "second_singer", "silent_vocals", "silent_backing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"remix setting {name} must lie between 0 and 1")
        if not (0 <= self.speed <= 1 and 0 <= self.speed_range < 1):
            raise ConfigError("remix settings speed and speed_range must lie between 0 and 1")


class Example(TypedDict):
    """One training example: two stems, and the band in Hz that they cover."""

    vocals: Audio
    instrumental: Audio
    bandwidth: np.float32


class RemixDataset(Dataset[Example]):
    """Endless supply of training examples with random access.

    Parameters
    ----------
    cache : ClipCache
        Only its clips of the train split are used.
    config : RemixConfig
    samples : int
        Length of an example.
    length : int
        Number of examples.
    seed : int

    Raises
    ------
    DataError
        If a source that has a weight holds no usable clip.
    """

    def __init__(
        self, cache: ClipCache, config: RemixConfig, samples: int, length: int, seed: int
    ) -> None:
        self.cache = cache
        self.config = config
        self.samples = samples
        self.length = length
        self.seed = seed
        clips = [c for c in cache.clips if c.split == "train"]
        self._singers = _Pool(config.vocals, [c for c in clips if "vocals" in c.stems])
        self._backings = _Pool(config.backing, [c for c in clips if c.backing])
        self._songs = _Pool(
            config.same_song, [c for c in clips if "vocals" in c.stems and c.backing]
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Example:
        """Make example number ``index``; stems have shape (2, samples)."""
        rng = np.random.default_rng([self.seed, index])
        if rng.random() < self.config.same_song_share:
            vocals, backing, bandwidth = self._same_song(rng)
        else:
            vocals, backing, bandwidth = self._remixed(rng)
        silent = rng.random()
        if silent < self.config.silent_vocals:
            vocals = np.zeros_like(vocals)
        elif silent > 1 - self.config.silent_backing:
            backing = np.zeros_like(backing)
        loudness = np.float32(10 ** (rng.uniform(-12, 0) / 20))
        return {
            "vocals": vocals * loudness,
            "instrumental": backing * loudness,
            "bandwidth": np.float32(bandwidth),
        }

    def _same_song(self, rng: np.random.Generator) -> tuple[Audio, Audio, float]:
        clip = self._songs.draw(rng)
        start = self._start(rng, clip, self.samples)
        vocals = self._chunk(clip, "vocals", start, self.samples)
        backing = sum(
            (self._chunk(clip, stem, start, self.samples) for stem in clip.backing),
            np.zeros_like(vocals),
        )
        if rng.random() < 0.5:
            vocals, backing = vocals[::-1], backing[::-1]
        gain = np.float32(10 ** (rng.normal(0, 2) / 20))
        return vocals * gain, backing, clip.bandwidth or np.inf

    def _remixed(self, rng: np.random.Generator) -> tuple[Audio, Audio, float]:
        singer = self._singers.draw(rng)
        vocals = self._vocals(rng, singer)
        bandwidth = singer.bandwidth or np.inf
        if rng.random() < self.config.second_singer:
            other = self._singers.draw(rng)
            vocals = vocals + _matched(self._vocals(rng, other), vocals, rng.uniform(-9, 0))
            bandwidth = min(bandwidth, other.bandwidth or np.inf)
        first = self._backings.draw(rng)
        backing = np.zeros_like(vocals)
        for stem in first.backing:
            clip = first
            if stem != "instrumental":
                clip = self._backings.draw(rng, source=first.source)
            part = self._varied(rng, clip, stem)
            backing = backing + part * np.float32(10 ** (rng.normal(0, 3) / 20))
            bandwidth = min(bandwidth, clip.bandwidth or np.inf)
        level = rng.normal(self.config.level_mean, self.config.level_deviation)
        return _matched(vocals, backing, level), backing, bandwidth

    def _vocals(self, rng: np.random.Generator, clip: Clip) -> Audio:
        """Draw a chunk of singing, preferably one that is not silent."""
        for _ in range(_ATTEMPTS):
            chunk = self._varied(rng, clip, "vocals")
            if _rms(chunk) > _SILENCE:
                break
        return chunk

    def _varied(self, rng: np.random.Generator, clip: Clip, stem: str) -> Audio:
        """Draw a chunk of a stem with random speed, polarity and channel order."""
        speed = 1.0
        if rng.random() < self.config.speed:
            speed = 1 + rng.uniform(-self.config.speed_range, self.config.speed_range)
        samples = round(self.samples * speed)
        chunk = self._chunk(clip, stem, self._start(rng, clip, samples), samples)
        if samples != self.samples:
            chunk = resample(chunk, samples, self.samples, length=self.samples)
        if rng.random() < 0.5:
            chunk = chunk[::-1]
        return chunk if rng.random() < 0.5 else -chunk

    def _start(self, rng: np.random.Generator, clip: Clip, samples: int) -> int:
        return int(rng.integers(0, max(clip.samples - samples, 0) + 1))

    def _chunk(self, clip: Clip, stem: str, start: int, samples: int) -> Audio:
        """Read a chunk, with silence after the end of clips that are shorter."""
        chunk = self.cache.read(clip, stem, start, samples)
        missing = samples - chunk.shape[1]
        return np.pad(chunk, ((0, 0), (0, missing))) if missing > 0 else chunk


class _Pool:
    """Clips of several sources, drawn by the weight of the source."""

    def __init__(self, weights: Mapping[str, float], clips: list[Clip]) -> None:
        self.by_source = {source: [c for c in clips if c.source == source] for source in weights}
        for source, found in self.by_source.items():
            if not found:
                raise DataError(
                    f"the cache holds no clip for training of the source {source!r} with the "
                    "stems that are asked of it: add the source or take it out of the config"
                )
        total = sum(weights.values())
        self.sources = list(weights)
        self.shares = [weights[source] / total for source in self.sources]

    def draw(self, rng: np.random.Generator, source: str | None = None) -> Clip:
        if source is None:
            source = self.sources[int(rng.choice(len(self.sources), p=self.shares))]
        clips = self.by_source[source]
        return clips[int(rng.integers(len(clips)))]


def _rms(audio: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(audio), dtype=np.float64)))


def _matched(audio: Audio, reference: Audio, level: float) -> Audio:
    """Scale audio to lie ``level`` dB above the reference, if both can be heard."""
    here, there = _rms(audio), _rms(reference)
    if min(here, there) <= _SILENCE:
        return audio
    return audio * np.float32(there / here * 10 ** (level / 20))
