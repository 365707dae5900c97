from __future__ import annotations

import json
import pickle
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from songsplit.errors import ModelError
from songsplit.models import storage
from songsplit.models.storage import load_weights, save_weights
from songsplit.models.unet import least_weights
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
    config = json.dumps({**asdict(tiny_model().config), "compression": 0.3})
    with pytest.raises(ModelError, match="checksum"):
        load_weights(rewritten(stored, config=config))


def test_a_changed_card_is_noticed(stored):
    with pytest.raises(ModelError, match="checksum"):
        load_weights(rewritten(stored, card=json.dumps({"licence": "do as you like"})))


def relabelled(path, **changes):
    """Change the configuration and put everything else right."""
    config = json.dumps({**asdict(tiny_model().config), **changes})
    digest = storage._digest({"config": config, "card": "{}"}, load_file(path))
    return rewritten(path, config=config, card="{}", sha256=digest)


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": [4096] * 12},
        {"widths": [4096, 8]},
        {"n_fft": 65536, "hop_length": 1024, "bands": [[32768, 1]], "bottleneck": 1},
        {"subbands": 1024, "bands": [[2048, 1]]},
    ],
)
def test_a_configuration_that_asks_for_more_than_there_is_takes_no_memory(
    stored, changes, monkeypatch
):
    monkeypatch.setattr(storage, "SeparationModel", lambda config: pytest.fail("was made"))
    with pytest.raises(ModelError, match=r"configuration|cannot be"):
        load_weights(relabelled(stored, **changes))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("widths", [10**9]),
        ("widths", "88"),
        ("widths", [8.0, 8.0]),
        ("widths", []),
        ("n_fft", 2**40),
        ("n_fft", True),
        ("hop_length", 1),
        ("bands", [[10**12, 10**11]]),
        ("bands", [[1]]),
        ("bands", [5]),
        ("level_seconds", 1e9),
        ("level_seconds", "4"),
        ("compression", float("nan")),
        ("targets", ["vocals", "../../etc/passwd"]),
        ("targets", ["vocals", "Vocals"]),
        ("targets", "vi"),
        ("sample_rate", 0),
        ("unheard_of", 1),
    ],
)
def test_configurations_keep_to_a_schema(stored, setting, value):
    with pytest.raises(ModelError, match=setting):
        load_weights(relabelled(stored, **{setting: value}))


@pytest.mark.parametrize("config", ["[]", "[[1, 2]]", "3", "{", "[" * 100_000, ""])
def test_configurations_are_json_objects(stored, config):
    with pytest.raises(ModelError, match="JSON"):
        load_weights(rewritten(stored, config=config))


@pytest.mark.parametrize("card", ["[]", "3", "{", "[" * 100_000])
def test_cards_are_json_objects(stored, card):
    with pytest.raises(ModelError):
        load_weights(rewritten(stored, card=card))


def test_weights_that_are_no_numbers(tmp_path):
    path = tmp_path / "model.safetensors"
    model = tiny_model()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    save_weights(model, {}, path)
    with pytest.raises(ModelError, match="not finite"):
        load_weights(path)


@pytest.mark.parametrize(
    "changes", [{}, {"bottleneck": 0}, {"context": "recurrent"}, {"skip": "concatenation"}]
)
def test_a_network_has_no_fewer_weights_than_is_said_beforehand(changes):
    model = tiny_model(**changes)
    weights = sum(value.numel() for value in model.state_dict().values())
    assert weights / 4 < least_weights(model.config) < weights


def test_a_pickle_is_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("was run",)

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match="safetensors"):
        load_weights(path)
