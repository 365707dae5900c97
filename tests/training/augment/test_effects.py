"""What every effect promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from songsplit.errors import ConfigError
from songsplit.training.augment import (
    BandLimit,
    BandLimitConfig,
    ChannelSwap,
    ChannelSwapConfig,
    Compression,
    CompressionConfig,
    Equalizer,
    EqualizerConfig,
    FilterCurve,
    FilterCurveConfig,
    Gain,
    GainConfig,
    Harmony,
    HarmonyConfig,
    LossyCoding,
    LossyCodingConfig,
    PitchTempoConfig,
    Polarity,
    PolarityConfig,
    Reverb,
    ReverbConfig,
    Saturation,
    SaturationConfig,
    StereoWidth,
    StereoWidthConfig,
)
from songsplit.training.augment.effects import Effect
from tests.training.augment.signals import RATE, noise, seeded, spectra

BINS = 65
Make = Callable[[float], Effect]

ON_WAVEFORMS: dict[str, Make] = {
    "gain": lambda share: Gain(GainConfig(share)),
    "channel swap": lambda share: ChannelSwap(ChannelSwapConfig(share)),
    "polarity": lambda share: Polarity(PolarityConfig(share)),
    "stereo width": lambda share: StereoWidth(StereoWidthConfig(share)),
    "saturation": lambda share: Saturation(SaturationConfig(share), 44100),
    "compression": lambda share: Compression(CompressionConfig(share, (-20, -10)), RATE),
    "harmony": lambda share: Harmony(HarmonyConfig(share), 44100),
    "reverb": lambda share: Reverb(ReverbConfig(share, pre_delay=(0, 0)), RATE),
}
ON_SPECTROGRAMS: dict[str, Make] = {
    "equalizer": lambda share: Equalizer(EqualizerConfig(share), RATE, BINS),
    "filter curve": lambda share: FilterCurve(FilterCurveConfig(share), RATE, BINS),
    "band limit": lambda share: BandLimit(BandLimitConfig(share), RATE, BINS),
    "coding": lambda share: LossyCoding(LossyCodingConfig(share), RATE, BINS),
}
EFFECTS = ON_WAVEFORMS | ON_SPECTROGRAMS
CONFIGS = {
    "gain": GainConfig,
    "channel_swap": ChannelSwapConfig,
    "polarity": PolarityConfig,
    "stereo_width": StereoWidthConfig,
    "saturation": SaturationConfig,
    "compression": CompressionConfig,
    "harmony": HarmonyConfig,
    "reverb": ReverbConfig,
    "pitch_tempo": PitchTempoConfig,
    "equalizer": EqualizerConfig,
    "filter_curve": FilterCurveConfig,
    "band_limit": BandLimitConfig,
    "coding": LossyCodingConfig,
}


def some_items(name: str, items: int = 12) -> Tensor:
    if name in ON_WAVEFORMS:
        return noise(items, 2, 2000)
    if name == "coding":
        return spectra(items, 3, 2, BINS, 5)
    return spectra(items, 2, BINS, 5)


def changed_items(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).flatten(1).any(dim=1)


@pytest.fixture(params=EFFECTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_share_of_zero_changes_nothing(name: str) -> None:
    items = some_items(name)
    assert EFFECTS[name](0.0)(items, seeded()) is items


def test_a_share_of_one_changes_every_item(name: str) -> None:
    items = some_items(name)
    result = EFFECTS[name](1.0)(items, seeded())
    assert changed_items(items, result).all()
    assert result.dtype == items.dtype
    assert result.shape == items.shape


def test_the_seed_decides(name: str) -> None:
    items, effect = some_items(name), EFFECTS[name](0.5)
    first = effect(items, seeded(1))
    torch.testing.assert_close(effect(items, seeded(1)), first, rtol=0, atol=0)
    assert not torch.equal(effect(items, seeded(2)), first)


def test_about_the_wanted_share_of_items_changes(name: str) -> None:
    items = some_items(name, 64)
    changed = changed_items(items, EFFECTS[name](0.5)(items, seeded()))
    assert 20 <= changed.sum() <= 44


def test_only_eligible_items_change_and_the_input_never_does(name: str) -> None:
    items = some_items(name)
    copy = items.clone()
    eligible = torch.arange(len(items)) % 3 == 0
    result = EFFECTS[name](1.0)(items, seeded(), eligible)
    assert torch.equal(changed_items(items, result), eligible)
    assert torch.equal(items, copy)


def test_draws_do_not_depend_on_what_the_items_hold(name: str) -> None:
    items, effect = some_items(name), EFFECTS[name](0.5)
    nothing = torch.zeros(len(items), dtype=torch.bool)
    states = []
    for audio, eligible in ((items, None), (items * 0, None), (items, nothing)):
        generator = seeded()
        effect(audio, generator, eligible)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_silence_stays_silent(name: str) -> None:
    items = some_items(name) * 0
    assert torch.equal(EFFECTS[name](1.0)(items, seeded()), items)


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e4])
def test_odd_signals_give_finite_ones(name: str, scale: float) -> None:
    items = some_items(name, 4) * 0
    items[0] = 1.0  # a constant
    items[1, ..., 0] = 1.0  # a single sample or frame
    items[2, 0] = 1.0  # one channel or target
    items[3, ..., -1, -1] = -1.0
    for seed in range(5):
        result = EFFECTS[name](1.0)(items * scale, seeded(seed))
        assert torch.isfinite(torch.view_as_real(result) if result.is_complex() else result).all()
        assert result.abs().max() <= 100 * scale


@pytest.mark.parametrize("samples", [1, 2, 127, 128, 129])
@pytest.mark.parametrize("waveform", ON_WAVEFORMS)
def test_audio_of_any_length_keeps_it(waveform: str, samples: int) -> None:
    result = ON_WAVEFORMS[waveform](1.0)(noise(3, 2, samples), seeded())
    assert result.shape == (3, 2, samples)
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_impossible_shares_are_refused_by_name(config: str, share: float) -> None:
    with pytest.raises(ConfigError, match=rf"augment setting {config}\.share cannot be"):
        CONFIGS[config](share=share)


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        ("gain", "mean", 100.0),
        ("gain", "spread", -1.0),
        ("gain", "distribution", "gamma"),
        ("stereo_width", "width", (1.5, 0.0)),
        ("stereo_width", "mono", 2.0),
        ("saturation", "drive", (0.0, 100.0)),
        ("saturation", "asymmetry", (-1.0, 0.0)),
        ("compression", "threshold", (-100.0, 0.0)),
        ("compression", "ratio", (0.5, 2.0)),
        ("compression", "attack", (0.0, 0.1)),
        ("compression", "release", (0.1, float("inf"))),
        ("reverb", "seconds", (2.5, 0.2)),
        ("reverb", "damping", (0.0, 1.0)),
        ("reverb", "pre_delay", (0.0, 1.0)),
        ("reverb", "wet", (float("nan"), 0.0)),
        ("pitch_tempo", "speed", 0.6),
        ("pitch_tempo", "tempo", -0.1),
        ("pitch_tempo", "semitones", 13.0),
        ("pitch_tempo", "vocoded", 1.5),
        ("equalizer", "deviation", -1.0),
        ("equalizer", "knots", 1),
        ("filter_curve", "high_pass", (0.0, 100.0)),
        ("filter_curve", "low_pass", (5000.0, 100.0)),
        ("filter_curve", "low_shelf", (100.0,)),
        ("filter_curve", "high_shelf", (0.0, 1.0)),
        ("filter_curve", "order", (0, 3)),
        ("filter_curve", "shelf_gain", -3.0),
        ("band_limit", "frequency", (0.0, 16000.0)),
        ("coding", "bitrate", (0.0, 128.0)),
    ],
)
def test_impossible_settings_are_refused_by_name(config: str, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"augment setting {config}\.{key} cannot be .* must"):
        CONFIGS[config](**{key: value})
