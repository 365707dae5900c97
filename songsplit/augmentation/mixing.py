"""From the parts of songs to the targets of training examples."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from songsplit.augmentation.effect import Range, amplitude, choose, move, uniform, within
from songsplit.data.songs import PART_NAMES
from songsplit.errors import ConfigError

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
