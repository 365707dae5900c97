"""Properties of all effects."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from songsplit.augmentation import AugmentConfig, MixConfig
from songsplit.augmentation.effect import Effect
from songsplit.errors import ConfigError
from tests.augmentation.signals import applied, noise, seeded, spectra

BINS = 65
EFFECTS = {name: type(value) for name, value in vars(AugmentConfig()).items()}
ON_SPECTROGRAMS = ("equalizer", "filter_curve", "band_limit", "coding")
NAMES = [name for name in EFFECTS if name not in ("mix", "pitch_tempo")]


def make(name: str, share: float) -> Effect:
    effect: Effect = EFFECTS[name](share=share)
    return effect


def some_items(name: str, items: int = 12) -> Tensor:
    if name not in ON_SPECTROGRAMS:
        # Loud enough at the end for the compressor, and long enough for the reverberation.
        return noise(items, 2, 4000) * torch.linspace(0, 1, 4000)
    return spectra(items, *((3,) if name == "coding" else ()), 2, BINS, 5)


def changed_items(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).flatten(1).any(dim=1)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_share_and_the_seed_decide_which_items_change(name: str) -> None:
    items = some_items(name, 64)
    assert not changed_items(items, applied(make(name, 0.0), items, seeded())).any()
    every = applied(make(name, 1.0), items, seeded())
    assert changed_items(items, every).all()
    assert every.dtype == items.dtype
    assert every.shape == items.shape
    half = make(name, 0.5)
    first = applied(half, items, seeded(1))
    assert 20 <= changed_items(items, first).sum() <= 44
    torch.testing.assert_close(applied(half, items, seeded(1)), first, rtol=0, atol=0)
    assert not torch.equal(applied(half, items, seeded(2)), first)


def test_draws_do_not_depend_on_what_the_items_hold(name: str) -> None:
    items, effect = some_items(name), make(name, 0.5)
    nothing = torch.zeros(len(items), dtype=torch.bool)
    states = []
    for audio, eligible in ((items, None), (items * 0, None), (items, nothing)):
        generator = seeded()
        applied(effect, audio, generator, eligible)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-9, 1.0, 1e4])
def test_odd_signals_give_finite_ones_and_silence_stays_silent(name: str, scale: float) -> None:
    items = some_items(name, 4) * 0
    items[0] = 1.0  # a constant
    items[1, ..., 0] = 1.0  # a single sample or frame
    items[2, 0] = 1.0  # one channel or target
    items[3, ..., -1, -1] = -1.0
    for seed in range(3):
        result = applied(make(name, 1.0), items * scale, seeded(seed))
        assert torch.isfinite(torch.view_as_real(result) if result.is_complex() else result).all()
        assert result.abs().max() <= 100 * scale


@pytest.mark.parametrize(
    ("name", "key"), [(name, field.name) for name in EFFECTS for field in fields(EFFECTS[name])]
)
def test_impossible_settings_are_refused_by_name(name: str, key: str) -> None:
    settings = EFFECTS[name]
    (field,) = [field for field in fields(settings) if field.name == key]
    low, high = field.metadata["bounds"]
    impossible: list[object] = [low - 1, high + 1, float("nan")]
    if isinstance(field.default, tuple):
        impossible = [(low - 1, high), (low, high + 1), (), (float("nan"), high), (high, low)]
    for value in impossible:
        with pytest.raises(ConfigError, match=rf"augment setting {name}\.{key} cannot be .* must"):
            AugmentConfig(**{name: settings(**{key: value})})


def test_settings_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"mix\.silent_vocals and mix\.silent_backing"):
        AugmentConfig(mix=MixConfig(silent_backing=0.99))
