"""Augmentation of training examples in batches, on the training device.

This module applies effects to parts of songs in a fixed order, and mixes the parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Generator, Tensor

from songsplit.augmentation import pitch, samples, spectral
from songsplit.augmentation.effect import (
    Range,
    amplitude,
    check_settings,
    choose,
    move,
    uniform,
    within,
)
from songsplit.data.songs import PART_NAMES
from songsplit.errors import ConfigError

_SUNG = torch.tensor([name in ("vocals", "second_singer") for name in PART_NAMES])
# A phase vocoder smears attacks, so drums only change their speed.
_VOCODED = torch.tensor([name != "drums" for name in PART_NAMES])
_OTHER = torch.tensor([name == "other" for name in PART_NAMES])
_DRUMS_AND_BASS = [PART_NAMES.index("drums"), PART_NAMES.index("bass")]
_SINGERS = slice(0, 2)
_BACKING = slice(2, 5)
_TARGETS = (
    {"vocals": range(2), "instrumental": range(2, 5)},
    {"vocals": range(2), "drums": range(2, 3), "bass": range(3, 4), "other": range(4, 5)},
)
_LOUDEST = 6.0  # largest factor, 15.6 dB: much quieter parts are bleed or ends of notes
_SILENCE = 1e-3  # root mean square up to which a part counts as silent


@dataclass(frozen=True)
class MixConfig:
    """Settings of the mixing of examples; every share is a probability.

    The first four settings apply to remixed examples, whose parts come from different recordings,
    and the next two to examples from one song.

    Attributes
    ----------
    backing_deviation : float
        Standard deviation in dB of the gain of each backing part.
    second_singer : tuple of float
        Range in dB of the second singer's level, relative to the first singer.
    level_mean, level_deviation : float
        Mean and standard deviation of the ratio of vocals to backing in dB.
    vocals_deviation : float
        Standard deviation in dB of the gain of a song's own vocals.
    swap : float
        Share of songs whose left and right channels are exchanged.
    silent_vocals, silent_backing : float
        Share of examples without vocals or without backing; together at most 1.
    loudness : tuple of float
        Range in dB of the gain of the mixture.
    """

    backing_deviation: float = field(default=3.0, metadata=within(0, 40))
    second_singer: Range = field(default=(-9.0, 0.0), metadata=within(-60, 60))
    level_mean: float = field(default=-5.0, metadata=within(-60, 60))
    level_deviation: float = field(default=5.0, metadata=within(0, 40))
    vocals_deviation: float = field(default=2.0, metadata=within(0, 40))
    swap: float = field(default=0.5, metadata=within(0, 1))
    silent_vocals: float = field(default=0.05, metadata=within(0, 1))
    silent_backing: float = field(default=0.02, metadata=within(0, 1))
    loudness: Range = field(default=(-12.0, 0.0), metadata=within(-60, 60))


@dataclass(frozen=True)
class AugmentConfig:
    """Settings of the augmentation.

    An effect with a ``share`` of 0 is off. Pitch and tempo change separately for every part of
    remixed examples (drums only change their speed), and equally for all parts of other examples.
    Harmony, reverberation and pan apply to the singers of remixed examples; saturation,
    compression, channel swap, polarity and stereo width to every part of remixed examples;
    equalizer and filter curve to every target; band limit and coding to the mixture.

    Raises
    ------
    ConfigError
        If a setting is invalid. The message names it.
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
    mix: MixConfig = field(default_factory=MixConfig)
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
    """Creates training examples from the parts of songs, on the training device.

    The state of the generator determines all effects, which are the same on CPU and GPU, except
    for the noise of reverberation.
    """

    def __init__(
        self, config: AugmentConfig, targets: tuple[str, ...], sample_rate: int, bins: int
    ) -> None:
        self.config = config
        self.sample_rate = sample_rate
        self.hertz = torch.linspace(0, sample_rate / 2, bins)
        self.mixer = Mixer(config.mix, targets)

    def stems(
        self, parts: Tensor, same_song: Tensor, generator: Generator, length: int, present: Tensor
    ) -> Tensor:
        """Apply effects to parts and mix them to stems (batch, targets, 2, length).

        Parts are float32 (batch, 5, 2, ``pitch_tempo.read_samples(length)``) in the order of
        PART_NAMES, and are not modified. `same_song` (batch,) and `present` (batch, 5) are on the
        CPU. They mark items whose parts come from one song, and parts that are not all zero.
        """
        batch = len(parts)
        remixed = present & ~same_song[:, None]
        # An instrumental takes the slot of "other" and contains drums.
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
        # A removed effect drew these numbers. Drawing them keeps the results of seeds.
        torch.randn(len(audio), generator=generator)
        torch.rand(len(audio), generator=generator)
        stereo = torch.eye(2)
        with torch.autocast("cpu", enabled=False):
            for effect in (config.stereo_width, config.channel_swap, config.polarity):
                stereo = effect.factors(len(audio), generator, changed) @ stereo
            stereo = config.pan.factors(len(audio), generator, sung) @ stereo
        return self.mixer(by_song, same_song, generator, stereo.reshape(batch, -1, 2, 2))

    def spectrograms(self, spectrograms: Tensor, bandwidth: Tensor, generator: Generator) -> Tensor:
        """Filter the targets, and apply band limit and coding to their sum, the mixture.

        Spectrograms are complex64 (batch, targets, 2, bins, frames). `bandwidth` (batch,) is the
        highest frequency in Hz of an item's recordings.
        """
        batch, targets, _, bins, _ = spectrograms.shape
        config, hertz, device = self.config, self.hertz, spectrograms.device
        curves = config.equalizer.factors(batch * targets, hertz, generator)
        curves *= config.filter_curve.factors(batch * targets, hertz, generator)
        limits = move(config.band_limit.factors(batch, hertz, generator), device)
        # Singing recorded at a low rate has no highs. Its backing is limited as well, so that the
        # network does not learn that highs are never vocals.
        known = spectral.band_curves(bandwidth, move(hertz, bandwidth.device))
        limits = limits * move(known, device)
        curves = move(curves, device).reshape(batch, targets, bins)
        result = spectral.filtered(spectrograms, (curves * limits[:, None])[:, :, None])
        config.coding.apply(result, self.sample_rate, generator)
        return result


