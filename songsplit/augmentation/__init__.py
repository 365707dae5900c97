"""Augmentation of training examples in batches, on the device that trains.

Here it is decided which parts of songs get which effects, in which order, and how they are mixed.
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
# A phase vocoder smears attacks, so drums change at most their speed.
_VOCODED = torch.tensor([name != "drums" for name in PART_NAMES])
_OTHER = torch.tensor([name == "other" for name in PART_NAMES])
_DRUMS_AND_BASS = [PART_NAMES.index("drums"), PART_NAMES.index("bass")]
_SINGERS = slice(0, 2)
_BACKING = slice(2, 5)
_TARGETS = (
    {"vocals": range(2), "instrumental": range(2, 5)},
    {"vocals": range(2), "drums": range(2, 3), "bass": range(3, 4), "other": range(4, 5)},
)
_LOUDEST = 6.0  # largest factor, 15.6 dB: what is far softer is the end of a note or bleed
_SILENCE = 1e-3  # root mean square up to which a part counts as silent


@dataclass(frozen=True)
class MixConfig:
    """How examples are mixed; every share is a probability.

    The first four settings concern remixed examples, whose parts come from different
    recordings, the next two those whose parts come from one song.

    Attributes
    ----------
    backing_deviation : float
        Standard deviation in dB of the gain of each backing part.
    second_singer : tuple of float
        Range in dB of the second singer's level, relative to the first one's.
    level_mean, level_deviation : float
        Ratio of vocals to backing in dB, drawn from a normal distribution.
    vocals_deviation : float
        Standard deviation in dB of the gain of a song's own vocals.
    swap : float
        Share of songs that are mixed with left and right exchanged.
    silent_vocals, silent_backing : float
        Share of examples without the one or the other; together at most 1.
    loudness : tuple of float
        Range in dB of the gain of the finished mixture.
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
        self.mixer = Mixer(config.mix, targets)

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


class Mixer:
    """Mix parts into targets, at random levels.

    All that it does is linear. Levels are therefore not measured on audio that has been
    scaled, but follow from the products of the parts with each other, and the audio is
    read only twice: for these, and for the mix.
    """

    def __init__(self, config: MixConfig, targets: tuple[str, ...]) -> None:
        parts = next((known for known in _TARGETS if sorted(known) == sorted(targets)), None)
        if parts is None:
            raise ConfigError(
                f"there is no training data for the targets {', '.join(targets)}: they must be "
                "vocals and instrumental, or vocals, drums, bass and other"
            )
        self.config = config
        self.parts = [parts[target] for target in targets]

    def __call__(
        self, parts: Tensor, same_song: Tensor, generator: Generator, stereo: Tensor
    ) -> Tensor:
        """Mix parts (batch, 5, 2, samples) into targets (batch, targets, 2, samples).

        Parts are zero where there is none. `stereo` has matrices (batch, 5, 2, 2) from input to
        output channels; like `same_song`, which marks parts of one song, it is on the CPU.
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
        """Draw the weights of the mix, shape (batch, parts, output, input channel)."""
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
    """Mean square over both channels of the sum of weighted parts, shape (batch,)."""
    kept = torch.zeros_like(weights)
    kept[:, parts] = weights[:, parts]
    rows = kept.transpose(1, 2).flatten(2)  # (batch, output channel, part and channel)
    power = torch.einsum("bci,bij,bcj->b", rows, products, rows) / 2
    return power.clamp_min(0.0)


def _matching(power: Tensor, reference: Tensor, level: Tensor, where: Tensor) -> Tensor:
    """Return factors (batch, 1, 1) that bring power to a level in dB above a reference.

    They are 1 elsewhere, and where either of them is silent; at most ``_LOUDEST``.
    """
    audible = torch.minimum(power, reference) > _SILENCE**2
    factor = (reference / power.clamp_min(_SILENCE**2)).sqrt()
    factor = (factor * move(amplitude(level), power.device)).clamp_max(_LOUDEST)
    return torch.where(audible & where, factor, 1.0)[:, None, None]
