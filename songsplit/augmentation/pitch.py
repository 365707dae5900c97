"""Effects that change speed, tempo or pitch, or add voices.

All of them use fast Fourier transforms and run on any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import torch
from scipy.fft import next_fast_len
from torch import Generator, Tensor
from torch.nn import functional

from songsplit.augmentation.effect import (
    Effect,
    ItemEffect,
    amplitude,
    choose,
    move,
    root_mean_square,
    uniform,
    with_level,
    within,
)

# Samples, at the output's rate, read before and after a resampled part. They are faded, because the
# transform treats the signal as periodic and a jump from end to start would ring.
MARGIN = 2048
N_FFT = 2048  # window in samples of the phase vocoder
_HOP = N_FFT // 4
_OVERLAP = 4
_LARGEST_TERM = 200  # leaves no gap above half a semitone between neighbouring rates

_SPEED = 0.12  # largest relative change of speed, which changes pitch and tempo
_TEMPO = 0.12  # largest relative change of tempo alone
_SEMITONES = 3.0  # largest change of pitch alone
# Intervals of added voices in semitones, all equally likely.
_INTERVALS = (-12.0, -5.0, -4.0, -3.0, 0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 7.0)
_LEVEL = (-12.0, 0.0)  # dB of an added voice's level, relative to the singer's
_DELAY = (0.005, 0.04)  # seconds of delay of an added voice


@dataclass(frozen=True)
class PitchTempo(Effect):
    """Change the speed of parts, or only their tempo or pitch.

    A change of speed multiplies all frequencies; images and aliases are more than 80 dB below.
    Speeds and intervals are rounded to ratios of small numbers, at most half a semitone apart. A
    change of tempo uses a phase vocoder for rates near 44.1 kHz. A steady tone stays within a tenth
    of a cent, with errors more than 60 dB below, but attacks are smeared over about 20 ms. A
    change of pitch combines both.

    Attributes
    ----------
    vocoded : float
        Share of the changed parts that change only tempo or only pitch, equally often. These
        take about 25 times as long as a change of speed.
    songs : float
        Share of the examples from one song whose speed changes, equally for all parts, so that
        the network does not memorise a few songs.
    """

    share: float = field(default=0.25, metadata=within(0, 1))
    vocoded: float = field(default=0.15, metadata=within(0, 1))
    songs: float = field(default=0.0, metadata=within(0, 1))

    def read_samples(self, samples: int) -> int:
        """Return the number of input samples for a number of output samples."""
        if self.share == self.songs == 0:
            return samples
        return samples_needed(samples, 1 + max(_SPEED, _TEMPO))

    def apply(
        self,
        result: Tensor,
        parts: Tensor,
        generator: Generator,
        remixed: Tensor,
        vocoded: Tensor,
        same_song: Tensor,
    ) -> None:
        """Write a changed random share of parts (batch, 5, 2, n) to (batch, 5, 2, samples).

        On the CPU, `remixed` (batch, 5) marks parts that may change separately, `vocoded` (batch,
        5) parts whose tempo or pitch may change alone, and `same_song` (batch,) examples whose
        parts may all change their speed equally.
        """
        samples = result.shape[-1]
        if parts.shape[-1] < (needed := self.read_samples(samples)):
            raise ValueError(f"{samples} samples need {needed}, not {parts.shape[-1]}")
        source, changed = parts.flatten(0, 1), result.view(-1, *result.shape[2:])
        items = len(source)
        pitched = torch.randint(2, (items,), generator=generator).bool()
        alone = torch.rand(items, generator=generator) < self.vocoded
        amount = uniform(items, (-1, 1), generator)
        eligible = remixed.flatten() & (vocoded.flatten() | ~alone)
        index = choose(self.share, items, generator, eligible)
        self._play(changed, source, index[~alone[index]], amount)
        rows = index[alone[index]]
        if len(rows):
            where = move(rows, parts.device)
            made = self._vocoded(source[where], pitched[rows], amount[rows], samples)
            changed[where] = made
        if self.songs:
            amount = uniform(len(parts), (-1, 1), generator)
            self._play(result, parts, choose(self.songs, len(parts), generator, same_song), amount)

    def _play(self, result: Tensor, audio: Tensor, index: Tensor, amount: Tensor) -> None:
        """Change the speed of items from the slowest (amount -1) to the fastest (amount 1)."""
        slowest, fastest = 1 - _SPEED, 1 + _SPEED
        for item in index.tolist():
            rate = nearest_rate(1 + _SPEED * float(amount[item]), slowest, fastest)
            result[item] = resample(audio[item], rate, result.shape[-1])

    def _vocoded(self, audio: Tensor, pitched: Tensor, amount: Tensor, samples: int) -> Tensor:
        """Change the pitch of some items and the tempo of the others."""
        # A change of pitch is a change of tempo that resampling then reverts.
        ratio = 2 ** (_SEMITONES / 12)
        intervals = [
            nearest_rate(2 ** (_SEMITONES * step / 12), 1 / ratio, ratio)
            for step in amount.tolist()
        ]
        slower = torch.tensor([1 / float(interval) for interval in intervals])
        rates = torch.where(pitched, slower, 1 + _TEMPO * amount)
        shifted = pitched.nonzero().flatten().tolist()
        highest = max([1.0, *(float(intervals[item]) for item in shifted)])
        played = change_tempo(audio, rates, samples_needed(samples, highest))
        # Restore the level, which falls when partials no longer add up in phase.
        with_level(played, root_mean_square(audio))
        result = played[..., MARGIN : MARGIN + samples].clone()
        for item in shifted:
            result[item] = resample(played[item], intervals[item], samples)
        return result


@dataclass(frozen=True)
class Harmony(ItemEffect):
    """Add voices that sing the same part at another pitch, with a short delay.

    Each added voice is the item after the phase vocoder of :class:`PitchTempo`, with shifted
    formants and its own stereo position. A voice at the same pitch is detuned by up to a third of a
    semitone, as in a doubled take.

    Attributes
    ----------
    voices : int
        Maximum number of added voices; all numbers from one on are equally likely.
    alone : float
        Share of the changed items whose original voice is muted: a choir without its singer.
    """

    voices: int = field(default=2, metadata=within(1, 8))
    alone: float = field(default=0.0, metadata=within(0, 1))

    def _draw(self, items: int, generator: Generator) -> tuple[Tensor, ...]:
        """Draw interval, level, delay and position of each voice, and the level of the singer.

        Absent voices have level 0.
        """
        voices = items * self.voices
        which = torch.randint(len(_INTERVALS), (voices,), generator=generator)
        detuned = uniform(voices, (-0.3, 0.3), generator)
        steps = torch.tensor(_INTERVALS)[which]
        steps = torch.where(steps == 0, detuned, steps)
        level = amplitude(uniform(voices, _LEVEL, generator))
        delay = uniform(voices, _DELAY, generator)
        place = uniform(voices, (0.0, math.pi / 2), generator)
        count = torch.randint(1, self.voices + 1, (items, 1), generator=generator)
        lead = torch.rand(items, generator=generator) >= self.alone
        steps, level, delay, place = (x.reshape(items, -1) for x in (steps, level, delay, place))
        return steps, level * (torch.arange(self.voices) < count), delay, place, lead.float()

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        steps, level, delay, place, lead = amounts
        samples = items.shape[-1]
        item, voice = level.nonzero(as_tuple=True)
        added = _transposed(items[move(item, items.device)], steps[item, voice])
        # Pan at constant power, relative to the level of the singer.
        pan = torch.stack([place.cos(), place.sin()], dim=-1)[item, voice] * 2**0.5
        added *= move(pan * level[item, voice, None], items.device)[:, :, None]
        result = items * move(lead, items.device)[:, None, None]
        starts = [min(round(x * sample_rate), samples) for x in delay[item, voice].tolist()]
        for target, start, sung in zip(item.tolist(), starts, added, strict=True):
            result[target, :, start:] += sung[:, : samples - start]
        return result


def _transposed(audio: Tensor, semitones: Tensor) -> Tensor:
    """Transpose audio (items, 2, samples), each item by its interval."""
    samples = audio.shape[-1]
    rates = [nearest_rate(2 ** (step / 12), 0.45, 2.2) for step in semitones.tolist()]
    # The vocoder starts half a window late, and the resampler reads a margin before.
    early = MARGIN + N_FFT // 2
    slower = torch.tensor([1 / float(rate) for rate in rates])
    longest = samples_needed(samples, float(max(rates)))
    played = change_tempo(functional.pad(audio, (early, early)), slower, longest)
    changed = [resample(x, rate, samples) for x, rate in zip(played, rates, strict=True)]
    return with_level(torch.stack(changed), root_mean_square(audio))


@cache
def smooth_rates(lowest: float, highest: float) -> tuple[Fraction, ...]:
    """Return the rates at which :func:`resample` is fast, sorted and including 1."""
    terms = [n for n in range(1, _LARGEST_TERM + 1) if next_fast_len(n, real=True) == n]
    rates = {Fraction(a, b) for a in terms for b in terms}
    return tuple(sorted(rate for rate in rates if lowest <= rate <= highest or rate == 1))


def nearest_rate(rate: float, lowest: float, highest: float) -> Fraction:
    """Return the rate of :func:`smooth_rates` with the nearest pitch."""
    rates = smooth_rates(lowest, highest)
    return min(rates, key=lambda candidate: abs(math.log(candidate / rate)))


def samples_needed(samples: int, rate: float) -> int:
    """Return the number of input samples, with margins, for `samples` at another rate."""
    return math.ceil((samples + 2 * MARGIN) * rate)


def resample(audio: Tensor, rate: Fraction, samples: int) -> Tensor:
    """Change the speed of audio (..., n), with its pitch and tempo, to (..., samples).

    Sample ``n`` of the result is the input at ``(n + MARGIN) * rate``, limited to the lower Nyquist
    frequency. `rate` is one of :func:`smooth_rates`, and ``samples_needed(samples, rate)`` input
    samples are read.
    """
    source = audio[..., : samples_needed(samples, float(rate))].clone()
    fade = math.floor(MARGIN * rate)
    ramp = torch.hann_window(2 * fade, device=audio.device)
    source[..., :fade] *= ramp[:fade]
    source[..., -fade:] *= ramp[fade:]
    unit = next_fast_len(math.ceil((samples + 2 * MARGIN) / rate.denominator), real=True)
    before, after = unit * rate.numerator, unit * rate.denominator
    spectrum = torch.fft.rfft(source, before)
    played: Tensor = torch.fft.irfft(spectrum, after)[..., MARGIN : MARGIN + samples]
    return played.mul(after / before)


def change_tempo(audio: Tensor, rates: Tensor, samples: int) -> Tensor:
    """Change the tempo of audio (items, channels, n) with a phase vocoder.

    `rates` are the speeds of the items, on the CPU. Sample ``n`` of the result (items, channels,
    samples) corresponds to the input at ``n * rate + N_FFT // 2``. Beyond ``N_FFT // 2`` samples
    before the end, the last frame is repeated.
    """
    window = torch.hann_window(N_FFT, device=audio.device)
    # Frames that extend beyond the start would pass wrong phases to all following frames.
    spectrogram = torch.stft(
        audio.flatten(0, 1), N_FFT, _HOP, window=window, center=False, return_complex=True
    )
    spectrogram = spectrogram.reshape(*audio.shape[:2], *spectrogram.shape[1:])
    return synthesize(stretch(spectrogram, rates, math.ceil(samples / _HOP) + 1), samples)


def stretch(spectrogram: Tensor, rates: Tensor, frames: int) -> Tensor:
    """Stretch a spectrogram, complex64 (items, channels, bins, frames), at rates on the CPU.

    Follows Laroche and Dolson (1999), "Improved phase vocoder time-scale modification of audio":
    phases advance between frames as in the input at that time. The advance of a bin is the phase of
    the cross-spectrum between two frames, summed over the channels and over the bin and its two
    neighbours. This sum is weighted by energy, which locks bins to the partial between them and
    keeps the phase between the channels. Magnitudes are interpolated.
    """
    device = spectrogram.device
    last = spectrogram.shape[3] - 1
    position = rates.double()[:, None] * torch.arange(frames)
    index = position.long().clamp_max(last)
    weight = move((position - index).clamp(0, 1).float(), device)[:, None, :, None]
    # Transposed frames are contiguous, as the STFT stores them.
    rows = spectrogram.transpose(2, 3)
    shape = *rows.shape[:2], frames, rows.shape[3]
    current, following = (
        rows.gather(2, move(number, device)[:, None, :, None].expand(shape))
        for number in (index, (index + 1).clamp_max(last))
    )
    cross = (following[:, :, :-1] * current[:, :, 1:].conj()).sum(dim=1)
    padded = functional.pad(torch.view_as_real(cross), (0, 0, 1, 1))
    summed = torch.view_as_complex(padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:])
    turn = torch.cumprod(_phase(summed), dim=1)
    turn = functional.pad(torch.view_as_real(turn), (0, 0, 0, 0, 1, 0))
    turn[:, 0, :, 0] = 1.0
    magnitude = torch.lerp(current.abs(), following.abs(), weight)
    result = _phase(current) * torch.view_as_complex(turn)[:, None] * magnitude
    return result.transpose(2, 3)


def _phase(values: Tensor) -> Tensor:
    """Divide complex numbers by their magnitudes; return 1 for 0."""
    magnitude = values.abs()
    return torch.where(magnitude > 0, values / magnitude.clamp_min(1e-30), 1.0)


def synthesize(spectrogram: Tensor, samples: int) -> Tensor:
    """Invert a centred STFT, complex64 (..., bins, frames), with Hann windows and 75 % overlap.

    :func:`torch.istft` gives the same result, but it checks the sum of the windows, for which the
    CPU waits for a GPU.
    """
    length = 2 * spectrogram.shape[-2] - 2
    window = torch.hann_window(length, device=spectrogram.device)
    frames = torch.fft.irfft(spectrogram.transpose(-1, -2), length) * window
    envelope = _overlap_add(window.square().expand(frames.shape[-2], length))
    kept = slice(length // 2, length // 2 + samples)
    return _overlap_add(frames)[..., kept] / envelope[kept].clamp_min(1e-6)


def _overlap_add(frames: Tensor) -> Tensor:
    """Add frames of shape (..., frames, length) that start a quarter of a frame apart."""
    *rest, count, length = frames.shape
    hop = length // _OVERLAP
    quarters = frames.reshape(*rest, count, _OVERLAP, hop)
    total = frames.new_zeros(*rest, count + _OVERLAP - 1, hop)
    for quarter in range(_OVERLAP):
        total[..., quarter : quarter + count, :] += quarters[..., quarter, :]
    return total.flatten(-2)
