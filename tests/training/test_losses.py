from __future__ import annotations

import pytest
import torch

from songsplit.dsp.stft import STFT
from songsplit.errors import ConfigError
from songsplit.training.losses import LossConfig, SeparationLoss

ALL = {"spectrogram": 1.0, "waveform": 1.0, "multi_resolution": 1.0}


def setup(samples=6000, **weights):
    torch.manual_seed(0)
    stft = STFT(512, 128)
    stems = torch.randn(3, 2, 2, samples)
    return SeparationLoss(LossConfig(**weights), stft), stft(stems), samples


@pytest.mark.parametrize("name", ALL)
def test_a_perfect_estimate_costs_nothing_and_silence_as_much_as_the_target(name):
    loss, targets, samples = setup(**{**dict.fromkeys(ALL, 0.0), name: 2.0})
    mixture = targets.sum(dim=1)
    perfect = loss(targets, targets, mixture, samples)
    assert perfect["loss"] == pytest.approx(0, abs=1e-6)
    silent = loss(0 * targets, targets, mixture, samples)
    assert set(silent) == {name, "loss"}
    assert float(silent["loss"]) == pytest.approx(2 * float(silent[name]))
    # Two stems of equal level against their sum, which is 3 dB louder.
    assert silent[name] == pytest.approx(0.5**0.5, rel=0.05)


@pytest.mark.parametrize("name", ALL)
def test_level_does_not_count(name):
    loss, targets, samples = setup(**{**dict.fromkeys(ALL, 0.0), name: 1.0})
    estimates = 0.5 * targets.flip(1)
    soft, loud = (
        loss(gain * estimates, gain * targets, gain * targets.sum(dim=1), samples)["loss"]
        for gain in (1.0, 30.0)
    )
    assert float(soft) == pytest.approx(float(loud), rel=1e-3)


def test_silence_is_no_trouble_and_has_gradients():
    loss, targets, samples = setup(**ALL)
    silence = torch.zeros_like(targets)
    estimates = silence.clone().requires_grad_()
    total = loss(estimates, silence, silence.sum(dim=1), samples)["loss"]
    total.backward()
    assert total == 0
    assert estimates.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("waveform", -1.0), ("multi_resolution", float("nan"))],
)
def test_impossible_settings_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=rf"loss\.{name}"):
        LossConfig(**{name: value})
    with pytest.raises(ConfigError, match=r"loss\.spectrogram"):
        LossConfig(spectrogram=0.0)
