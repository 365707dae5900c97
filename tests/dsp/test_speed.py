from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from songsplit.dsp.speed import resample_to


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 20))
def test_a_sine_that_fits_keeps_its_periods_and_its_height(given_length, length, periods):
    periods = min(periods, (min(given_length, length) - 1) // 2)

    def sine(samples):
        return 0.3 + torch.sin(2 * math.pi * periods * torch.arange(samples) / samples + 1)

    assert torch.allclose(resample_to(sine(given_length), length), sine(length), atol=1e-4)


def test_slower_and_back_changes_nothing():
    noise = torch.randn(2, 3, 4001)
    assert torch.allclose(resample_to(resample_to(noise, 4200), 4001), noise, atol=1e-5)


def test_faster_and_back_takes_away_what_has_no_room():
    noise = torch.randn(4000)
    back = resample_to(resample_to(noise, 3800), 4000)
    spectrum, kept = torch.fft.rfft(noise), torch.fft.rfft(back)
    assert torch.allclose(kept[:1900], spectrum[:1900], atol=1e-3)
    assert kept[1900:].abs().max() < 1e-3
