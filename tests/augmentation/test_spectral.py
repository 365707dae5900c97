"""Filters, band limits and lossy coding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from songsplit.augmentation import spectral
from songsplit.augmentation.spectral import BandLimit, Equalizer, FilterCurve, LossyCoding
from tests.augmentation.signals import RATE, applied, decibels, seeded, spectra

BINS, CODED_BINS = 513, 1025


def test_equalizer_changes_the_wanted_share_smoothly() -> None:
    spectrogram = torch.ones(64, 2, BINS, 3, dtype=torch.complex64)
    result = applied(Equalizer(0.5), spectrogram, seeded())
    gain = result.abs()[:, 0, :, 0]
    changed = (gain != 1).any(dim=1)
    assert 0.3 < changed.float().mean() < 0.7
    curves = decibels(gain)
    assert curves[:, 20:].diff(dim=1).abs().max() < 2
    assert 2 < curves[changed].std() < 6


def test_filters_have_the_slopes_of_a_mixing_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    corners = {"_HIGH_PASS": 200, "_LOW_PASS": 5000, "_LOW_SHELF": 200, "_HIGH_SHELF": 4000}
    for name, amount in (corners | {"_ORDERS": 2}).items():
        monkeypatch.setattr(spectral, name, (amount, amount))
    # Bins of 10 Hz; the gains at both ends identify each curve.
    curves = decibels(FilterCurve(1.0).factors(200, torch.linspace(0, RATE / 2, 2206), seeded()))
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
    gain = applied(BandLimit(1.0), torch.ones(50, 2, BINS, 1) + 0j, seeded()).abs()
    assert set(gain.unique().tolist()) == {0.0, 1.0}
    highest = (gain[:, 0, :, 0].sum(dim=1) - 1) * RATE / 2 / (BINS - 1)
    assert highest.min() >= 3950
    assert highest.max() <= 16000
    assert highest.std() > 2000


@pytest.fixture
def coder(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], LossyCoding]:
    def coder(bitrate: float) -> LossyCoding:
        monkeypatch.setattr(spectral, "_BITRATE", (bitrate, bitrate))
        return LossyCoding(1.0)

    return coder


def music(items: int, targets: int = 3) -> Tensor:
    """Spectra that fall by 6 dB per octave."""
    slope = 20 / torch.arange(20, 20 + CODED_BINS)
    return spectra(items, targets, 2, CODED_BINS, 6) * slope[:, None]


def error(before: Tensor, after: Tensor) -> float:
    """Signal-to-noise ratio in dB."""
    noise = (after - before).abs().square().sum()
    return float(10 * (before.abs().square().sum() / noise).log10())


def test_targets_add_up_to_the_coded_mixture() -> None:
    stems = music(4)
    coded = applied(LossyCoding(1.0), stems, seeded())
    mixture = stems.sum(dim=1, keepdim=True)
    alone = applied(LossyCoding(1.0), mixture, seeded())
    torch.testing.assert_close(coded.sum(dim=1), alone[:, 0], rtol=1e-4, atol=1e-4)


def test_lower_bitrates_make_more_holes_and_errors(
    coder: Callable[[float], LossyCoding],
) -> None:
    stems = music(1, targets=1)
    heard = slice(0, int(10_000 / (RATE / 2) * CODED_BINS))
    holes, errors = [], []
    for bitrate in (64, 128, 256):
        coded = applied(coder(bitrate), stems, seeded())
        holes.append(float((coded.abs() < 0.26 * stems.abs())[..., heard, :].float().mean()))
        errors.append(error(stems, coded))
    assert holes[0] > 0.2 > holes[1] > holes[2] > 0
    assert errors[0] + 4 < errors[1] < errors[2] - 4
    assert 5 < errors[0] < 20


@pytest.mark.parametrize(("bitrate", "cutoff"), [(64, 11_500), (128, 16_000), (192, 18_632)])
def test_highs_are_cut_off(
    bitrate: float, cutoff: float, coder: Callable[[float], LossyCoding]
) -> None:
    coded = applied(coder(bitrate), spectra(1, 1, 2, CODED_BINS, 20), seeded())
    bins = (coded[0, 0].abs().sum(dim=(0, 2)) > 0).nonzero()
    assert float(bins.max()) * RATE / 2 / (CODED_BINS - 1) == pytest.approx(cutoff, abs=60)
