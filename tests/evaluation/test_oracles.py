"""The ideal ratio mask and the Wiener filter equal their formulas, for segments of any length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from songsplit.evaluation import usdr
from songsplit.evaluation.systems import HOP, N_FFT, ideal_ratio_mask, wiener_filter

ORACLES = [ideal_ratio_mask, wiener_filter]
FOUR = ("vocals", "drums", "bass", "other")
# Shorter than a hop, whole hops, and longer than a segment.
LENGTHS = [1, 5 * HOP, 128 * HOP + 1]
WINDOW = torch.hann_window(N_FFT, dtype=torch.float64)


def noises(number: int, channels: int = 2, samples: int = 20000) -> list[np.ndarray]:
    return list(0.1 * np.random.default_rng(number).standard_normal((number, channels, samples)))


def two(vocals: np.ndarray, accompaniment: np.ndarray) -> dict[str, np.ndarray]:
    return {"vocals": vocals, "accompaniment": accompaniment}


def total(parts: dict[str, np.ndarray]) -> np.ndarray:
    return np.sum(list(parts.values()), axis=0)


def reference_spectrum(audio: np.ndarray) -> torch.Tensor:
    """Zero-padded transform by PyTorch."""
    padded = torch.from_numpy(np.pad(audio, ((0, 0), (N_FFT, N_FFT))))
    return torch.stft(padded, N_FFT, HOP, window=WINDOW, return_complex=True)


def reference_samples(spectrum: torch.Tensor, samples: int) -> np.ndarray:
    audio = torch.istft(spectrum, N_FFT, HOP, window=WINDOW, length=samples + 2 * N_FFT)
    return audio[:, N_FFT:-N_FFT].numpy()


@pytest.mark.parametrize(("samples", "power"), [(1, 2.0), (5 * HOP, 1.0), (128 * HOP + 1, 2.0)])
def test_ratio_mask_is_the_formula(samples: int, power: float):
    references = two(*noises(2, 2, samples))
    mixture = total(references)
    vocals, accompaniment = (
        reference_spectrum(part).abs() ** power for part in references.values()
    )
    mask = torch.nan_to_num(vocals / (vocals + accompaniment))
    expected = reference_samples(mask * reference_spectrum(mixture), samples)
    estimates = ideal_ratio_mask(mixture, references, power)
    np.testing.assert_allclose(estimates["vocals"], expected, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("samples", LENGTHS[1:])
def test_wiener_filter_is_the_formula(samples: int, channels: int):
    references = two(*noises(2, channels, samples))
    # Correlated channels give covariances that are not diagonal.
    references["vocals"] += 2 * references["vocals"][:1]
    mixture = total(references)
    covariances = []
    for part in references.values():
        s = reference_spectrum(part)
        v = (s.abs() ** 2).mean(dim=0)
        outer = torch.einsum("cft,dft->fcd", s, s.conj())
        covariances.append(torch.einsum("ft,fcd->ftcd", v, outer / v.sum(dim=1)[:, None, None]))
    # Frames of zeros have no inverse and do not matter.
    inverse = torch.linalg.pinv(sum(covariances), hermitian=True, rtol=1e-13)
    filtered = torch.einsum(
        "ftcd,ftde,eft->cft", covariances[0], inverse, reference_spectrum(mixture)
    )
    estimates = wiener_filter(mixture, references)
    expected = reference_samples(filtered, samples)
    np.testing.assert_allclose(estimates["vocals"], expected, atol=1e-6)


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("samples", LENGTHS)
def test_estimates_sum_to_the_mixture_and_keep_its_type(oracle, samples: int):
    references = two(*[noise.astype(np.float32) for noise in noises(2, 2, samples)])
    # As in MUSDB18, the mixture is not quite the sum of the sources.
    mixture = total(references) + np.float32(1e-3)
    estimates = oracle(mixture, references)
    assert {audio.dtype for audio in estimates.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(total(estimates), mixture, atol=1e-6)


@pytest.mark.parametrize("oracle", ORACLES)
def test_four_sources_are_a_group_of_their_own(oracle):
    parts = dict(zip(FOUR, noises(4), strict=True))
    mixture = total(parts)
    references = parts | {"accompaniment": mixture - parts["vocals"]}
    estimates = oracle(mixture, references)
    assert list(estimates) == list(references)
    # The estimates of two sources do not depend on the four.
    alone = oracle(mixture, two(references["vocals"], references["accompaniment"]))
    for target in alone:
        np.testing.assert_array_equal(estimates[target], alone[target])
    # The four sources are alike, so the vocals are estimated like the others.
    vocals = mixture - estimates["drums"] - estimates["bass"] - estimates["other"]
    found = estimates | {"vocals": vocals}
    scores = usdr(*(np.stack([stems[name] for name in FOUR]) for stems in (parts, found)))
    assert np.ptp(scores) < 0.5
    assert scores.min() > 2


@pytest.mark.parametrize("levels", [(1, 1e-7), (1e-7, 1), (0, 1), (10, 10), (1e-7, 1e-7)])
def test_wiener_filter_is_finite_at_any_level(levels: tuple[float, float]):
    vocals, accompaniment = noises(2, 2, 5000)
    references = two(levels[0] * vocals, levels[1] * accompaniment)
    mixture = total(references)
    for estimate in wiener_filter(mixture, references).values():
        assert np.abs(estimate).max() < 3 * np.abs(mixture).max()
