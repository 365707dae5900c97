from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from songsplit.dsp import EDGE_BINS
from songsplit.dsp.masks import continue_masks, expand_bands, input_powers, pool_bands


def test_masks_continue_with_the_mean_of_their_highest_bins():
    masks = torch.rand(1, 2, 2, 100, 7)
    longer = continue_masks(masks, 150)
    assert longer.shape == (1, 2, 2, 150, 7)
    assert torch.equal(longer[..., :100, :], masks)
    edge = masks[..., 100 - EDGE_BINS :, :].mean(-2)
    assert torch.allclose(longer[..., 120, :], edge)
    assert torch.equal(continue_masks(masks, 100), masks)


def test_powers_of_mid_and_side():
    spectrogram = torch.randn(2, 2, 9, 4, dtype=torch.complex64)
    left, right = spectrogram.unbind(1)
    expected = torch.stack([left, right, (left + right) / 2, (left - right) / 2], 1).abs().square()
    torch.testing.assert_close(input_powers(spectrogram), expected)


@st.composite
def layouts(draw):
    stop, bands = 0, []
    for _ in range(draw(st.integers(1, 4))):
        width = draw(st.integers(1, 5))
        stop += width * draw(st.integers(1, 6))
        bands.append((stop, width))
    return tuple(bands)


@given(bands=layouts(), frames=st.integers(1, 4))
def test_values_that_are_alike_within_bands_survive_pooling(bands, frames):
    powers = torch.rand(2, bands[-1][0], frames)
    values = pool_bands(powers, bands)
    whole = expand_bands(values, bands)
    assert whole.shape == (2, bands[-1][0], frames)
    assert torch.allclose(pool_bands(whole, bands), values, atol=1e-6)


@given(bands=layouts())
def test_pooling_keeps_the_power(bands):
    powers = torch.rand(3, bands[-1][0] + 2, 5)
    spread = expand_bands(pool_bands(powers, bands), bands)
    assert torch.allclose(spread.sum(1), powers[:, : bands[-1][0]].sum(1), rtol=1e-4)


def test_a_bin_counts_only_in_its_own_band():
    bands = ((2, 1), (8, 3))
    powers = torch.zeros(9, 1)
    powers[4] = 3.0
    assert pool_bands(powers, bands).flatten() == pytest.approx([0, 0, 1, 0])
