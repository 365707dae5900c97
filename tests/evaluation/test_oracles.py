from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.evaluation import usdr
from songsplit.evaluation.oracles import ideal_ratio_mask, mixture_as_estimates, ratio_mask

RATE = 44100


def tones(low: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.3 * np.sin(2 * np.pi * low * time), 0.2 * np.cos(2 * np.pi * low * time)])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), min_size=1),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_masks_of_both_parts_sum_to_one(pairs: list[tuple[float, float]], power: float):
    one, other = torch.tensor(pairs, dtype=torch.float64).T
    mask = ratio_mask(one, other, power)
    assert ((mask >= 0) & (mask <= 1)).all()
    torch.testing.assert_close(mask + ratio_mask(other, one, power), torch.ones_like(mask))


def test_ratio_mask_by_hand():
    mask = ratio_mask(torch.tensor([3.0, 0.0, 0.0, 2.0]), torch.tensor([1.0, 5.0, 0.0, 0.0]), 2)
    torch.testing.assert_close(mask, torch.tensor([0.9, 0.0, 0.5, 1.0]))


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_parts_with_nothing_in_common_are_found(power: float):
    vocals, accompaniment = tones(440), tones(6000)
    estimates = ideal_ratio_mask(vocals + accompaniment, vocals, accompaniment, power)
    references = np.stack([vocals, accompaniment])
    found = np.stack([estimates["vocals"], estimates["accompaniment"]])
    assert usdr(references, found).min() > 25
    # Against the mixture itself, which is as loud as the part: nearly 0 dB.
    assert usdr(references, np.stack([vocals + accompaniment] * 2)).max() < 0.1


@pytest.mark.parametrize("samples", [1, 700, 30000])
def test_estimates_sum_to_the_mixture(samples: int):
    random = np.random.default_rng(0)
    vocals, accompaniment = random.standard_normal((2, 2, samples)).astype(np.float32)
    mixture = vocals + accompaniment
    estimates = ideal_ratio_mask(mixture, vocals, accompaniment)
    assert estimates["vocals"].shape == mixture.shape
    np.testing.assert_allclose(estimates["vocals"] + estimates["accompaniment"], mixture, atol=1e-6)


def test_channels_have_masks_of_their_own():
    tone, silence = tones(440)[0], np.zeros(RATE)
    vocals, accompaniment = np.stack([tone, silence]), np.stack([silence, tone])
    estimates = ideal_ratio_mask(vocals + accompaniment, vocals, accompaniment)
    np.testing.assert_allclose(estimates["vocals"], vocals, atol=1e-9)


def test_mixture_stands_for_both_parts():
    mixture = tones(440)
    estimates = mixture_as_estimates(mixture)
    assert set(estimates) == {"vocals", "accompaniment"}
    assert all(estimate is mixture for estimate in estimates.values())
