from __future__ import annotations

import pytest
import torch

from songsplit.augmentation import (
    BandLimit,
    Equalizer,
    FilterCurve,
)
from tests.augmentation.signals import RATE, applied, decibels, seeded, spectra

BINS = 513


def test_equalizer_changes_the_wanted_share_smoothly() -> None:
    spectrogram = torch.ones(64, 2, BINS, 3, dtype=torch.complex64)
    result = applied(Equalizer(0.5, deviation=4.0), spectrogram, seeded())
    gain = result.abs()[:, 0, :, 0]
    changed = (gain != 1).any(dim=1)
    assert 0.3 < changed.float().mean() < 0.7
    curves = decibels(gain)
    assert curves[:, 20:].diff(dim=1).abs().max() < 2
    assert 2 < curves[changed].std() < 6


def test_phases_and_the_image_between_the_channels_are_kept() -> None:
    spectrogram = spectra(8, 2, BINS, 3)
    for effect in (
        Equalizer(1.0),
        FilterCurve(1.0),
    ):
        gain = applied(effect, spectrogram, seeded()) / spectrogram
        assert gain.imag.abs().max() < 1e-4
        torch.testing.assert_close(gain, gain[:, :1, :, :1].expand_as(gain), rtol=1e-3, atol=1e-4)


def test_filters_have_the_slopes_of_a_mixing_desk() -> None:
    config = FilterCurve(
        1.0,
        high_pass=(200, 200),
        low_pass=(5000, 5000),
        order=(2, 2),
        low_shelf=(200, 200),
        high_shelf=(4000, 4000),
        shelf_gain=10,
    )
    # Bins of 10 Hz; each curve is told from the others by what it does at both ends.
    curves = decibels(config.factors(200, torch.linspace(0, RATE / 2, 2206), seeded()))
    low, middle, high = curves[:, 2], curves[:, 100], curves[:, 2000]
    kinds = {
        "high-pass": (low < -35) & (high > -0.1),
        "low-pass": (low > -0.1) & (high < -20),
        "telephone": (low < -35) & (high < -35),
        "low shelf": (low.abs() <= 10) & (high.abs() < 0.1),
        "high shelf": (low.abs() < 0.1) & (high.abs() <= 10.1),
    }
    for kind, found in kinds.items():
        assert found.sum() > 20, kind
    passed = curves[kinds["high-pass"]][0]
    assert passed[20] == pytest.approx(-3.01, abs=0.05)
    assert passed[4] - passed[2] == pytest.approx(12, abs=0.1)
    assert curves[kinds["low-pass"]][0][500] == pytest.approx(-3.01, abs=0.05)
    assert (middle[kinds["telephone"]].abs() < 0.5).all()


def test_band_limits_are_steep_and_within_their_range() -> None:
    config = BandLimit(1.0, frequency=(4000, 16000))
    gain = applied(config, torch.ones(50, 2, BINS, 1) + 0j, seeded()).abs()
    assert set(gain.unique().tolist()) == {0.0, 1.0}
    highest = (gain[:, 0, :, 0].sum(dim=1) - 1) * RATE / 2 / (BINS - 1)
    assert highest.min() >= 3950
    assert highest.max() <= 16000
    assert highest.std() > 2000
