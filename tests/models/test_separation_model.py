from __future__ import annotations

import pytest
import torch
from torch import nn

from songsplit.models.separation_model import fused
from tests.models.tiny import tiny_model


@pytest.mark.parametrize("targets", [("vocals", "instrumental"), ("a", "b", "c", "d")])
def test_masks_lie_between_zero_and_one_and_add_up_to_one(targets):
    model = tiny_model(targets=targets)
    spectrogram = model.stft(torch.randn(3, 2, 5000))
    masks = model.masks(spectrogram)
    assert masks.shape == (3, len(targets), 2, 192, 1 + 5000 // 128)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert torch.allclose(masks.sum(1), torch.ones(()), atol=1e-6)


WIDE_BANDS = ((64, 1), (192, 2))
VARIANTS = [
    {"bottleneck": 0},
    {"narrowest": 8},
    {"bands": WIDE_BANDS, "subbands": 2},
]


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_every_kind_of_network_learns_and_its_stems_add_up(settings):
    model = tiny_model(**settings).train()
    mixture = torch.randn(2, 2, 5000)
    stems = model(mixture)
    stems[:, 0].square().sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients.values())
    assert torch.allclose(stems.sum(1), mixture, atol=1e-5)


def test_bins_of_a_band_share_their_mask():
    model = tiny_model(bands=WIDE_BANDS, subbands=2)
    masks = model.masks(model.stft(torch.randn(1, 2, 5000)))
    assert masks.shape[-2] == 192
    assert torch.equal(masks[..., 64:192:2, :], masks[..., 65:192:2, :])
    assert not torch.equal(masks[..., 0:64:2, :], masks[..., 1:64:2, :])


@pytest.mark.parametrize("samples", [1, 2, 127, 128, 1000, 4097])
def test_stems_have_the_length_of_the_mixture_and_add_up_to_it(samples):
    model = tiny_model(targets=("vocals", "drums", "rest"))
    mixture = torch.randn(2, 2, samples)
    with torch.no_grad():
        stems = model(mixture)
    assert stems.shape == (2, 3, 2, samples)
    assert torch.allclose(stems.sum(1), mixture, atol=1e-5)


def test_masks_do_not_depend_on_the_level():
    model = tiny_model()
    mixture = torch.randn(1, 2, 20000)
    with torch.no_grad():
        loud = model(mixture)
        quiet = model(mixture * 1e-3)
    assert torch.allclose(loud, quiet * 1e3, atol=1e-4)


def test_highs_above_the_band_are_not_cut_off():
    model = tiny_model()
    spectrogram = torch.zeros(1, 2, 257, 40, dtype=torch.complex64)
    spectrogram[:, :, 250] = 1
    mixture = model.stft.inverse(spectrogram, 4900)
    with torch.no_grad():
        stems = model(mixture)
    for stem in stems[0]:
        assert stem.square().sum() > 0.01 * mixture.square().sum()


def test_far_away_sound_does_not_change_the_result():
    # This allows long songs to be cut into chunks.
    model = tiny_model(level_seconds=0.2)
    mixture = torch.randn(1, 2, 100_000)
    changed = mixture.clone()
    changed[..., 90_000:] *= 10
    with torch.no_grad():
        before, after = model(mixture), model(changed)
    assert torch.allclose(before[..., :50_000], after[..., :50_000], atol=1e-5)


def test_fusing_changes_the_work_but_not_the_result():
    model = tiny_model()
    # Statistics as after training, not the zeros and ones of a new network.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    mixture = torch.randn(2, 2, 9000)
    quick = fused(model)
    with torch.inference_mode():
        torch.testing.assert_close(quick(mixture), model(mixture), atol=1e-4, rtol=1e-3)
    left = [sum(isinstance(m, nn.BatchNorm2d) for m in n.modules()) for n in (model, quick)]
    # The normalisations after frequency-wise layers, two in each of the five blocks, remain.
    assert left[1] == 10 < left[0]
