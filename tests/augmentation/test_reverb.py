from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from songsplit.augmentation import Reverb
from tests.augmentation.signals import RATE, applied, decibels, noise, rms, seeded


def response(samples: int, **settings: tuple[float, float]) -> Tensor:
    impulse = torch.zeros(1, 2, samples)
    impulse[..., 0] = 1.0
    return applied(Reverb(1.0, **settings), impulse, seeded())[0]


def decay_seconds(tail: Tensor) -> float:
    """Reverberation time by Schroeder's backward integration, from -5 to -35 dB."""
    energy = tail.double().square().sum(dim=0).flip(0).cumsum(0).flip(0)
    level = 10 * (energy / energy[0]).clamp_min(1e-12).log10()
    first, last = (int((level > limit).sum()) for limit in (-5, -35))
    return 2 * (last - first) / RATE


@pytest.mark.parametrize("seconds", [0.3, 0.8, 2.0])
def test_reverberation_time_is_the_one_asked_for(seconds: float) -> None:
    tail = response(int(1.2 * seconds * RATE), seconds=(seconds, seconds), damping=(1, 1))
    tail[:, 0] -= 1.0
    assert decay_seconds(tail) == pytest.approx(seconds, rel=0.06)


def test_highs_decay_faster() -> None:
    tail = response(2 * RATE, seconds=(1.5, 1.5), damping=(0.4, 0.4))
    tail[:, 0] -= 1.0
    window = torch.hann_window(1024)
    power = torch.stft(tail, 1024, 256, window=window, return_complex=True).abs().square()
    frequency = torch.linspace(0, RATE / 2, 513)

    def seconds(lowest: float, highest: float) -> float:
        band = (frequency > lowest) & (frequency < highest)
        level = 10 * power[:, band].mean(dim=(0, 1)).log10()
        # Between 0.05 and 0.35 s, away from the onset.
        return 60 * 0.3 / float(level[8:10].mean() - level[60:62].mean()) * (52 * 256 / RATE / 0.3)

    assert seconds(100, 500) == pytest.approx(1.5, rel=0.15)
    assert seconds(9000, 11000) == pytest.approx(0.6, rel=0.1)


def test_direct_sound_delay_and_wet_level() -> None:
    found = response(RATE, seconds=(0.5, 0.5), pre_delay=(0.05, 0.05), wet=(-6, -6))
    torch.testing.assert_close(found[:, 0], torch.ones(2))
    late = round(0.05 * RATE)
    assert found[:, 1:late].abs().max() < 1e-6
    energy = found[:, late:].square().sum(dim=1)
    assert 10 * math.log10(energy.mean()) == pytest.approx(-6, abs=0.05)
    correlation = (found[0, late:] * found[1, late:]).sum() / energy.mean()
    assert abs(correlation) < 0.1


def test_every_item_has_a_room_of_its_own_whatever_stands_beside_it() -> None:
    audio = noise(1, 2, 3000).repeat(4, 1, 1)
    effect = Reverb(1.0)
    result = applied(effect, audio, seeded())
    assert not torch.equal(result[0], result[1])
    alone = applied(effect, audio, seeded(), torch.tensor([False, False, True, False]))
    torch.testing.assert_close(alone[2], result[2])


def test_nothing_comes_round_from_the_end_to_the_start() -> None:
    audio = torch.zeros(1, 2, 5000)
    audio[..., 4000:] = noise(2, 1000)
    config = Reverb(1.0, seconds=(1, 1), wet=(0, 0))
    result = applied(config, audio, seeded())
    assert rms(result[0, :, :4000]) < 1e-6
    assert decibels(rms(result[0, :, 4000:]) / rms(audio[0, :, 4000:])) > 0
