from __future__ import annotations

import torch

from songsplit.dsp.masks import EDGE_BINS, continue_masks, input_powers


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
