from __future__ import annotations

import pytest
import torch

from songsplit.augmentation import (
    ChannelSwap,
    Gain,
    Pan,
    Polarity,
    StereoWidth,
)
from tests.augmentation.signals import applied, decibels, noise, rms, seeded


def test_normal_gains_have_the_wanted_mean_and_deviation() -> None:
    audio = noise(500, 2, 50)
    louder = applied(Gain(1.0, mean=-6.0, spread=3.0), audio, seeded())
    gains = decibels(rms(louder) / rms(audio))
    assert gains.mean() == pytest.approx(-6, abs=0.5)
    assert gains.std() == pytest.approx(3, abs=0.4)


def test_swapped_channels_and_polarity_are_exact() -> None:
    audio = noise(3, 2, 50)
    assert torch.equal(applied(ChannelSwap(1.0), audio, seeded()), audio.flip(1))
    assert torch.equal(applied(Polarity(1.0), audio, seeded()), -audio)


@pytest.mark.parametrize("width", [0.0, 0.7, 1.5])
def test_width_scales_the_side_and_leaves_the_mid(width: float) -> None:
    audio = noise(4, 2, 50)
    config = StereoWidth(1.0, width=(width, width), mono=0.0)
    changed = applied(config, audio, seeded())
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


def test_some_items_become_mono() -> None:
    config = StereoWidth(1.0, width=(0.5, 1.5), mono=0.3)
    changed = applied(config, noise(200, 2, 20), seeded())
    mono = (changed[:, 0] - changed[:, 1]).abs().amax(dim=1) < 1e-7
    assert 40 < mono.sum() < 80
