from __future__ import annotations

import shutil

import pytest

import songsplit
from songsplit.errors import ConfigError, ModelError
from songsplit.models import registry
from songsplit.models.storage import save_weights
from tests.models.tiny import tiny_model


def test_the_default_model_is_small_and_states_its_terms():
    default = songsplit.list_models()[0]
    assert default.name == "default"
    assert default.path.stat().st_size < 10_000_000
    assert "non-commercial" in default.card["terms"]
    assert registry.load_model().card["terms"] == default.card["terms"]


def test_a_smaller_model_stands_for_the_default_one_where_speed_counts():
    default, fast = (registry.load_model(name) for name in ("default", registry.fast_model()))
    sizes = [sum(p.numel() for p in stored.model.parameters()) for stored in (default, fast)]
    assert sizes[1] < 0.7 * sizes[0]
    assert default.model.config.targets == fast.model.config.targets
    assert "non-commercial" in fast.card["terms"]


def test_a_model_for_any_use_says_so():
    card = registry.load_model("open").card
    assert "commercial use too" in card["terms"]
    assert "NC" not in card["data"]


def test_other_models_have_no_faster_one(tmp_path):
    with pytest.raises(ConfigError, match="another quality"):
        registry.fast_model(tmp_path / "mine.safetensors")
    assert registry.fast_model("default") == registry.fast_model(None)


def test_a_path_is_a_model(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_weights(tiny_model(), {"name": "mine"}, path)
    assert registry.load_model(path).card["name"] == "mine"
    assert registry.load_model(str(path)).card["name"] == "mine"


@pytest.fixture
def damaged_open(tmp_path, monkeypatch):
    """The models as they are installed, the file of one cut short."""
    folder = tmp_path / "weights"
    shutil.copytree(registry.list_models()[0].path.parent, folder)
    (folder / "open.safetensors").write_bytes(b"cut short")
    monkeypatch.setattr(registry, "_FOLDER", folder)
    return folder


def test_a_damaged_model_is_noticed(damaged_open):
    with pytest.raises(ModelError, match=r"open\.safetensors.*install songsplit again"):
        registry.load_model("open")
    with pytest.raises(ModelError, match=r"open\.safetensors.*install songsplit again"):
        registry.list_models()


def test_one_changed_byte_is_noticed(damaged_open):
    path = damaged_open / "default.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="install songsplit again"):
        registry.load_model()


@pytest.mark.parametrize("content", [b"{", None])
def test_a_damaged_list_is_noticed(damaged_open, content):
    path = damaged_open / "registry.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ModelError, match=r"registry\.json.*install songsplit again"):
        registry.load_model()


def test_a_damaged_model_does_not_stop_others(damaged_open, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_weights(tiny_model(), {"name": "mine"}, path)
    assert registry.load_model(path).card["name"] == "mine"
    assert "non-commercial" in registry.load_model().card["terms"]
    assert "non-commercial" in registry.load_model(registry.fast_model()).card["terms"]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"'defualt'.*default"):
        registry.load_model("defualt")
