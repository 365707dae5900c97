from __future__ import annotations

import json

import pytest

from songsplit.errors import ConfigError
from songsplit.models.config import MaskUNetConfig


def test_survives_json():
    config = MaskUNetConfig(
        targets=("vocals", "drums", "rest"), widths=(8, 16), bands=((512, 1), (768, 2))
    )
    assert MaskUNetConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("targets", ("vocals",)),
        ("targets", ("vocals", "vocals")),
        ("sample_rate", 0),
        ("n_fft", 4095),
        ("hop_length", 2048),
        ("widths", ()),
        ("subbands", 0),
        ("bands", ((1000, 1),)),
        ("bands", ((4096, 1),)),
        ("bands", ()),
        ("bands", ((1536, 0),)),
        ("bands", ((1000, 1), (1536, 3))),
        ("narrowest", 0),
        ("context", "psychic"),
        ("bands", ((4, 1), (4, 1))),
        ("bands", ((4, 1), (2, 1))),
        ("compression", 0.0),
        ("level_seconds", 0.0),
        ("bottleneck", 1000),
    ],
)
def test_impossible_values_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        MaskUNetConfig(**{name: value})


def test_attention_needs_as_many_channels_as_its_heads_can_share():
    with pytest.raises(ConfigError, match="context"):
        MaskUNetConfig(context="attention", widths=(8, 18))


def test_files_from_before_there_were_bands_are_read():
    config = MaskUNetConfig.from_json(json.dumps({"bins": 1024, "widths": [8, 16]}))
    assert config == MaskUNetConfig(bands=((1024, 1),), widths=(8, 16))
    assert config.bins == 1024


def test_unknown_settings_are_refused_by_name():
    text = json.dumps({"subbands": 8, "magic": 1})
    with pytest.raises(ConfigError, match="magic"):
        MaskUNetConfig.from_json(text)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"bands": "many"}', '{"bins": "many"}', '{"widths": 3}', "null"]
)
def test_garbage_is_refused(text):
    with pytest.raises(ConfigError):
        MaskUNetConfig.from_json(text) if text != "[]" else MaskUNetConfig.from_json("[1]")
