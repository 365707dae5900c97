from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

import songsplit
from songsplit.errors import ModelError
from songsplit.models import weights
from songsplit.models.separation_model import SeparationModel
from songsplit.models.unet import encoder_costs
from songsplit.models.weights import load_model, load_weights, save_weights
from tests.models.tiny import tiny_model


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(tiny_model(), {"name": "tiny"}, path)
    return path


def rewritten(path, **metadata):
    with safe_open(str(path), framework="pt") as file:
        values = file.metadata()
    save_file(load_file(path), path, {**values, **metadata})
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


def test_weights_that_do_not_fit_their_configuration(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    model = tiny_model()
    model.config = tiny_model(widths=(8, 8, 8)).config
    save_weights(model, {}, path)
    with pytest.raises(ModelError, match="does not fit"):
        load_weights(path)


class Trap:
    def __reduce__(self):
        return pytest.fail, ("was run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda data: data[:-100], "readable"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "checksum"),
        (lambda data: data.replace(rb"n\": 0.4", rb"n\": 0.3"), "checksum"),
        (lambda data: data.replace(b"tiny", b"mine"), "checksum"),
        (lambda data: data.replace(rb"{\"targets", rb"(\"targets"), "JSON"),
        (lambda data: data.replace(b": 128", b": 1.8"), "hop_length"),
        (lambda data: save({"weight": torch.zeros(3)}), "not a songsplit model"),
        (lambda data: pickle.dumps(Trap()), "safetensors"),
    ],
)
def test_files_that_are_no_whole_models_are_refused(stored, content, message):
    stored.write_bytes(content(stored.read_bytes()))
    with pytest.raises(ModelError, match=rf"model\.safetensors.*{message}"):
        load_weights(stored)


@pytest.mark.parametrize("card", ["[]", "{", "[" * 100_000])
def test_cards_are_json_objects(stored, card):
    with pytest.raises(ModelError):
        load_weights(rewritten(stored, card=card))


def relabelled(path, **changes):
    """Change the configuration and update the checksum."""
    config = json.dumps({**asdict(tiny_model().config), **changes})
    digest = weights._digest({"config": config, "card": "{}"}, load_file(path))
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
    path = relabelled(stored, **changes)
    monkeypatch.setattr(
        "songsplit.models.separation_model.MaskUNet", lambda config: pytest.fail("was made")
    )
    with pytest.raises(ModelError, match=r"configuration|cannot be"):
        load_weights(path)


def test_a_network_that_is_too_slow_is_refused_before_it_is_made(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(tiny_model(widths=(96,), subbands=1, hop_length=64), {}, path)
    with pytest.raises(ModelError, match="too large"):
        load_weights(path)


def test_weights_that_are_no_numbers(tmp_path):
    path = tmp_path / "model.safetensors"
    model = tiny_model()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    save_weights(model, {}, path)
    with pytest.raises(ModelError, match="not finite"):
        load_weights(path)


@pytest.mark.parametrize("changes", [{}, {"bottleneck": 0}])
def test_a_network_has_no_fewer_weights_than_is_said_beforehand(changes):
    model = tiny_model(**changes)
    count = sum(value.numel() for value in model.state_dict().values())
    assert count / 4 < encoder_costs(model.config)[0] < count


def test_other_networks_cannot_be_stored(tmp_path):
    model = SeparationModel(tiny_model().config, torch.nn.Identity())
    with pytest.raises(ModelError, match="Identity"):
        save_weights(model, {}, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


FORMER = [
    ("stereo_input", "left-right-mid-side", "left-right"),
    ("skip", "sum", "product"),
    ("mask", "soft", "complex"),
    ("context", "none", "attention"),
]


@pytest.mark.parametrize(("setting", "remaining", "former"), FORMER)
def test_settings_of_version_0_1(stored, setting, remaining, former):
    assert load_weights(relabelled(stored, **{setting: remaining})).card == {}
    with pytest.raises(ModelError, match=setting):
        load_weights(relabelled(stored, **{setting: former}))


def test_the_default_model_is_small_and_states_its_terms():
    default = songsplit.list_models()[0]
    assert default.name == "default"
    assert default.path.stat().st_size < 10_000_000
    assert "non-commercial" in default.card["terms"]
    assert load_model().card["terms"] == default.card["terms"]


def test_a_model_for_any_use_says_so():
    card = load_model("open").card
    assert "commercial use too" in card["terms"]
    assert "NC" not in card["data"]


@pytest.fixture
def damaged_open(tmp_path, monkeypatch):
    """The installed models, with one file truncated."""
    folder = tmp_path / "weights"
    shutil.copytree(songsplit.list_models()[0].path.parent, folder)
    (folder / "open.safetensors").write_bytes(b"cut short")
    monkeypatch.setattr(weights, "_FOLDER", folder)
    return folder


def test_a_damaged_model_is_noticed(damaged_open):
    for load in (lambda: load_model("open"), songsplit.list_models):
        with pytest.raises(ModelError, match=r"open\.safetensors.*install songsplit again"):
            load()


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"default": {"default.safetensors": "0"}}', None]
)
def test_a_damaged_list_is_noticed(damaged_open, content):
    path = damaged_open / "registry.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ModelError, match=r"registry\.json.*install songsplit again"):
        load_model()


def test_a_damaged_model_does_not_stop_others(damaged_open, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_weights(tiny_model(), {"name": "mine"}, path)
    assert load_model(path).card["name"] == "mine"
    assert "non-commercial" in load_model().card["terms"]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"'defualt'.*default"):
        load_model("defualt")
