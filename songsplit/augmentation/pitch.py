"""Effects that change the pitch: other speeds, tempos and pitches, and added voices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from songsplit.augmentation.effect import (
    Effect,
    ItemEffect,
    Range,
    amplitude,
    choose,
    move,
    per_item,
    put,
    root_mean_square,
    take,
    uniform,
    with_level,
)
from songsplit.augmentation.playback import (
    MARGIN,
    N_FFT,
    change_tempo,
    nearest_rate,
    resample,
    samples_needed,
    smooth_rates,
)

_VARISPEED, _TEMPO, _PITCH = range(3)
_HARMONY_RATES = smooth_rates(0.45, 2.2)


@dataclass(frozen=True)
class PitchTempoConfig(Effect):
    """Settings of :class:`PitchTempo`.

    Attributes
    ----------
    speed : float
        Largest change of speed, pitch and tempo together, as a share: 0.12 is 12 %.
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
    bounds: ClassVar[dict[str, Range]] = {
        "songs": (0, 1),
        "speed": (0, 0.5),
        "tempo": (0, 0.5),
        "semitones": (0, 12),
        "vocoded": (0, 1),
    }
    share: float = 0.25
    speed: float = 0.12
    tempo: float = 0.12
    semitones: float = 3.0
    vocoded: float = 0.15
    songs: float = 0.0

    def read_samples(self, samples: int) -> int:
        """Return how many samples must be read to get that many out of the effect."""
        if self.share == self.songs == 0:
            return samples
        return samples_needed(samples, 1 + max(self.speed, self.tempo))


class PitchTempo:
    """Play items faster or slower, or change only their tempo or only their pitch.

    Changes of speed multiply all frequencies; images and aliases lie more than 80 dB below.
    Speeds and intervals are rounded to ratios of small numbers, at most half a semitone
    apart. Changes of tempo go through the phase vocoder of Laroche and Dolson (1999), here
    for rates near 44.1 kHz: a steady tone keeps its frequency to within a tenth of a cent,
    with all else more than 60 dB below, but attacks are smeared over some 20 ms. Changes of
    pitch are both in turn.
    """

    def __init__(self, config: PitchTempoConfig) -> None:
        self.config = config
        ratio = 2 ** (config.semitones / 12)
        self.speeds = smooth_rates(1 - config.speed, 1 + config.speed)
        self.intervals = smooth_rates(1 / ratio, ratio)

    def apply(
        self,
        result: Tensor,
        audio: Tensor,
        generator: torch.Generator,
        eligible: Tensor | None = None,
        vocoded: Tensor | None = None,
    ) -> None:
        """Write a random share of the eligible items, changed, into a result.

        The result has shape (items, 2, samples), the audio (items, 2, n), with at least
        ``config.read_samples(samples)`` samples. `vocoded` says, on the CPU, whose tempo or
        pitch may be changed alone; by default, that of all items.
        """
        config, items, samples = self.config, len(audio), result.shape[-1]
        self._require_enough(audio, samples)
        kind = torch.randint(_TEMPO, _PITCH + 1, (items,), generator=generator)
        kind[torch.rand(items, generator=generator) >= config.vocoded] = _VARISPEED
        amount = uniform(items, (-1, 1), generator)
        index = choose(config.share, items, generator, eligible)
        kind, amount = kind[index], amount[index]
        if vocoded is not None:
            kept = vocoded[index] | (kind == _VARISPEED)
            index, kind, amount = index[kept], kind[kept], amount[kept]
        fast = kind == _VARISPEED
        self._play(result, audio, index[fast], amount[fast])
        rows = index[~fast]
        if len(rows):
            pitched = kind[~fast] == _PITCH
            put(result, rows, self._vocoded(take(audio, rows), pitched, amount[~fast], samples))

    def apply_to_songs(
        self, result: Tensor, parts: Tensor, generator: torch.Generator, eligible: Tensor
    ) -> None:
        """Write a random share of the eligible songs at another speed into a result.

        As in :meth:`apply`, but of shapes (songs, parts, 2, samples) and (songs, parts, 2, n).
        Nothing is drawn if ``config.songs`` is 0.
        """
        self._require_enough(parts, result.shape[-1])
        if self.config.songs:
            amount = uniform(len(parts), (-1, 1), generator)
            index = choose(self.config.songs, len(parts), generator, eligible)
            self._play(result, parts, index, amount[index])

    def _require_enough(self, audio: Tensor, samples: int) -> None:
        needed = self.config.read_samples(samples)
        if audio.shape[-1] < needed:
            raise ValueError(
                f"{samples} samples are made of {needed}, but there are only {audio.shape[-1]}"
            )

    def _play(self, result: Tensor, audio: Tensor, index: Tensor, amount: Tensor) -> None:
        """Play items at speeds between the slowest, for an amount of -1, and the fastest."""
        for item, change in zip(index.tolist(), amount.tolist(), strict=True):
            rate = nearest_rate(1 + self.config.speed * change, self.speeds)
            result[item] = resample(audio[item], rate, result.shape[-1])

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


