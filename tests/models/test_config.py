from __future__ import annotations

import json

import pytest

from songsplit.errors import ConfigError
from songsplit.models.config import MaskUNetConfig


def test_survives_json():
    config = MaskUNetConfig(targets=("vocals", "drums", "rest"), widths=(8, 16), bins=512)
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
        ("bins", 1000),
        ("bins", 4096),
        ("stereo_input", "mono"),
        ("compression", 0.0),
        ("level_seconds", 0.0),
        ("bottleneck", 1000),
    ],
)
def test_impossible_values_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        MaskUNetConfig(**{name: value})


def test_unknown_settings_are_refused_by_name():
    text = json.dumps({"bins": 1536, "magic": 1})
    with pytest.raises(ConfigError, match="magic"):
        MaskUNetConfig.from_json(text)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"bins": "many"}', '{"widths": 3}', "null"])
def test_garbage_is_refused(text):
    with pytest.raises(ConfigError):
        MaskUNetConfig.from_json(text) if text != "[]" else MaskUNetConfig.from_json("[1]")
