"""Reverberation of made-up rooms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from songsplit.training.augment import draws
from songsplit.training.augment.effects import Effect
from songsplit.training.augment.loudness import SILENCE
from songsplit.training.augment.resampling import smooth_length
from songsplit.training.augment.settings import EffectSettings, Range
from songsplit.training.augment.synthesis import synthesize

_N_FFT = 512  # of the spectrogram in which a tail is shaped
_HOP = _N_FFT // 4
_LOW, _HIGH = 500.0, 10_000.0  # Hz; between them the decay gets faster


@dataclass(frozen=True)
class ReverbConfig(EffectSettings):
    """Settings of :class:`Reverb`.

    Attributes
    ----------
    share : float
        Share of the items that are changed.
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
    share: float = 0.1
    seconds: Range = (0.2, 2.5)
    damping: Range = (0.2, 0.7)
    pre_delay: Range = (0.0, 0.06)
    wet: Range = (-20.0, -4.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range("seconds", 0.05, 10)
        self._require_range("damping", 0.05, 1)
        self._require_range("pre_delay", 0, 0.5)
        self._require_range("wet", -60, 20)


class Reverb(Effect):
    """Convolution with stereo room responses: decaying noise, another for each item.

    Late reverberation is close to Gaussian noise with an exponential decay, which is
    faster for high frequencies: see Polack (1988) and Jot, Cerveau and Warusfel (1997),
    "Analysis and synthesis of room reverberation based on a statistical time-frequency
    model". The left and right noise are independent. Both channels of the item keep
    their direct sound, and each is answered by its own noise. What would ring on after
    the end is cut off.

    Parameters
    ----------
    config : ReverbConfig
    sample_rate : int
        Rate in Hz of the audio.
    """

    def __init__(self, config: ReverbConfig, sample_rate: int) -> None:
        super().__init__(config.share)
        self.config = config
        self.sample_rate = sample_rate

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw decay in seconds, damping, delay in seconds, level in dB, and a seed."""
        config = self.config
        return (
            draws.log_uniform(items, config.seconds, generator),
            draws.uniform(items, config.damping, generator),
            draws.uniform(items, config.pre_delay, generator),
            draws.uniform(items, config.wet, generator),
            draws.seeds(items, generator),
        )

    def change(self, items: Tensor, amounts: tuple[Tensor, ...]) -> Tensor:
        """Reverberate audio of shape (items, 2, samples)."""
        samples = items.shape[-1]
        changed = items.clone()
        # One by one, since lengths differ much; all numbers are known on the CPU.
        for item, (seconds, damping, delay, wet, seed) in enumerate(
            zip(*(amount.tolist() for amount in amounts), strict=True)
        ):
            late = round(delay * self.sample_rate)
            if late >= samples:
                continue
            tail = self.tail(seconds, damping, seed, items.device)
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

    def tail(self, seconds: float, damping: float, seed: int, device: torch.device) -> Tensor:
        """Make a response without direct sound, of energy 1 in the mean of its channels.

        Parameters
        ----------
        seconds, damping : float
            As in :class:`ReverbConfig`.
        seed : int
            Of the noise, which is drawn on the device.
        device : torch.device

        Returns
        -------
        Tensor of float32, shape (2, seconds * sample_rate)
        """
        samples = math.ceil(seconds * self.sample_rate)
        frames, bins = samples // _HOP + 1, _N_FFT // 2 + 1
        frequency = torch.linspace(0, self.sample_rate / 2, bins, device=device)
        above = (frequency.clamp_min(_LOW) / _LOW).log() / math.log(_HIGH / _LOW)
        rate = 60 / (seconds * damping**above)  # dB per second, shape (bins,)
        time = torch.arange(frames, device=device) * (_HOP / self.sample_rate)
        generator = torch.Generator(device).manual_seed(seed)
        noise = torch.randn(
            2, bins, frames, dtype=torch.complex64, device=device, generator=generator
        )
        tail = synthesize(noise * draws.gain(-rate[:, None] * time), samples)
        energy = tail.square().sum(dim=1).mean()
        return tail / energy.sqrt()
