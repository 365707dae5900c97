"""More voices of the same words: doubling, harmonies, small choirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from songsplit.training.augment import draws
from songsplit.training.augment.effects import Effect
from songsplit.training.augment.loudness import root_mean_square, with_level
from songsplit.training.augment.resampling import (
    MARGIN,
    nearest_rate,
    resample,
    samples_needed,
    smooth_rates,
)
from songsplit.training.augment.settings import EffectSettings, Range
from songsplit.training.augment.vocoder import N_FFT, change_tempo


@dataclass(frozen=True)
class HarmonyConfig(EffectSettings):
    """Settings of :class:`Harmony`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
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
    share: float = 0.0
    voices: int = 2
    alone: float = 0.0
    semitones: tuple[float, ...] = (-12.0, -5.0, -4.0, -3.0, 0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 7.0)
    level: Range = (-12.0, 0.0)
    delay: Range = (0.005, 0.04)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_within("voices", 1, 8)
        self._require_within("alone", 0, 1)
        within = bool(self.semitones) and all(-12 <= step <= 12 for step in self.semitones)
        self._require("semitones", within, "hold intervals between -12 and 12")
        self._require_range("level", -60, 20)
        self._require_range("delay", 0, 0.5)


class Harmony(Effect):
    """Add voices that sing the same at another pitch, a little later.

    Each added voice is the item through a phase vocoder, as for
    :class:`~songsplit.training.augment.pitch_tempo.PitchTempo`, with its formants shifted
    along, on a place of its own between left and right. A voice at the same pitch is detuned
    by up to a third of a semitone, as in a doubled take.

    Parameters
    ----------
    config : HarmonyConfig
    sample_rate : int
        Rate in Hz of the audio.
    """

    def __init__(self, config: HarmonyConfig, sample_rate: int) -> None:
        super().__init__(config.share)
        self.config = config
        self.sample_rate = sample_rate
        self.rates = smooth_rates(0.45, 2.2)

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw each voice's interval, level, delay and place, and the level of the singer.

        Silent voices have level 0.
        """
        config, voices = self.config, items * self.config.voices
        which = torch.randint(len(config.semitones), (voices,), generator=generator)
        detuned = draws.uniform(voices, (-0.3, 0.3), generator)
        steps = torch.tensor(config.semitones)[which]
        steps = torch.where(steps == 0, detuned, steps)
        level = draws.gain(draws.uniform(voices, config.level, generator))
        delay = draws.uniform(voices, config.delay, generator)
        place = draws.uniform(voices, (0.0, math.pi / 2), generator)
        shape = items, config.voices
        count = torch.randint(1, config.voices + 1, (items, 1), generator=generator)
        level = level.reshape(shape) * (torch.arange(config.voices) < count)
        lead = torch.rand(items, generator=generator) >= config.alone
        return steps.reshape(shape), level, delay.reshape(shape), place.reshape(shape), lead.float()

    def change(self, items: Tensor, amounts: tuple[Tensor, ...]) -> Tensor:
        """Add voices to audio of shape (items, 2, samples)."""
        steps, level, delay, place, lead = amounts
        item, voice = level.nonzero(as_tuple=True)
        sung = items.index_select(0, draws.move(item, items.device))
        added = self.transposed(sung, steps[item, voice])
        # Constant power over the stereo width, and the level of the singer.
        pan = torch.stack([place.cos(), place.sin()], dim=-1)[item, voice] * 2**0.5
        gains = draws.move(pan * level[item, voice, None], items.device)
        added *= gains[:, :, None]
        result = items * draws.per_item(lead, items)
        for row, target in enumerate(item.tolist()):
            late = round(float(delay[target, int(voice[row])]) * self.sample_rate)
            late = min(late, items.shape[-1])
            result[target, :, late:] += added[row, :, : items.shape[-1] - late]
        return result

    def transposed(self, audio: Tensor, semitones: Tensor) -> Tensor:
        """Change the pitch of audio of shape (items, 2, samples), each by its interval."""
        samples = audio.shape[-1]
        rates = [nearest_rate(2 ** (step / 12), self.rates) for step in semitones.tolist()]
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
