from __future__ import annotations

import pytest
import torch

from songsplit.models.speeds import SpeedAverage
from tests.models.tiny import all_vocals, tiny_model


@pytest.mark.parametrize("samples", [1, 100, 20011])
def test_stems_have_the_shape_of_the_mixture(samples):
    mixture = torch.randn(3, 2, samples) / 10
    with torch.inference_mode():
        stems = SpeedAverage(tiny_model()).foreground(mixture).stems
    assert stems.shape == (3, 1, 2, samples)
    assert stems.isfinite().all()


def test_the_runs_line_up_in_time():
    seconds = torch.arange(20011) / 44100
    tone = torch.sin(2 * torch.pi * 440 * seconds) * seconds
    mixture = torch.stack([tone, -tone])[None]
    with torch.inference_mode():
        vocals = SpeedAverage(all_vocals()).foreground(mixture).stems[:, 0]
    # The tone ends abruptly, and rings a little there.
    assert torch.allclose(vocals[..., :19000], mixture[..., :19000], atol=1e-3)


def test_the_highest_frequencies_stay():
    noise = torch.randn(1, 2, 20011, generator=torch.Generator().manual_seed(0)) / 10
    with torch.inference_mode():
        vocals = SpeedAverage(all_vocals()).foreground(noise).stems[:, 0]
    assert torch.allclose(vocals, noise, atol=1e-3)


def test_the_mean_is_over_three_runs():
    model = tiny_model()
    calls = []
    model.stft.register_forward_pre_hook(lambda module, inputs: calls.append(inputs[0].shape[-1]))
    with torch.inference_mode():
        SpeedAverage(model).foreground(torch.randn(1, 2, 44100))
    own, fast, faster = calls
    assert own == 44100
    assert fast * 21 * 10 == faster * 20 * 11
