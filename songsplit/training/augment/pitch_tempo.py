"""Random changes of pitch and tempo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from songsplit.training.augment import draws
from songsplit.training.augment.effects import Changes
from songsplit.training.augment.loudness import root_mean_square, with_level
from songsplit.training.augment.resampling import (
    MARGIN,
    nearest_rate,
    resample,
    samples_needed,
    smooth_rates,
)
from songsplit.training.augment.settings import EffectSettings
from songsplit.training.augment.vocoder import change_tempo

_VARISPEED, _TEMPO, _PITCH = range(3)


@dataclass(frozen=True)
class PitchTempoConfig(EffectSettings):
    """Settings of :class:`PitchTempo`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
    speed : float
        Largest change of speed, pitch and tempo together, as a share: 0.12 is 12 %. The
        rates used are ratios of small numbers up to that.
    tempo : float
        Largest change of tempo alone, as a share.
    semitones : float
        Largest change of pitch alone.
    vocoded : float
        Share of the changed items that change tempo alone or pitch alone, each as often
        as the other. These cost about 25 times as much as a change of speed.
    songs : float
        Share of the examples whose parts come from one song that change their speed, all
        parts alike. A network that hears the same few songs for long knows them by heart,
        and at other speeds it does not.
    """

    section: ClassVar[str] = "pitch_tempo"
    share: float = 0.25
    speed: float = 0.12
    tempo: float = 0.12
    semitones: float = 3.0
    vocoded: float = 0.15
    songs: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_within("songs", 0, 1)
        self._require_within("speed", 0, 0.5)
        self._require_within("tempo", 0, 0.5)
        self._require_within("semitones", 0, 12)
        self._require_within("vocoded", 0, 1)

    def read_samples(self, samples: int) -> int:
        """Return how many samples must be read to get that many out of the effect."""
        if self.share == self.songs == 0:
            return samples
        return samples_needed(samples, 1 + max(self.speed, self.tempo))


class PitchTempo(nn.Module):
    """Play items faster or slower, or change only their tempo or only their pitch.

    Changes of speed go through :func:`~songsplit.training.augment.resampling.resample`:
    frequencies are multiplied by the speed, images and aliases lie more than 80 dB below.
    Speeds and intervals are rounded to ratios of small numbers, at most half a semitone
    apart. Changes of tempo go through a phase vocoder made for rates near 44.1 kHz: a steady
    tone keeps its frequency to within a tenth of a cent, with all else more than 60 dB
    below, but attacks are smeared over some 20 ms. Changes of pitch are both in turn.

    Parameters
    ----------
    config : PitchTempoConfig
    """

    def __init__(self, config: PitchTempoConfig) -> None:
        super().__init__()
        self.config = config
        ratio = 2 ** (config.semitones / 12)
        self.speeds = smooth_rates(1 - config.speed, 1 + config.speed)
        self.intervals = smooth_rates(1 / ratio, ratio)

    def forward(
        self,
        audio: Tensor,
        generator: torch.Generator,
        samples: int,
        eligible: Tensor | None = None,
        vocoded: Tensor | None = None,
    ) -> Tensor:
        """Change a random share of the items, and cut the others to length.

        Parameters
        ----------
        audio : Tensor of float32, shape (items, 2, n)
            At least ``config.read_samples(samples)`` samples. Stays as it is.
        generator : torch.Generator
            On the CPU.
        samples : int
            Length of the result.
        eligible, vocoded : Tensor of bool, shape (items,), optional
            Items that may be changed at all, and those of them whose tempo or pitch may
            be changed alone, on the CPU; by default, all.

        Returns
        -------
        Tensor of float32, shape (items, 2, samples)

        Raises
        ------
        ValueError
            If the audio is too short.
        """
        index, changed = self.changes(audio, generator, samples, eligible, vocoded)
        cropped = audio[..., :samples]
        if not len(index):
            return cropped
        return cropped.index_copy(0, draws.move(index, audio.device), changed)

    def changes(
        self,
        audio: Tensor,
        generator: torch.Generator,
        samples: int,
        eligible: Tensor | None = None,
        vocoded: Tensor | None = None,
    ) -> Changes:
        """Like calling the effect, but return the changed items alone."""
        self._require_enough(audio, samples)
        items, config = len(audio), self.config
        kind = torch.randint(_TEMPO, _PITCH + 1, (items,), generator=generator)
        by_vocoder = torch.rand(items, generator=generator) < config.vocoded
        kind[~by_vocoder] = _VARISPEED
        amount = draws.uniform(items, (-1, 1), generator)
        index = draws.choose(config.share, items, generator, eligible)
        if vocoded is not None:
            index = index[(vocoded | ~by_vocoder)[index]]
        kind, amount = kind[index], amount[index]
        changed = audio.new_empty(len(index), *audio.shape[1:-1], samples)
        for row in (kind == _VARISPEED).nonzero().flatten().tolist():
            changed[row] = self._at_speed(audio[int(index[row])], float(amount[row]), samples)
        rows = (kind != _VARISPEED).nonzero().flatten()
        if len(rows):
            chosen = audio.index_select(0, draws.move(index[rows], audio.device))
            played = self._vocoded(chosen, kind[rows] == _PITCH, amount[rows], samples)
            changed.index_copy_(0, draws.move(rows, audio.device), played)
        return index, changed

    def song_changes(
        self, parts: Tensor, generator: torch.Generator, samples: int, eligible: Tensor
    ) -> Changes:
        """Change the speed of whole songs.

        Parameters
        ----------
        parts : Tensor of float32, shape (songs, parts, 2, n)
            At least ``config.read_samples(samples)`` samples. Stays as it is.
        generator : torch.Generator
            On the CPU. Nothing is drawn from it if ``config.songs`` is 0.
        samples : int
            Length of the result.
        eligible : Tensor of bool, shape (songs,)
            Songs that may be changed, on the CPU.

        Returns
        -------
        tuple of Tensor
            Which songs, and what becomes of them, shape (chosen, parts, 2, samples).

        Raises
        ------
        ValueError
            If the audio is too short.
        """
        self._require_enough(parts, samples)
        if self.config.songs == 0:
            return torch.empty(0, dtype=torch.int64), parts[:0, ..., :samples]
        amount = draws.uniform(len(parts), (-1, 1), generator)
        index = draws.choose(self.config.songs, len(parts), generator, eligible)
        changed = parts.new_empty(len(index), *parts.shape[1:-1], samples)
        for row, song in enumerate(index.tolist()):
            changed[row] = self._at_speed(parts[song], float(amount[song]), samples)
        return index, changed

    def _require_enough(self, audio: Tensor, samples: int) -> None:
        needed = self.config.read_samples(samples)
        if audio.shape[-1] < needed:
            raise ValueError(
                f"{samples} samples are made of {needed}, but there are only {audio.shape[-1]}"
            )

    def _at_speed(self, audio: Tensor, amount: float, samples: int) -> Tensor:
        """Play at a speed between the slowest, for an amount of -1, and the fastest, for 1."""
        rate = nearest_rate(1 + self.config.speed * amount, self.speeds)
        return resample(audio, rate, samples)

    def _vocoded(self, audio: Tensor, pitched: Tensor, amount: Tensor, samples: int) -> Tensor:
        """Change the pitch of some items and the tempo of the others."""
        config = self.config
        # For another pitch, the tempo is changed first, such that resampling undoes it.
        intervals = [
            nearest_rate(2 ** (config.semitones * step / 12), self.intervals)
            for step in amount.tolist()
        ]
        slower = torch.tensor([1 / float(interval) for interval in intervals])
        rates = torch.where(pitched, slower, 1 + config.tempo * amount)
        shifted = pitched.nonzero().flatten().tolist()
        highest = max([1.0, *(float(intervals[item]) for item in shifted)])
        played = change_tempo(audio, rates, samples_needed(samples, highest))
        # Partials and noise that no longer add up in phase have lost some decibels.
        with_level(played, root_mean_square(audio))
        result = played[..., MARGIN : MARGIN + samples].clone()
        for item in shifted:
            result[item] = resample(played[item], intervals[item], samples)
        return result
