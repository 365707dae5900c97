from __future__ import annotations

import pytest
import torch
from torch import Tensor

from songsplit.augmentation import LossyCoding
from tests.augmentation.signals import RATE, applied, seeded, spectra

BINS = 1025


def coder(low: float, high: float | None = None) -> LossyCoding:
    return LossyCoding(1.0, (low, high or low))


def music(items: int, targets: int = 3) -> Tensor:
    """Spectra that fall by 6 dB per octave."""
    slope = 20 / torch.arange(20, 20 + BINS)
    return spectra(items, targets, 2, BINS, 6) * slope[:, None]


def error(before: Tensor, after: Tensor) -> float:
    """Signal-to-noise ratio in dB."""
    noise = (after - before).abs().square().sum()
    return float(10 * (before.abs().square().sum() / noise).log10())


def test_targets_add_up_to_the_coded_mixture() -> None:
    stems = music(4)
    coded = applied(coder(64, 256), stems, seeded())
    mixture = stems.sum(dim=1, keepdim=True)
    alone = applied(coder(64, 256), mixture, seeded())
    torch.testing.assert_close(coded.sum(dim=1), alone[:, 0], rtol=1e-4, atol=1e-4)


def test_every_target_gets_the_same_real_gain() -> None:
    stems = music(2)
    gain = applied(coder(96), stems, seeded()) / stems
    assert gain.imag.abs().max() < 1e-4
    torch.testing.assert_close(gain, gain[:, :1].expand_as(gain), rtol=1e-3, atol=1e-4)
    assert gain.real.min() == 0
    assert 1.5 < gain.real.max() <= 2.001


def test_lower_bitrates_make_more_holes_and_errors() -> None:
    stems = music(1, targets=1)
    heard = slice(0, int(10_000 / (RATE / 2) * BINS))
    holes, errors = [], []
    for bitrate in (64, 128, 256):
        coded = applied(coder(bitrate), stems, seeded())
        holes.append(float((coded.abs() < 0.26 * stems.abs())[..., heard, :].float().mean()))
        errors.append(error(stems, coded))
    assert holes[0] > 0.2 > holes[1] > holes[2] > 0
    assert errors[0] + 4 < errors[1] < errors[2] - 4
    assert 5 < errors[0] < 20


@pytest.mark.parametrize(("bitrate", "cutoff"), [(64, 11_500), (128, 16_000), (192, 18_632)])
def test_highs_are_cut_off(bitrate: float, cutoff: float) -> None:
    coded = applied(coder(bitrate), spectra(1, 1, 2, BINS, 20), seeded())
    bins = (coded[0, 0].abs().sum(dim=(0, 2)) > 0).nonzero()
    assert float(bins.max()) * RATE / 2 / (BINS - 1) == pytest.approx(cutoff, abs=60)


def test_bands_that_the_loudest_one_hides_vanish() -> None:
    stems = torch.full((1, 1, 2, BINS, 2), 1e-5, dtype=torch.complex64)
    stems[..., 40:50, :] = 1.0
    coded = applied(coder(128), stems, seeded())
    assert coded[..., 45, :].abs().min() > 0.5
    assert not coded[..., 100:, :].any()
    assert applied(coder(128), stems / 1e3, seeded())[..., 45, :].abs().min() > 0.5e-3
