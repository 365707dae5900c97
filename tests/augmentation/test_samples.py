"""Saturation, compression, reverberation and the effects on the stereo image."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from songsplit.augmentation import samples
from songsplit.augmentation.samples import (
    ChannelSwap,
    Compression,
    Pan,
    Polarity,
    Reverb,
    Saturation,
    StereoWidth,
)
from tests.augmentation.signals import RATE, applied, decibels, noise, rms, seeded, tone


def crest(audio: Tensor) -> Tensor:
    return decibels(audio.abs().amax(dim=(1, 2)) / rms(audio))


def drums(items: int, seconds: float = 1.0) -> Tensor:
    """Decaying noise bursts, four per second."""
    time = torch.arange(int(seconds * RATE)) / RATE
    return noise(items, 2, len(time)) * torch.exp(-(time % 0.25) / 0.02)


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give ranges of random amounts another value."""

    def fix(**amounts: float) -> None:
        for name, amount in amounts.items():
            monkeypatch.setattr(samples, name, (amount, amount))

    return fix


def test_saturation_lowers_peaks_and_keeps_the_level(fixed: Callable[..., None]) -> None:
    audio = drums(4)
    fixed(_DRIVE=1.5)
    driven = applied(Saturation(1.0), audio, seeded())
    torch.testing.assert_close(rms(driven), rms(audio), rtol=1e-4, atol=0)
    assert (crest(driven) < crest(audio) - 3).all()


def gain_of_a_step(gap: float) -> list[float]:
    """Gain in dB, every 10 ms, for a loud second inside two quiet ones."""
    audio = tone(1000, 3 * RATE)[None].clone()
    audio[..., :RATE] *= 10 ** (-gap / 20)
    audio[..., 2 * RATE :] *= 10 ** (-gap / 20)
    pressed = applied(Compression(1.0), audio, seeded())

    def levels(signal: Tensor) -> Tensor:
        return signal[0, 0].reshape(-1, 441).square().mean(dim=1).sqrt()

    gain: list[float] = decibels(levels(pressed) / levels(audio)).tolist()
    return gain


def test_ratio_attack_and_release_are_those_asked_for(fixed: Callable[..., None]) -> None:
    fixed(_THRESHOLD=-10.0, _RATIO=4.0, _ATTACK=0.02, _RELEASE=0.2)
    gain = gain_of_a_step(gap=40.0)
    # The loud second is about 4.8 dB above the root mean square of the whole signal.
    full = 14.77 * (1 - 1 / 4)
    assert gain[50] - gain[180] == pytest.approx(full, abs=0.3)
    after_one_constant = gain[50] - gain[102]
    assert after_one_constant / full == pytest.approx(1 - 0.3679, abs=0.12)
    # 10 dB per 0.2 s, once the smoothing has settled: 5 dB in 10 frames of 10 ms.
    assert gain[218] - gain[208] == pytest.approx(5.0, abs=0.3)
    assert gain[290] == pytest.approx(gain[50], abs=0.1)


def response(length: int, **settings: tuple[float, float]) -> Tensor:
    impulse = torch.zeros(1, 2, length)
    impulse[..., 0] = 1.0
    return applied(Reverb(1.0, **settings), impulse, seeded())[0]


def decay_seconds(tail: Tensor) -> float:
    """Reverberation time by Schroeder's backward integration, from -5 to -35 dB."""
    energy = tail.double().square().sum(dim=0).flip(0).cumsum(0).flip(0)
    level = 10 * (energy / energy[0]).clamp_min(1e-12).log10()
    first, last = (int((level > limit).sum()) for limit in (-5, -35))
    return 2 * (last - first) / RATE


@pytest.mark.parametrize("seconds", [0.3, 0.8, 2.0])
def test_reverberation_time_is_the_one_asked_for(
    seconds: float, fixed: Callable[..., None]
) -> None:
    fixed(_DAMPING=1.0, _PRE_DELAY=0.0)
    tail = response(int(1.2 * seconds * RATE), seconds=(seconds, seconds))
    tail[:, 0] -= 1.0
    assert decay_seconds(tail) == pytest.approx(seconds, rel=0.06)


def test_highs_decay_faster(fixed: Callable[..., None]) -> None:
    fixed(_DAMPING=0.4)
    tail = response(2 * RATE, seconds=(1.5, 1.5))
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


def test_direct_sound_delay_and_wet_level(fixed: Callable[..., None]) -> None:
    fixed(_PRE_DELAY=0.05)
    found = response(RATE, seconds=(0.5, 0.5), wet=(-6, -6))
    torch.testing.assert_close(found[:, 0], torch.ones(2))
    late = round(0.05 * RATE)
    assert found[:, 1:late].abs().max() < 1e-6
    energy = found[:, late:].square().sum(dim=1)
    assert 10 * math.log10(energy.mean()) == pytest.approx(-6, abs=0.05)
    correlation = (found[0, late:] * found[1, late:]).sum() / energy.mean()
    assert abs(correlation) < 0.1


def test_nothing_comes_round_from_the_end_to_the_start() -> None:
    audio = torch.zeros(1, 2, 5000)
    audio[..., 4000:] = noise(2, 1000)
    config = Reverb(1.0, seconds=(1, 1), wet=(0, 0))
    result = applied(config, audio, seeded())
    assert rms(result[0, :, :4000]) < 1e-6
    assert decibels(rms(result[0, :, 4000:]) / rms(audio[0, :, 4000:])) > 0


def test_swapped_channels_and_polarity_are_exact() -> None:
    audio = noise(3, 2, 50)
    assert torch.equal(applied(ChannelSwap(1.0), audio, seeded()), audio.flip(1))
    assert torch.equal(applied(Polarity(1.0), audio, seeded()), -audio)


@pytest.mark.parametrize("width", [0.0, 0.7, 1.5])
def test_width_scales_the_side_and_leaves_the_mid(
    width: float, fixed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = noise(4, 2, 50)
    fixed(_WIDTH=width)
    monkeypatch.setattr(samples, "_MONO", 0.0)
    changed = applied(StereoWidth(1.0), audio, seeded())
    torch.testing.assert_close(changed.sum(dim=1), audio.sum(dim=1))
    torch.testing.assert_close(changed.diff(dim=1), width * audio.diff(dim=1))


def test_places_are_spread_from_left_to_right_at_constant_power() -> None:
    voice = noise(400, 1, 50).repeat(1, 2, 1)
    placed = applied(Pan(1.0), voice, seeded())
    assert torch.allclose(placed.square().sum(1), voice.square().sum(1), rtol=1e-4)
    share = placed[:, 0].square().sum(-1) / placed.square().sum((1, 2))
    assert float(share.min()) < 0.01
    assert float(share.max()) > 0.99
    assert abs(float(share.mean()) - 0.5) < 0.05
