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
        ("targets", ("vocals", "Vocals")),
        ("targets", ("vocals", "../../etc/passwd")),
        ("targets", "vi"),
        ("sample_rate", 999),
        ("n_fft", 4095),
        ("n_fft", 2**40),
        ("n_fft", True),
        ("hop_length", 2048),
        ("hop_length", 1),
        ("widths", ()),
        ("widths", "88"),
        ("widths", [8.0, 8.0]),
        ("widths", [10**9]),
        ("subbands", 0),
        ("bands", ((1,),)),
        ("bands", (5,)),
        ("bands", ((10**12, 10**11),)),
        ("bands", ((1000, 1),)),
        ("bands", ((4096, 1),)),
        ("bands", ()),
        ("bands", ((1536, 0),)),
        ("bands", ((1000, 1), (1536, 3))),
        ("narrowest", 0),
        ("bands", ((4, 1), (4, 1))),
        ("bands", ((4, 1), (2, 1))),
        ("compression", 0.0),
        ("compression", float("nan")),
        ("level_seconds", 0.0),
        ("level_seconds", 1e9),
        ("level_seconds", "4"),
        ("bottleneck", 1000),
    ],
)
def test_impossible_values_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        MaskUNetConfig(**{name: value})


SMALL = {"widths": (1,), "bottleneck": 0, "subbands": 1, "bands": ((1, 1),)}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("hop_length", {"n_fft": 16, "hop_length": 1, "sample_rate": 768_000}),
        ("hop_length", {"hop_length": 64, "targets": [f"t{n}" for n in range(32)]}),
        ("hop_length", {"n_fft": 65536, "sample_rate": 768_000}),
        ("level_seconds", {"n_fft": 512, "hop_length": 128, "level_seconds": 30}),
        ("widths", {"widths": (1,) * 12, "bands": ((2048, 1),)}),
        ("widths", {"sample_rate": 1000, "n_fft": 65536, "hop_length": 16384}),
    ],
)
def test_what_takes_too_long_or_too_much_memory_is_refused(name, settings):
    with pytest.raises(ConfigError, match=name):
        MaskUNetConfig(**{**SMALL, **settings})
    MaskUNetConfig(**SMALL)


def test_unknown_settings_are_refused_by_name():
    text = json.dumps({"subbands": 8, "magic": 1})
    with pytest.raises(ConfigError, match="magic"):
        MaskUNetConfig.from_json(text)


@pytest.mark.parametrize(
    "text", ["", "[]", "[[1, 2]]", "[" * 100_000, "{", '{"bands": "many"}', '{"widths": 3}', "null"]
)
def test_garbage_is_refused(text):
    with pytest.raises(ConfigError):
        MaskUNetConfig.from_json(text)
