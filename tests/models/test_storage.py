from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from songsplit.errors import ModelError
from songsplit.models.storage import load_weights, save_weights
from tests.models.tiny import tiny_model


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(tiny_model(), {"name": "tiny"}, path)
    return path


def rewritten(path, tensors=None, **metadata):
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        values = file.metadata()
    save_file(tensors or load_file(path), path, {**values, **metadata})
    return path


def test_a_model_survives_storage(stored):
    model, loaded = tiny_model(), load_weights(stored)
    assert loaded.model.config == model.config
    assert loaded.card == {"name": "tiny"}
    assert not loaded.model.training
    mixture = torch.randn(1, 2, 9000)
    with torch.no_grad():
        # Weights are stored in half precision.
        assert torch.allclose(model(mixture), loaded.model(mixture), atol=2e-2)


def test_nothing_partial_is_left(stored):
    assert [p.name for p in stored.parent.iterdir()] == ["model.safetensors"]


def test_weights_that_do_not_fit_their_configuration(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    model = tiny_model()
    model.config = tiny_model(widths=(8, 8, 8)).config
    save_weights(model, {}, path)
    with pytest.raises(ModelError, match="does not fit"):
        load_weights(path)


def test_missing(tmp_path):
    with pytest.raises(ModelError, match="no such model file"):
        load_weights(tmp_path / "none.safetensors")


def test_not_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"not a model at all")
    with pytest.raises(ModelError, match=r"model\.safetensors.*readable"):
        load_weights(path)


def test_truncated(stored):
    stored.write_bytes(stored.read_bytes()[:-100])
    with pytest.raises(ModelError, match="readable"):
        load_weights(stored)


def test_a_flipped_bit_is_noticed(stored):
    data = bytearray(stored.read_bytes())
    data[-1] ^= 1
    stored.write_bytes(data)
    with pytest.raises(ModelError, match="checksum"):
        load_weights(stored)


def test_somebody_elses_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="no songsplit model"):
        load_weights(path)


def test_a_changed_configuration_is_noticed(stored):
    config = json.dumps({"subbands": 4})
    with pytest.raises(ModelError, match="checksum"):
        load_weights(rewritten(stored, config=config))
