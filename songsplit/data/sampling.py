"""Batches of training chunks, drawn at random from the cache.

Batch number ``n`` of a rank depends only on the seed, the rank and ``n``, not on the number of
loader processes or on where a run was stopped and resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import TypeAlias, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from songsplit.data.cache import Clip
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, OTHER, PART_NAMES, VOCALS
from songsplit.data.sources import SourceConfig
from songsplit.errors import ConfigError, DataError

_SILENCE = 6e-3  # root mean square, -44 dB, below which half a second holds no singing
_ACTIVITY_SECONDS = 0.5
_ATTEMPTS = 4
_FADE = 1024  # samples

# For each slot of an example: clip, stem and first sample.
_Chunks: TypeAlias = dict[int, tuple[Clip, str, int]]


@dataclass(frozen=True)
class SamplingConfig:
    """Settings of the choice of stems; every share is a probability.

    Attributes
    ----------
    same_song_share : float
        Share of examples whose stems come from the same part of one song. In the others, the
        singer and each part of the backing come from different songs.
    second_singer : float
        Share of the other examples that get a second singer.
    """

    same_song_share: float = 0.25
    second_singer: float = 0.12

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not 0 <= value <= 1:
                raise ConfigError(f"sampling.{entry.name} must lie between 0 and 1, not {value}")


class Batch(TypedDict):
    """Chunks in the format of the cache, which the training device mixes."""

    parts: Tensor  # int16 (number present, 2, samples), in row-major order of `present`
    scales: Tensor  # float32 (batch, slots), factors of the parts
    present: Tensor  # bool (batch, slots), whether an example has each of PART_NAMES
    same_song: Tensor  # bool (batch,)
    bandwidth: Tensor  # float32 (batch,) in Hz, possibly infinite
    samples: int  # length of the examples; parts may be longer
    number: int  # counts batches from the start of the run
    seed: int  # of all random choices for this batch


@dataclass(eq=False, repr=False)
class TrainingBatches(IterableDataset[Batch]):
    """Endless batches of chunks from the train split, from batch number `first` on.

    If `targets` contains parts of the backing, backings come only from songs with these parts.
    Chunks have `read_samples` samples, at least `samples`, the length of an example. `batch_size`
    is per rank. A DataError is raised if no source with a weight above zero has the needed stems.
    """

    clips: Sequence[Clip]
    sources: Mapping[str, SourceConfig]
    sampling: SamplingConfig
    _: KW_ONLY
    targets: Sequence[str]
    sample_rate: int
    samples: int
    read_samples: int
    batch_size: int
    seed: int
    first: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        clips = [clip for clip in self.clips if clip.song.split == "train"]
        singers = [c for c in clips if VOCALS in c.stems and any(c.stems[VOCALS].activity)]
        backings = _with_backing(clips, self.targets)
        songs = [clip for clip in backings if VOCALS in clip.stems]
        if self.sampling.same_song_share < 1:
            what = f"a backing for the targets {', '.join(self.targets)}"
            self._singers = _Pool("singing", self.sources, "vocals_weight", singers)
            self._backings = _Pool(what, self.sources, "backing_weight", backings)
        if self.sampling.same_song_share > 0:
            self._songs = _Pool("vocals and backing", self.sources, "same_song_weight", songs)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, step = (worker.id, worker.num_workers) if worker else (0, 1)
        number += self.first
        while True:
            yield self.batch(number)
            number += step

    def batch(self, number: int) -> Batch:
        """Return batch ``number``."""
        examples = list(self._examples(number))
        scales = np.zeros((self.batch_size, len(PART_NAMES)), np.float32)
        bandwidth = np.full(self.batch_size, np.inf, np.float32)
        for item, (_, chunks) in enumerate(examples):
            for slot, (clip, stem, _) in chunks.items():
                scales[item, slot] = clip.stems[stem].scale
                bandwidth[item] = min(bandwidth[item], clip.song.bandwidth or np.inf)
        present = scales > 0
        parts = np.zeros((int(present.sum()), 2, self.read_samples), np.int16)
        for part, (item, slot) in zip(parts, np.argwhere(present), strict=True):
            clip, stem, start = examples[item][1][slot]
            chunk = clip.stems[stem].read_raw(start, self.read_samples)
            if chunk.shape[1] < self.read_samples:
                _fade_out(chunk)
            part[:, : chunk.shape[1]] = chunk
        return {
            "parts": torch.from_numpy(parts),
            "scales": torch.from_numpy(scales),
            "present": torch.from_numpy(present),
            "same_song": torch.tensor([same_song for same_song, _ in examples]),
            "bandwidth": torch.from_numpy(bandwidth),
            "samples": self.samples,
            "number": number,
            "seed": _seed(self.seed, number, self.rank),
        }

    def describe(self, number: int) -> list[str]:
        """Return the clips of batch ``number`` as text, one line for each example."""
        return [
            ", ".join(
                f"{PART_NAMES[slot]} of {clip.song.source}/{clip.song.name} from sample {start}"
                for slot, (clip, _, start) in chunks.items()
            )
            for _, chunks in self._examples(number)
        ]

    def _examples(self, number: int) -> Iterator[tuple[bool, _Chunks]]:
        """Draw examples: whether all stems are from one song, and the chunk of each slot."""
        first = (number * self.world_size + self.rank) * self.batch_size
        for index in range(first, first + self.batch_size):
            rng = np.random.default_rng([self.seed, index])
            same_song = bool(rng.random() < self.sampling.same_song_share)
            yield same_song, self._same_song(rng) if same_song else self._remixed(rng)

    def _same_song(self, rng: np.random.Generator) -> _Chunks:
        clip = self._songs.draw(rng)
        start = self._start(rng, clip)
        return {_slot(stem): (clip, stem, start) for stem in clip.stems}

    def _remixed(self, rng: np.random.Generator) -> _Chunks:
        chunks = {0: self._voice(rng)}
        if rng.random() < self.sampling.second_singer:
            chunks[1] = self._voice(rng)
        first = self._backings.draw(rng)
        for stem in first.backing:
            clip = first
            if stem != INSTRUMENTAL:
                # Drums, bass and other may come from different songs of one source.
                clip = self._backings.draw(rng, first.song.source, stem)
            chunks[_slot(stem)] = (clip, stem, self._start(rng, clip))
        return chunks

    def _voice(self, rng: np.random.Generator) -> tuple[Clip, str, int]:
        """Draw a chunk with singing, if a few attempts find one."""
        clip = self._singers.draw(rng)
        activity = np.asarray(clip.stems[VOCALS].activity)
        block = _ACTIVITY_SECONDS * self.sample_rate
        for _ in range(_ATTEMPTS):
            start = self._start(rng, clip)
            span = activity[int(start / block) : int((start + self.read_samples) / block) + 1]
            if span.size and span.max() > _SILENCE:
                break
        return clip, VOCALS, start

    def _start(self, rng: np.random.Generator, clip: Clip) -> int:
        return int(rng.integers(0, max(clip.samples - self.read_samples, 0) + 1))


class _Pool:
    """Clips of several sources, drawn by the weights of the sources."""

    def __init__(
        self, what: str, sources: Mapping[str, SourceConfig], weight: str, clips: Sequence[Clip]
    ) -> None:
        self.clips: dict[str, list[Clip]] = {}
        weights = []
        for name, source in sources.items():
            own = getattr(source, weight)
            amount = source.weight if own is None else own
            found = [clip for clip in clips if clip.song.source == name]
            if own and not found:
                raise DataError(
                    f"the source {name!r} has no training clip with {what}: "
                    f"remove its {weight} from the config"
                )
            if amount > 0 and found:
                self.clips[name] = found
                weights.append(amount)
        if not weights:
            raise DataError(
                f"no training clip has {what}: "
                "add a source with such clips, or give one a weight above zero"
            )
        self.sources = list(self.clips)
        self.shares = [amount / sum(weights) for amount in weights]

    def draw(
        self, rng: np.random.Generator, source: str | None = None, stem: str | None = None
    ) -> Clip:
        """Draw a clip, optionally of one source and with one stem."""
        if source is None:
            source = self.sources[int(rng.choice(len(self.sources), p=self.shares))]
        clips = [clip for clip in self.clips[source] if stem is None or stem in clip.stems]
        return clips[int(rng.integers(len(clips)))]


def _with_backing(clips: Sequence[Clip], targets: Sequence[str]) -> list[Clip]:
    """Choose clips with a backing, which must be in parts if a target is one of them."""
    in_parts = not set(BACKING_PARTS).isdisjoint(targets)
    return [
        clip for clip in clips if clip.backing and not (in_parts and INSTRUMENTAL in clip.stems)
    ]


def _fade_out(chunk: NDArray[np.int16]) -> None:
    """Fade out a recording that ends within a chunk, in place."""
    count = min(_FADE, chunk.shape[1])
    end = chunk[:, chunk.shape[1] - count :]
    end[:] = end * np.linspace(1, 0, count)


def _seed(*numbers: int) -> int:
    """Combine numbers into one seed for torch."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _slot(stem: str) -> int:
    return PART_NAMES.index(OTHER if stem == INSTRUMENTAL else stem)


