"""Effects on samples: saturation, compression, reverberation and stereo mixing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from scipy.fft import next_fast_len
from torch import Generator, Tensor
from torch.nn import functional

from songsplit.augmentation.effect import (
    SILENCE,
    Effect,
    ItemEffect,
    Range,
    amplitude,
    choose,
    log_uniform,
    move,
    root_mean_square,
    uniform,
    with_level,
    within,
)
from songsplit.augmentation.pitch import synthesize

# Peaks of music are 10 to 15 dB above its root mean square.
_DRIVE = (-12.0, 3.0)  # dB of the root mean square above the knee of the curve
_ASYMMETRY = (0.0, 0.4)  # offset of the curve in units of the knee; it adds even harmonics
_LOWEST = 20.0  # Hz; an asymmetrical curve adds inaudible frequencies below

_FRAME = 128  # samples over which the compressor measures a level
_THRESHOLD = (-10.0, 3.0)  # dB, relative to the root mean square
_RATIO = (1.5, 6.0)  # input dB per output dB above the threshold
_ATTACK = (0.002, 0.03)  # seconds; time constant of the falling gain
_RELEASE = (0.05, 0.4)  # seconds in which the gain rises by 10 dB

_N_FFT = 512  # of the spectrogram that shapes the tail of a reverberation
_LOW, _HIGH = 500.0, 10_000.0  # Hz; the decay gets faster between these
_DAMPING = (0.2, 0.7)  # decay time at 10 kHz, relative to 500 Hz
_PRE_DELAY = (0.0, 0.06)  # seconds between the direct sound and the reverberation

_WIDTH = (0.0, 1.5)  # factor of the side signal; 0 is mono, 1 is unchanged
_MONO = 0.2  # share of the changed items that become mono


@dataclass(frozen=True)
class Saturation(ItemEffect):
    r"""Soft clipping that keeps the root mean square.

    .. math:: y \propto \tanh(g x + a) - \tanh(a)

    A high-pass at 20 Hz follows, because the mean of an asymmetrical curve follows the level.
    """

    share: float = field(default=0.04, metadata=within(0, 1))

    def _draw(self, items: int, generator: Generator) -> tuple[Tensor, ...]:
        return uniform(items, _DRIVE, generator), uniform(items, _ASYMMETRY, generator)

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        drive, asymmetry = (move(amount, items.device)[:, None, None] for amount in amounts)
        level = root_mean_square(items)
        slope = amplitude(drive) / level.clamp_min(SILENCE)
        clipped = torch.addcmul(asymmetry, items, slope).tanh_().sub_(asymmetry.tanh())
        samples = items.shape[-1]
        frequency = torch.fft.rfftfreq(samples, 1 / sample_rate, device=items.device)
        power = (frequency / _LOWEST).square()
        spectrum = torch.fft.rfft(clipped) * (power / (1 + power))
        return with_level(torch.fft.irfft(spectrum, samples), level)


@dataclass(frozen=True)
class Compression(ItemEffect):
    """Feed-forward compressor with linked channels that keeps the root mean square.

    The level is measured in frames of 128 samples. The resulting gain in dB rises no faster than
    the release allows and is then smoothed by the attack's decaying exponential. This is the smooth
    decoupled detector of Giannoulis, Massberg and Reiss (2012), "Digital dynamic range compressor
    design", except that the release is linear in dB. Attack and release have closed forms, so all
    samples are computed at once.
    """

    share: float = field(default=0.05, metadata=within(0, 1))

    def _draw(self, items: int, generator: Generator) -> tuple[Tensor, ...]:
        threshold = uniform(items, _THRESHOLD, generator)
        others = (log_uniform(items, x, generator) for x in (_RATIO, _ATTACK, _RELEASE))
        return threshold, *others

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        threshold, ratio, attack, release = (move(x, items.device)[:, None] for x in amounts)
        rms, samples = root_mean_square(items), items.shape[-1]
        frames = functional.pad(items, (0, -samples % _FRAME)).reshape(*items.shape[:2], -1, _FRAME)
        power = frames.square().mean(dim=(1, 3)) / rms.reshape(-1, 1).square().clamp_min(1e-16)
        over = (10 * power.clamp_min(1e-6).log10() - threshold).relu()
        reduction = _smooth(over * (1 - 1 / ratio), sample_rate, attack, release)
        factor = functional.interpolate(
            amplitude(-reduction)[:, None], scale_factor=_FRAME, mode="linear"
        )
        return with_level(items * factor[..., :samples], rms)


def _smooth(reduction: Tensor, sample_rate: int, attack: Tensor, release: Tensor) -> Tensor:
    """Smooth the reduction in dB (items, frames) by attack and release."""
    count = reduction.shape[1]
    time = torch.arange(count, device=reduction.device) * (_FRAME / sample_rate)
    # The maximum over past values, each of which falls linearly in dB.
    fall = time * 10 / release
    held = (reduction + fall).cummax(dim=1).values - fall
    kernel = torch.exp(-time / attack)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    # Assume the initial value before the start, because chunks are cut from music.
    start = held[:, :1]
    # Zero-padding to twice the length makes the circular convolution linear.
    product = torch.fft.rfft(held - start, 2 * count) * torch.fft.rfft(kernel, 2 * count)
    smoothed: Tensor = torch.fft.irfft(product, 2 * count)[:, :count] + start
    return smoothed.relu()


@dataclass(frozen=True)
class Reverb(ItemEffect):
    """Convolution with a different stereo room response of decaying noise for each item.

    Late reverberation resembles Gaussian noise with an exponential decay, which is faster at high
    frequencies: see Polack (1988) and Jot, Cerveau and Warusfel (1997), "Analysis and synthesis of
    room reverberation based on a statistical time-frequency model". Both channels keep their direct
    sound, and each is convolved with its own noise.

    Attributes
    ----------
    seconds : tuple of float
        Range of the reverberation time (decay by 60 dB) up to 500 Hz.
    wet : tuple of float
        Range in dB of the energy of the reverberation relative to the direct sound.
    """

    share: float = field(default=0.1, metadata=within(0, 1))
    seconds: Range = field(default=(0.2, 2.5), metadata=within(0.05, 10))
    wet: Range = field(default=(-20.0, -4.0), metadata=within(-60, 20))

    def _draw(self, items: int, generator: Generator) -> tuple[Tensor, ...]:
        seconds = log_uniform(items, self.seconds, generator)
        others = [uniform(items, x, generator) for x in (_DAMPING, _PRE_DELAY, self.wet)]
        return seconds, *others, torch.randint(2**31, (items,), generator=generator)

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        changed = items.clone()
        # Process items one by one, because lengths differ; all amounts are on the CPU.
        for item, (seconds, damping, delay, wet, seed) in enumerate(
            zip(*(amount.tolist() for amount in amounts), strict=True)
        ):
            late = round(delay * sample_rate)
            heard = items.shape[-1] - late
            if heard <= 0:
                continue
            tail = _tail(seconds, damping, seed, sample_rate, items.device)
            # Long enough for a linear convolution.
            length = next_fast_len(heard + tail.shape[-1], real=True)
            spectrum = torch.fft.rfft(items[item, :, :heard], length)
            spectrum *= torch.fft.rfft(tail, length)
            rung = torch.fft.irfft(spectrum, length)[:, :heard]
            # Set the level after the convolution, which amplifies the frequencies of voices.
            energy = torch.linalg.vector_norm(items[item]), torch.linalg.vector_norm(rung)
            rung *= energy[0] / energy[1].clamp_min(SILENCE) * 10 ** (wet / 20)
            changed[item, :, late:].add_(rung)
        return changed


def _tail(
    seconds: float, damping: float, seed: int, sample_rate: int, device: torch.device
) -> Tensor:
    """Return a response (2, samples) without direct sound, with a mean energy of 1."""
    samples, hop = math.ceil(seconds * sample_rate), _N_FFT // 4
    frames, bins = samples // hop + 1, _N_FFT // 2 + 1
    frequency = torch.linspace(0, sample_rate / 2, bins, device=device)
    above = (frequency.clamp_min(_LOW) / _LOW).log() / math.log(_HIGH / _LOW)
    rate = 60 / (seconds * damping**above)  # dB per second, shape (bins,)
    time = torch.arange(frames, device=device) * (hop / sample_rate)
    generator = torch.Generator(device).manual_seed(seed)
    noise = torch.randn(2, bins, frames, dtype=torch.complex64, device=device, generator=generator)
    tail = synthesize(noise * amplitude(-rate[:, None] * time), samples)
    return tail / tail.square().sum(dim=1).mean().sqrt()


@dataclass(frozen=True)
class StereoEffect(Effect):
    """Base of effects that are 2 x 2 matrices from input to output channels.

    The mixer is also linear and applies the product of all matrices in one pass.
    """

    def factors(self, items: int, generator: Generator, eligible: Tensor) -> Tensor:
        """Draw matrices (items, 2, 2) on the CPU; unchanged items get the identity."""
        return self._some(self._draw(items, generator), torch.eye(2), generator, eligible)

    def _draw(self, items: int, generator: Generator) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Pan(StereoEffect):
    """Move items to another stereo position at constant power.

    Solo singers are recorded in the centre, but backing voices mostly are not.
    """

    def _draw(self, items: int, generator: Generator) -> Tensor:
        place = uniform(items, (0.0, math.pi / 2), generator)
        return torch.diag_embed(torch.stack([place.cos(), place.sin()], dim=1) * 2**0.5)


@dataclass(frozen=True)
class ChannelSwap(StereoEffect):
    """Exchange left and right."""

    share: float = field(default=0.5, metadata=within(0, 1))

    def _draw(self, items: int, generator: Generator) -> Tensor:
        return torch.eye(2).flip(0).repeat(items, 1, 1)


@dataclass(frozen=True)
class Polarity(StereoEffect):
    """Invert every sample."""

    share: float = field(default=0.5, metadata=within(0, 1))

    def _draw(self, items: int, generator: Generator) -> Tensor:
        return -torch.eye(2).repeat(items, 1, 1)


@dataclass(frozen=True)
class StereoWidth(StereoEffect):
    """Scale the side signal (L - R) / 2 and keep the mid signal (L + R) / 2."""

    share: float = field(default=0.1, metadata=within(0, 1))

    def _draw(self, items: int, generator: Generator) -> Tensor:
        width = uniform(items, _WIDTH, generator)
        width[choose(_MONO, items, generator)] = 0.0
        same, across = (1 + width) / 2, (1 - width) / 2
        return torch.stack([same, across, across, same], dim=1).reshape(items, 2, 2)