@dataclass(frozen=True)
class Harmony(ItemEffect):
    """Add voices that sing the same at another pitch, a little later.

    Each added voice is the item through the phase vocoder of :class:`PitchTempo`, with its
    formants shifted along, on a place of its own between left and right. A voice at the same
    pitch is detuned by up to a third of a semitone, as in a doubled take.

    Attributes
    ----------
    voices : int
        Most voices that are added; from one on, each number is as likely.
    alone : float
        Share of the changed items whose own voice falls silent: a choir without its singer.
    semitones : tuple of float
        Intervals of added voices, each as likely as the others.
    level : tuple of float
        Range in dB of an added voice's level, relative to the singer's.
    delay : tuple of float
        Range in seconds of how much later it sings.
    """

    section: ClassVar[str] = "harmony"
    bounds: ClassVar[dict[str, Range]] = {
        "voices": (1, 8),
        "alone": (0, 1),
        "level": (-60, 20),
        "delay": (0, 0.5),
    }
    voices: int = 2
    alone: float = 0.0
    semitones: tuple[float, ...] = (-12.0, -5.0, -4.0, -3.0, 0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 7.0)
    level: Range = (-12.0, 0.0)
    delay: Range = (0.005, 0.04)

    def __post_init__(self) -> None:
        super().__post_init__()
        within = bool(self.semitones) and all(-12 <= step <= 12 for step in self.semitones)
        self._require("semitones", within, "hold intervals between -12 and 12")

    def _draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw each voice's interval, level, delay and place, and the level of the singer.

        Silent voices have level 0.
        """
        shape = items, self.voices
        voices = items * self.voices
        which = torch.randint(len(self.semitones), (voices,), generator=generator)
        detuned = uniform(voices, (-0.3, 0.3), generator)
        steps = torch.tensor(self.semitones)[which]
        steps = torch.where(steps == 0, detuned, steps)
        level = amplitude(uniform(voices, self.level, generator))
        delay = uniform(voices, self.delay, generator)
        place = uniform(voices, (0.0, math.pi / 2), generator)
        count = torch.randint(1, self.voices + 1, (items, 1), generator=generator)
        level = level.reshape(shape) * (torch.arange(self.voices) < count)
        lead = torch.rand(items, generator=generator) >= self.alone
        return steps.reshape(shape), level, delay.reshape(shape), place.reshape(shape), lead.float()

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        steps, level, delay, place, lead = amounts
        samples = items.shape[-1]
        item, voice = level.nonzero(as_tuple=True)
        added = _transposed(take(items, item), steps[item, voice])
        # Constant power over the stereo width, and the level of the singer.
        pan = torch.stack([place.cos(), place.sin()], dim=-1)[item, voice] * 2**0.5
        added *= move(pan * level[item, voice, None], items.device)[:, :, None]
        result = items * per_item(lead, items)
        for row, (target, seconds) in enumerate(
            zip(item.tolist(), delay[item, voice].tolist(), strict=True)
        ):
            late = min(round(seconds * sample_rate), samples)
            result[target, :, late:] += added[row, :, : samples - late]
        return result


def _transposed(audio: Tensor, semitones: Tensor) -> Tensor:
    """Change the pitch of audio of shape (items, 2, samples), each by its interval."""
    samples = audio.shape[-1]
    rates = [nearest_rate(2 ** (step / 12), _HARMONY_RATES) for step in semitones.tolist()]
    longest = samples_needed(samples, float(max(rates)))
    # The vocoder begins half a window late, the resampler reads a margin before that.
    early = MARGIN + N_FFT // 2
    padded = functional.pad(audio, (early, early))
    slower = torch.tensor([1 / float(rate) for rate in rates])
    played = change_tempo(padded, slower, longest)
    result = torch.empty_like(audio)
    for row, rate in enumerate(rates):
        result[row] = resample(played[row], rate, samples)
    return with_level(result, root_mean_square(audio))
