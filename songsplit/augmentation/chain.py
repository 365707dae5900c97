"""The augmentation of whole batches: which parts get which effects, in which order."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Generator, Tensor

from songsplit.augmentation import mixing, pitch, samples, spectral
from songsplit.augmentation.effect import check_settings, move
from songsplit.data.songs import PART_NAMES
from songsplit.errors import ConfigError

_SUNG = torch.tensor([name in ("vocals", "second_singer") for name in PART_NAMES])
# A phase vocoder smears attacks, so drums change at most their speed.
_VOCODED = torch.tensor([name != "drums" for name in PART_NAMES])
_OTHER = torch.tensor([name == "other" for name in PART_NAMES])
_DRUMS_AND_BASS = [PART_NAMES.index("drums"), PART_NAMES.index("bass")]


@dataclass(frozen=True)
class AugmentConfig:
    """Settings of the augmentation.

    An effect whose ``share`` is 0 is off. Pitch and tempo change in remixed examples for every
    part by itself (drums only change their speed), in others for all parts alike. Harmony,
    reverberation and pan are for the singers of remixed examples; saturation, compression,
    channel swap, polarity and stereo width for every part of remixed examples; equalizer
    and filter curve for every target; the band limit and coding for the mixture.

    Raises
    ------
    ConfigError
        If a setting is impossible. The message names it.
    """

    pitch_tempo: pitch.PitchTempo = field(default_factory=pitch.PitchTempo)
    saturation: samples.Saturation = field(default_factory=samples.Saturation)
    compression: samples.Compression = field(default_factory=samples.Compression)
    harmony: pitch.Harmony = field(default_factory=pitch.Harmony)
    reverb: samples.Reverb = field(default_factory=samples.Reverb)
    pan: samples.Pan = field(default_factory=samples.Pan)
    channel_swap: samples.ChannelSwap = field(default_factory=samples.ChannelSwap)
    polarity: samples.Polarity = field(default_factory=samples.Polarity)
    stereo_width: samples.StereoWidth = field(default_factory=samples.StereoWidth)
    mix: mixing.MixConfig = field(default_factory=mixing.MixConfig)
    equalizer: spectral.Equalizer = field(default_factory=spectral.Equalizer)
    filter_curve: spectral.FilterCurve = field(default_factory=spectral.FilterCurve)
    band_limit: spectral.BandLimit = field(default_factory=spectral.BandLimit)
    coding: spectral.LossyCoding = field(default_factory=spectral.LossyCoding)

    def __post_init__(self) -> None:
        for section in fields(self):
            check_settings(section.name, getattr(self, section.name))
        if self.mix.silent_vocals + self.mix.silent_backing > 1:
            raise ConfigError("augment settings mix.silent_vocals and mix.silent_backing exceed 1")


class Augmentation:
    """Make training examples of the parts of songs, on the device that trains.

    Everything follows from the state of the generator: on a CPU and a GPU, the same items
    get the same effects; only the noise of reverberation differs.
    """

    def __init__(
        self, config: AugmentConfig, targets: tuple[str, ...], sample_rate: int, bins: int
    ) -> None:
        self.config = config
        self.sample_rate = sample_rate
        self.hertz = torch.linspace(0, sample_rate / 2, bins)
        self.mixer = mixing.Mixer(config.mix, targets)

    def stems(
        self, parts: Tensor, same_song: Tensor, generator: Generator, length: int, present: Tensor
    ) -> Tensor:
        """Change parts and mix them: shape (batch, targets, 2, length).

        Parts are float32 of shape (batch, 5, 2, ``pitch_tempo.read_samples(length)``), in the
        order of PART_NAMES; they stay as they are. On the CPU, `same_song`, shape (batch,), marks
        items whose parts belong together, and `present`, shape (batch, 5), parts that are not
        all zero: no time is spent on others.
        """
        batch = len(parts)
        remixed = present & ~same_song[:, None]
        # An instrumental stands in the place of "other", alone, with drums inside.
        instrumental = ~present[:, _DRUMS_AND_BASS].any(dim=1, keepdim=True) & _OTHER
        by_song = parts[..., :length].clone()
        rate, config = self.sample_rate, self.config
        config.pitch_tempo.apply(
            by_song, parts, generator, remixed, _VOCODED & ~instrumental, same_song
        )
        audio = by_song.flatten(0, 1)
        changed, sung = remixed.flatten(), (remixed & _SUNG).flatten()
        config.saturation.apply(audio, rate, generator, changed)
        config.compression.apply(audio, rate, generator, changed)
        config.harmony.apply(audio, rate, generator, sung)
        config.reverb.apply(audio, rate, generator, sung)
        # An effect that is gone drew these numbers: with them, seeds keep their meaning.
        torch.randn(len(audio), generator=generator)
        torch.rand(len(audio), generator=generator)
        stereo = torch.eye(2)
        with torch.autocast("cpu", enabled=False):
            for effect in (config.stereo_width, config.channel_swap, config.polarity):
                stereo = effect.factors(len(audio), generator, changed) @ stereo
            stereo = config.pan.factors(len(audio), generator, sung) @ stereo
        return self.mixer(by_song, same_song, generator, stereo.reshape(batch, -1, 2, 2))

    def spectrograms(self, spectrograms: Tensor, bandwidth: Tensor, generator: Generator) -> Tensor:
        """Filter targets, and limit and code their mixture, which is their sum.

        Spectrograms are complex64 of shape (batch, targets, 2, bins, frames). The bandwidth,
        shape (batch,), is the highest frequency in Hz that an item's recordings hold.
        """
        batch, targets, _, bins, _ = spectrograms.shape
        config, hertz, device = self.config, self.hertz, spectrograms.device
        curves = config.equalizer.factors(batch * targets, hertz, generator)
        curves *= config.filter_curve.factors(batch * targets, hertz, generator)
        limits = move(config.band_limit.factors(batch, hertz, generator), device)
        # Singing that was recorded at a low rate has no highs. Limiting its backing as well
        # keeps the network from learning that highs are never singing.
        known = spectral.band_curves(bandwidth, move(hertz, bandwidth.device))
        limits = limits * move(known, device)
        curves = move(curves, device).reshape(batch, targets, bins)
        result = spectral.filtered(spectrograms, (curves * limits[:, None])[:, :, None])
        config.coding.apply(result, self.sample_rate, generator)
        return result
