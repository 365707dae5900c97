"""The augmentation of whole batches: which parts get which effects, in which order."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from songsplit.augmentation.dynamics import Compression, Saturation
from songsplit.augmentation.effect import move
from songsplit.augmentation.mixing import MixConfig, Mixer
from songsplit.augmentation.pitch import Harmony, PitchTempo, PitchTempoConfig
from songsplit.augmentation.reverb import Reverb
from songsplit.augmentation.spectral import (
    BandLimit,
    Equalizer,
    FilterCurve,
    LossyCoding,
    band_curves,
    filtered,
)
from songsplit.augmentation.stereo import ChannelSwap, Gain, Pan, Polarity, StereoWidth
from songsplit.data.songs import PART_NAMES

_SUNG = torch.tensor([name in ("vocals", "second_singer") for name in PART_NAMES])
# A phase vocoder smears attacks, so drums change at most their speed.
_VOCODED = torch.tensor([name != "drums" for name in PART_NAMES])
_OTHER = torch.tensor([name == "other" for name in PART_NAMES])
_DRUMS_AND_BASS = [PART_NAMES.index("drums"), PART_NAMES.index("bass")]


@dataclass(frozen=True)
class AugmentConfig:
    """Settings of :class:`Augmentation`.

    An effect whose ``share`` is 0 is off. Pitch and tempo change in remixed examples for every
    part by itself (drums only change their speed), in others for all parts alike. Harmony,
    reverberation and pan are for the singers of remixed examples; saturation, compression,
    gain, channel swap, polarity and stereo width for every part of remixed examples; equalizer
    and filter curve for every target; the band limit and coding for the mixture.
    """

    pitch_tempo: PitchTempoConfig = field(default_factory=PitchTempoConfig)
    saturation: Saturation = field(default_factory=Saturation)
    compression: Compression = field(default_factory=Compression)
    harmony: Harmony = field(default_factory=Harmony)
    reverb: Reverb = field(default_factory=Reverb)
    gain: Gain = field(default_factory=Gain)
    pan: Pan = field(default_factory=Pan)
    channel_swap: ChannelSwap = field(default_factory=ChannelSwap)
    polarity: Polarity = field(default_factory=Polarity)
    stereo_width: StereoWidth = field(default_factory=StereoWidth)
    mix: MixConfig = field(default_factory=MixConfig)
    equalizer: Equalizer = field(default_factory=Equalizer)
    filter_curve: FilterCurve = field(default_factory=FilterCurve)
    band_limit: BandLimit = field(default_factory=BandLimit)
    coding: LossyCoding = field(default_factory=LossyCoding)


class Augmentation:
    """Make training examples of the parts of songs, on the device that trains.

    Everything follows from the state of the generator: on a CPU and a GPU, the same items
    get the same effects; only the noise of reverberation differs. To be called under
    :func:`torch.no_grad`.

    Parameters
    ----------
    config : AugmentConfig
    targets : tuple of str
        Names of the targets in their order: vocals and instrumental, or vocals, drums,
        bass and other.
    sample_rate : int
        Rate in Hz of the audio.
    n_fft, hop_length : int
        Window and hop in samples of the spectrograms.

    Raises
    ------
    ConfigError
        If the targets are others.
    """

    def __init__(
        self,
        config: AugmentConfig,
        targets: tuple[str, ...],
        sample_rate: int,
        n_fft: int,
        hop_length: int,
    ) -> None:
        self.config = config
        self.sample_rate = sample_rate
        self.hertz = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1)
        self.pitch_tempo = PitchTempo(config.pitch_tempo)
        self.mixer = Mixer(config.mix, targets)

    def stems(
        self,
        parts: Tensor,
        same_song: Tensor,
        generator: torch.Generator,
        samples: int,
        present: Tensor | None = None,
    ) -> Tensor:
        """Change parts and mix them: shape (batch, targets, 2, samples).

        Parameters
        ----------
        parts : Tensor of float32, shape (batch, 5, 2, n)
            In the order of :data:`~songsplit.data.songs.PART_NAMES`, with at least
            ``config.pitch_tempo.read_samples(samples)`` samples. They stay as they are.
        same_song : Tensor of bool, shape (batch,)
            Items whose parts belong together, on the CPU. Their parts are only mixed, or
            change their speed alike.
        generator : torch.Generator
            On the CPU.
        samples : int
            Length of the result.
        present : Tensor of bool, shape (batch, 5), optional
            Parts that are not all zero, on the CPU; no time is spent on the others.
        """
        batch = len(parts)
        remixed = ~same_song[:, None].expand(batch, len(PART_NAMES))
        vocoded = _VOCODED.expand(batch, -1)
        if present is not None:
            remixed = remixed & present
            # An instrumental stands in the place of "other", alone, with drums inside.
            alone = ~present[:, _DRUMS_AND_BASS].any(dim=1, keepdim=True)
            vocoded = vocoded & ~(_OTHER & alone)
        changed, sung = remixed.flatten(), (remixed & _SUNG).flatten()
        source = parts.flatten(0, 1)
        audio = source[..., :samples].clone()
        by_song = audio.view(*parts.shape[:-1], samples)
        self.pitch_tempo.apply(audio, source, generator, changed, vocoded.flatten())
        self.pitch_tempo.apply_to_songs(by_song, parts, generator, same_song)
        rate, config = self.sample_rate, self.config
        config.saturation.apply(audio, rate, generator, changed)
        config.compression.apply(audio, rate, generator, changed)
        config.harmony.apply(audio, rate, generator, sung)
        config.reverb.apply(audio, rate, generator, sung)
        stereo = torch.eye(2)
        effects = config.gain, config.stereo_width, config.channel_swap, config.polarity
        with torch.autocast("cpu", enabled=False):
            for effect in effects:
                stereo = effect.factors(len(audio), generator, changed) @ stereo
            stereo = config.pan.factors(len(audio), generator, sung) @ stereo
        return self.mixer(by_song, same_song, generator, stereo.reshape(batch, -1, 2, 2))

    def spectrograms(
        self, spectrograms: Tensor, bandwidth: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Filter targets, and limit and code their mixture, which is their sum.

        Parameters
        ----------
        spectrograms : Tensor of complex64, shape (batch, targets, 2, bins, frames)
            They stay as they are; the result has the same shape.
        bandwidth : Tensor, shape (batch,)
            Highest frequency in Hz that the item's recordings hold, may be infinite, on
            any device.
        generator : torch.Generator
            On the CPU.
        """
        batch, targets, _, bins, _ = spectrograms.shape
        config, hertz, device = self.config, self.hertz, spectrograms.device
        curves = config.equalizer.factors(batch * targets, hertz, generator)
        curves *= config.filter_curve.factors(batch * targets, hertz, generator)
        limits = move(config.band_limit.factors(batch, hertz, generator), device)
        # Singing that was recorded at a low rate has no highs. Limiting its backing as well
        # keeps the network from learning that highs are never singing.
        known = band_curves(bandwidth, move(hertz, bandwidth.device))
        limits = limits * move(known, device)
        curves = move(curves, device).reshape(batch, targets, bins)
        result = filtered(spectrograms, (curves * limits[:, None])[:, :, None])
        config.coding.apply(result, self.sample_rate, generator)
        return result