class Mixer:
    """Mixes parts into targets at random levels.

    Mixing is linear, so levels follow from the inner products of the parts. The audio is read only
    twice: for these products and for the mix.
    """

    def __init__(self, config: MixConfig, targets: tuple[str, ...]) -> None:
        parts = next((known for known in _TARGETS if sorted(known) == sorted(targets)), None)
        if parts is None:
            raise ConfigError(
                f"there is no training data for the targets {', '.join(targets)}: use vocals and "
                "instrumental, or vocals, drums, bass and other"
            )
        self.config = config
        self.parts = [parts[target] for target in targets]

    def __call__(
        self, parts: Tensor, same_song: Tensor, generator: Generator, stereo: Tensor
    ) -> Tensor:
        """Mix parts (batch, 5, 2, samples) into targets (batch, targets, 2, samples).

        Missing parts are zero. `stereo` are matrices (batch, 5, 2, 2) from input to output
        channels. `stereo` and `same_song`, which marks parts of one song, are on the CPU.
        """
        with torch.autocast(parts.device.type, enabled=False):
            weights = self._weights(parts, same_song, generator, stereo)
        mixed = parts.new_zeros(len(parts), len(self.parts), *parts.shape[2:])
        for target, numbers in enumerate(self.parts):
            for part in numbers:
                for channel in range(2):
                    mixed[:, target].addcmul_(
                        parts[:, part, channel, None], weights[:, part, :, channel, None]
                    )
        return mixed

    def _weights(
        self, parts: Tensor, same_song: Tensor, generator: Generator, stereo: Tensor
    ) -> Tensor:
        """Draw the weights of the mix (batch, parts, output channel, input channel)."""
        config, batch, device = self.config, len(parts), parts.device
        backing = config.backing_deviation * torch.randn(batch * 3, generator=generator)
        second = uniform(batch, config.second_singer, generator)
        level = torch.randn(batch, generator=generator) * config.level_deviation + config.level_mean
        vocals = config.vocals_deviation * torch.randn(batch, generator=generator)
        swap = choose(config.swap, batch, generator, same_song)
        silent = torch.rand(batch, generator=generator)
        loudness = amplitude(uniform(batch, config.loudness, generator))

        decibels = torch.zeros(batch, len(PART_NAMES))
        decibels[:, _BACKING] = backing.reshape(batch, 3).where(~same_song[:, None], 0.0)
        decibels[:, _SINGERS] = vocals.where(same_song, 0.0)[:, None]
        known = stereo * amplitude(decibels)[..., None, None]
        known[swap] = known[swap].flip(2)
        weights = move(known, device)
        remixed = move(~same_song, device)

        rows = parts.flatten(1, 2)
        products = rows @ rows.mT / parts.shape[-1]  # of all channels of all parts
        first, other = (_power(weights, products, slice(n, n + 1)) for n in range(2))
        weights[:, 1] *= _matching(other, first, second, remixed)
        sung = _power(weights, products, _SINGERS)
        played = _power(weights, products, _BACKING)
        weights[:, _SINGERS] *= _matching(sung, played, level, remixed)[:, None]

        heard = loudness[:, None].repeat(1, len(PART_NAMES))
        heard[silent < config.silent_vocals, _SINGERS] = 0.0
        heard[silent >= 1 - config.silent_backing, _BACKING] = 0.0
        return weights * move(heard, device)[..., None, None]


def _power(weights: Tensor, products: Tensor, parts: slice) -> Tensor:
    """Return the mean square over both channels of the sum of weighted parts (batch,)."""
    kept = torch.zeros_like(weights)
    kept[:, parts] = weights[:, parts]
    rows = kept.transpose(1, 2).flatten(2)  # (batch, output channel, part and channel)
    power = torch.einsum("bci,bij,bcj->b", rows, products, rows) / 2
    return power.clamp_min(0.0)


def _matching(power: Tensor, reference: Tensor, level: Tensor, where: Tensor) -> Tensor:
    """Return factors (batch, 1, 1), at most ``_LOUDEST``, to a level in dB above a reference.

    Factors are 1 outside `where`, and for items in which power or reference is silent.
    """
    audible = torch.minimum(power, reference) > _SILENCE**2
    factor = (reference / power.clamp_min(_SILENCE**2)).sqrt()
    factor = (factor * move(amplitude(level), power.device)).clamp_max(_LOUDEST)
    return torch.where(audible & where, factor, 1.0)[:, None, None]