class WholeClip(TypedDict):
    """A validation clip: its name, and stems of shape (targets, 2, samples)."""

    name: str
    stems: NDArray[np.float32]


@dataclass(eq=False, repr=False)
class ValidationClips(IterableDataset[WholeClip]):
    """The clips of one rank in the valid split that have all of `targets`.

    Ranks wait for each other in each step, so if the clips cannot be divided evenly, some ranks get
    an empty clip at the end. Lightning would instead count some clips twice, but not in an iterable
    dataset. A DataError is raised if no clip has the targets.
    """

    clips: Sequence[Clip]
    targets: Sequence[str]
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        backings = _with_backing(self.clips, self.targets)
        self.clips = [c for c in backings if c.song.split == "valid" and VOCALS in c.stems]
        if not self.clips:
            raise DataError(
                "there is no song for validation: add one with the stems "
                f"{', '.join(self.targets)}, or raise valid_share"
            )

    def __iter__(self) -> Iterator[WholeClip]:
        for index in range(self.rank, len(self.clips) + self.rank, self.world_size):
            if index < len(self.clips):
                yield self._read(self.clips[index])
            else:
                yield {"name": "", "stems": np.zeros((len(self.targets), 2, 0), np.float32)}

    def _read(self, clip: Clip) -> WholeClip:
        silence = np.zeros((2, clip.samples), np.float32)
        stems = {}
        for name, stem in clip.stems.items():
            stems[name] = silence.copy()
            stems[name][:, : stem.samples] = stem.read()
        if INSTRUMENTAL in self.targets:
            stems[INSTRUMENTAL] = sum((stems[name] for name in clip.backing), silence)
        return {
            "name": f"{clip.song.source}/{clip.song.name}",
            "stems": np.stack([stems.get(name, silence) for name in self.targets]),
        }
