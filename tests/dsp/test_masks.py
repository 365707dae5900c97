from __future__ import annotations

import torch

from songsplit.dsp.masks import EDGE_BINS, continue_masks, input_magnitudes


def test_masks_continue_with_the_mean_of_their_highest_bins():
    masks = torch.rand(1, 2, 2, 100, 7)
    longer = continue_masks(masks, 150)
    assert longer.shape == (1, 2, 2, 150, 7)
    assert torch.equal(longer[..., :100, :], masks)
    edge = masks[..., 100 - EDGE_BINS :, :].mean(-2)
    assert torch.allclose(longer[..., 120, :], edge)
    assert torch.equal(continue_masks(masks, 100), masks)


def test_side_magnitude_tells_opposite_phase_from_equal_phase():
    left = torch.randn(1, 9, 4, dtype=torch.complex64)
    equal = input_magnitudes(torch.stack([left, left], 1), mid_side=True)
    opposite = input_magnitudes(torch.stack([left, -left], 1), mid_side=True)
    assert torch.equal(equal[:, :2], opposite[:, :2])
    assert not equal[:, 3].any()
    assert not opposite[:, 2].any()
    assert torch.allclose(opposite[:, 3], left.abs())
    assert torch.equal(input_magnitudes(torch.stack([left, left], 1), mid_side=False), equal[:, :2])
