"""Reverberation of made-up rooms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from songsplit.augmentation.effect import (
    SILENCE,
    ItemEffect,
    Range,
    amplitude,
    log_uniform,
    uniform,
)
from songsplit.augmentation.playback import smooth_length, synthesize

_N_FFT = 512  # of the spectrogram in which a tail is shaped
_HOP = _N_FFT // 4
_LOW, _HIGH = 500.0, 10_000.0  # Hz; between them the decay gets faster


@dataclass(frozen=True)
class Reverb(ItemEffect):
    """Convolution with stereo room responses: decaying noise, another for each item.

    Late reverberation is close to Gaussian noise with an exponential decay, which is
    faster for high frequencies: see Polack (1988) and Jot, Cerveau and Warusfel (1997),
    "Analysis and synthesis of room reverberation based on a statistical time-frequency
    model". The left and right noise are independent. Both channels of the item keep
    their direct sound, and each is answered by its own noise. What would ring on after
    the end is cut off.

    Attributes
    ----------
    seconds : tuple of float
        Range of the time in which the reverberation falls by 60 dB, up to 500 Hz.
    damping : tuple of float
        Range of that time at 10 kHz, as a share of the one at 500 Hz.
    pre_delay : tuple of float
        Range of the seconds between the direct sound and the reverberation.
    wet : tuple of float
        Range in dB of the energy of the reverberation relative to the direct sound.
    """

    section: ClassVar[str] = "reverb"
    bounds: ClassVar[dict[str, Range]] = {
        "seconds": (0.05, 10),
        "damping": (0.05, 1),
        "pre_delay": (0, 0.5),
        "wet": (-60, 20),
    }
    share: float = 0.1
    seconds: Range = (0.2, 2.5)
    damping: Range = (0.2, 0.7)
    pre_delay: Range = (0.0, 0.06)
    wet: Range = (-20.0, -4.0)

    def _draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        return (
            log_uniform(items, self.seconds, generator),
            uniform(items, self.damping, generator),
            uniform(items, self.pre_delay, generator),
            uniform(items, self.wet, generator),
            torch.randint(2**31, (items,), generator=generator),
        )

    def _change(self, items: Tensor, sample_rate: int, *amounts: Tensor) -> Tensor:
        samples = items.shape[-1]
        changed = items.clone()
        # One by one, since lengths differ much; all numbers are known on the CPU.
        for item, (seconds, damping, delay, wet, seed) in enumerate(
            zip(*(amount.tolist() for amount in amounts), strict=True)
        ):
            late = round(delay * sample_rate)
            if late >= samples:
                continue
            tail = _tail(seconds, damping, seed, sample_rate, items.device)
            # Long enough that the end of the circular convolution meets only zeros.
            length = smooth_length(samples - late + tail.shape[-1])
            spectrum = torch.fft.rfft(items[item, :, : samples - late], length)
            spectrum *= torch.fft.rfft(tail, length)
            rung = torch.fft.irfft(spectrum, length)[:, : samples - late]
            # Voices lie where rooms ring longest: what counts is the level that comes out.
            energy = torch.linalg.vector_norm(items[item]), torch.linalg.vector_norm(rung)
            rung *= energy[0] / energy[1].clamp_min(SILENCE) * 10 ** (wet / 20)
            changed[item, :, late:].add_(rung)
        return changed


def _tail(
    seconds: float, damping: float, seed: int, sample_rate: int, device: torch.device
) -> Tensor:
    """Make a response (2, samples) without direct sound, of energy 1 in the mean."""
    samples = math.ceil(seconds * sample_rate)
    frames, bins = samples // _HOP + 1, _N_FFT // 2 + 1
    frequency = torch.linspace(0, sample_rate / 2, bins, device=device)
    above = (frequency.clamp_min(_LOW) / _LOW).log() / math.log(_HIGH / _LOW)
    rate = 60 / (seconds * damping**above)  # dB per second, shape (bins,)
    time = torch.arange(frames, device=device) * (_HOP / sample_rate)
    generator = torch.Generator(device).manual_seed(seed)
    noise = torch.randn(2, bins, frames, dtype=torch.complex64, device=device, generator=generator)
    tail = synthesize(noise * amplitude(-rate[:, None] * time), samples)
    energy = tail.square().sum(dim=1).mean()
    return tail / energy.sqrt()
