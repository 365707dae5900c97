"""Effects that depend on the level: saturation and compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from songsplit.augmentation.effect import (
    SILENCE,
    ItemEffect,
    Range,
    amplitude,
    log_uniform,
    move,
    per_item,
    root_mean_square,
    uniform,
    with_level,
)

_FRAME = 128  # samples over which the compressor measures a level
_LOWEST = 20.0  # Hz; what an asymmetrical curve adds below is no sound


@dataclass(frozen=True)
class Saturation(ItemEffect):
    r"""Soft clipping that keeps the root mean square.

    .. math:: y \propto \tanh(g x + a) - \tanh(a)

    followed by a high-pass at 20 Hz, because the mean of an asymmetrical curve follows the
    level.

    Attributes
    ----------
    drive : tuple of float
        Range in dB of the item's root mean square above the level at which the curve
        bends. Peaks of music lie 10 to 15 dB above its root mean square.
    asymmetry : tuple of float
        Range of the offset of the curve, in units of that level. Asymmetrical curves add
        even harmonics, as valves do.
    """

    section: ClassVar[str] = "saturation"
    bounds: ClassVar[dict[str, Range]] = {"drive": (-60, 60), "asymmetry": (0, 2)}
    share: float = 0.04
    drive: Range = (-12.0, 3.0)
    asymmetry: Range = (0.0, 0.4)

    def _draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        drive = uniform(items, self.drive, generator)
        return drive, uniform(items, self.asymmetry, generator)

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        drive, asymmetry = (per_item(amount, items) for amount in amounts)
        level = root_mean_square(items)
        slope = amplitude(drive) / level.clamp_min(SILENCE)
        clipped = torch.addcmul(asymmetry, items, slope).tanh_().sub_(asymmetry.tanh())
        return with_level(_high_passed(clipped, sample_rate), level)


def _high_passed(audio: Tensor, sample_rate: int) -> Tensor:
    samples = audio.shape[-1]
    frequency = torch.fft.rfftfreq(samples, 1 / sample_rate, device=audio.device)
    power = (frequency / _LOWEST).square()
    spectrum = torch.fft.rfft(audio) * (power / (1 + power))
    passed: Tensor = torch.fft.irfft(spectrum, samples)
    return passed


@dataclass(frozen=True)
class Compression(ItemEffect):
    """Feed-forward compressor, both channels alike, that keeps the root mean square.

    The level is measured in frames of 128 samples. The gain that it asks for, in dB,
    rises no faster than the release allows and is then smoothed by the attack's decaying
    exponential, as in the smooth decoupled detector of Giannoulis, Massberg and Reiss
    (2012), "Digital dynamic range compressor design", except that the release is a
    straight line in dB. Both have closed forms, so no sample waits for the one before.

    Attributes
    ----------
    threshold : tuple of float
        Range in dB, relative to the item's root mean square.
    ratio : tuple of float
        Range of dB at the input for one dB at the output, above the threshold.
    attack : tuple of float
        Range in seconds of the time constant with which the gain falls.
    release : tuple of float
        Range of the seconds in which the gain rises by 10 dB.
    """

    section: ClassVar[str] = "compression"
    bounds: ClassVar[dict[str, Range]] = {
        "threshold": (-60, 60),
        "ratio": (1, 100),
        "attack": (1e-4, 1),
        "release": (1e-3, 10),
    }
    share: float = 0.05
    threshold: Range = (-10.0, 3.0)
    ratio: Range = (1.5, 6.0)
    attack: Range = (0.002, 0.03)
    release: Range = (0.05, 0.4)

    def _draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        return (
            uniform(items, self.threshold, generator),
            log_uniform(items, self.ratio, generator),
            log_uniform(items, self.attack, generator),
            log_uniform(items, self.release, generator),
        )

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        threshold, ratio, attack, release = (
            move(amount, items.device)[:, None] for amount in amounts
        )
        samples = items.shape[-1]
        rms = root_mean_square(items)
        frames = functional.pad(items, (0, -samples % _FRAME)).reshape(*items.shape[:2], -1, _FRAME)
        power = frames.square().mean(dim=(1, 3)) / rms.reshape(-1, 1).square().clamp_min(1e-16)
        over = (10 * power.clamp_min(1e-6).log10() - threshold).relu()
        reduction = _smooth(over * (1 - 1 / ratio), sample_rate, attack, release)
        factor = functional.interpolate(
            amplitude(-reduction)[:, None], scale_factor=_FRAME, mode="linear"
        )
        return with_level(items * factor[..., :samples], rms)


def _smooth(reduction: Tensor, sample_rate: int, attack: Tensor, release: Tensor) -> Tensor:
    """Follow the reduction in dB, shape (items, frames), as attack and release allow."""
    count = reduction.shape[1]
    time = torch.arange(count, device=reduction.device) * (_FRAME / sample_rate)
    # The maximum over the past of what has since fallen along a straight line.
    fall = time * 10 / release
    held = (reduction + fall).cummax(dim=1).values - fall
    kernel = torch.exp(-time / attack)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    # As if it had always been as at the start: chunks are cut out of running music.
    start = held[:, :1]
    # Zeros up to twice the length make the FFT's circular convolution a plain one.
    product = torch.fft.rfft(held - start, 2 * count) * torch.fft.rfft(kernel, 2 * count)
    smoothed: Tensor = torch.fft.irfft(product, 2 * count)[:, :count] + start
    return smoothed.relu()
