"""Export of checkpoints to weights files."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch

from songsplit import Separator
from songsplit.errors import ConfigError, ModelError, OutputError, OutputExistsError
from songsplit.models.weights import load_weights
from songsplit.training.export import (
    CONFIG_KEY,
    NETWORK_KEY,
    PROVENANCE_KEY,
    export_checkpoint,
    read_card,
)
from tests.models.tiny import tiny_model

PROVENANCE = {
    "songsplit": "0.2.0",
    "data": {"mine": {"kind": "songs", "clips": 3, "licence": "CC0"}},
    "validation": {"valid/usdr": 5.5},
}


def weights_of(model):
    return {f"model.{name}": value for name, value in model.state_dict().items()}


def checkpoint(path, **changes):
    model = tiny_model()
    saved = {
        "state_dict": weights_of(model) | {"equalizer.curve": torch.zeros(3)},
        "current_model_state": {},
        "global_step": 1200,
        CONFIG_KEY: model.config.to_json(),
        PROVENANCE_KEY: json.dumps(PROVENANCE),
    }
    saved.update(changes)
    torch.save({key: value for key, value in saved.items() if value is not None}, path)
    return path


@pytest.fixture
def good(tmp_path):
    return checkpoint(tmp_path / "last.ckpt")


def test_the_weights_separate_as_the_model_does(good, tmp_path):
    path = tmp_path / "new" / "mine.safetensors"
    sha256 = export_checkpoint(good, {}, path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    separator = Separator(path, device="cpu")
    audio = np.random.default_rng(0).normal(size=9000).astype(np.float32) / 10
    assert separator.separate(audio, 44100).vocals.shape == (9000,)
    expected = tiny_model().state_dict()
    for name, value in load_weights(path).model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("targets", [("vocals", "instrumental"), ("vocals", "drums", "rest")])
def test_sharpness_scales_what_makes_the_masks(tmp_path, targets):
    model = tiny_model(targets=targets)
    saved = {"state_dict": weights_of(model), CONFIG_KEY: model.config.to_json()}
    path = checkpoint(tmp_path / "last.ckpt", **saved)
    spectrogram = model.stft(torch.randn(1, 2, 9000))
    masks = {}
    for sharpness in (1.0, 0.5):
        file = tmp_path / f"{sharpness}.safetensors"
        export_checkpoint(path, {}, file, sharpness=sharpness)
        stored = load_weights(file)
        assert stored.card.get("sharpness", 1.0) == sharpness
        masks[sharpness] = stored.model.masks(spectrogram)
    softened = masks[1.0].sqrt() / masks[1.0].sqrt().sum(1, keepdim=True)
    torch.testing.assert_close(masks[0.5], softened, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("sharpness", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_sharpness_is_refused(good, tmp_path, sharpness):
    with pytest.raises(ConfigError, match="sharpness"):
        export_checkpoint(good, {}, tmp_path / "mine.safetensors", sharpness=sharpness)


def test_the_card_has_the_users_keys_and_the_provenance(good, tmp_path):
    path = tmp_path / "mine.safetensors"
    export_checkpoint(good, {"description": "mine", "licence": "CC0"}, path)
    assert Separator(path, device="cpu").card == {
        "name": "mine",
        "description": "mine",
        "licence": "CC0",
        "steps": 1200,
        "provenance": PROVENANCE,
    }
    with pytest.raises(ConfigError, match="'steps' comes from the checkpoint"):
        export_checkpoint(good, {"steps": 1}, path, overwrite=True)
    old = checkpoint(tmp_path / "old.ckpt", **{PROVENANCE_KEY: None})
    export_checkpoint(old, {"name": "other"}, path, overwrite=True)
    assert load_weights(path).card == {"name": "other", "steps": 1200}


def test_files_are_replaced_only_when_asked(good, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"mine\.safetensors already exists"):
        export_checkpoint(good, {}, path)
    assert path.read_text() == "precious"
    export_checkpoint(good, {}, path, overwrite=True)
    assert load_weights(path).card["steps"] == 1200
    with pytest.raises(OutputError, match=r"mine\.pt: .* must end with"):
        export_checkpoint(good, {}, tmp_path / "mine.pt")
    assert {p.name for p in tmp_path.iterdir()} == {"last.ckpt", "mine.safetensors"}


def test_files_that_are_no_checkpoints(good, tmp_path):
    out, path = tmp_path / "out.safetensors", tmp_path / "x.ckpt"
    for absent in (tmp_path / "gone.ckpt", tmp_path, "/dev/zero"):
        with pytest.raises(ModelError, match=rf"{absent}: there is no such checkpoint file"):
            export_checkpoint(absent, {}, out)
    whole = good.read_bytes()
    for content in (
        b"", b"nonsense", b"ustar", b"PK\x03\x04nonsense", whole[:5000], whole[:-30],
        pickle.dumps(tiny_model().config, 2), pickle.dumps([1, 2], 2),
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"x\.ckpt is damaged or not a checkpoint"):
            export_checkpoint(path, {}, out)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ModelError, match=r"x\.ckpt is compressed"):
        export_checkpoint(path, {}, out)
    assert not out.exists()


class Stranger:
    pass


HUGE = json.dumps({"widths": [4096] * 7, "bands": [[2048, 1]], "bottleneck": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({CONFIG_KEY: None}, "not a checkpoint"),
        ({CONFIG_KEY: 7}, "not a checkpoint"),
        ({CONFIG_KEY: "[" * 100_000}, "configuration is not valid JSON"),
        ({CONFIG_KEY: '{"transformer_layers": 3}'}, "transformer_layers"),
        ({CONFIG_KEY: tiny_model(widths=(4, 8, 8)).config.to_json()}, "network of another version"),
        ({CONFIG_KEY: HUGE}, "network of another version"),
        ({CONFIG_KEY: HUGE, "state_dict": {"model.x": torch.zeros(1).expand(1 << 40)}}, "another"),
        ({NETWORK_KEY: "lab.Net"}, r"holds a lab\.Net, but only MaskUNet"),
        ({"state_dict": []}, "not a checkpoint"),
        ({"state_dict": {1: torch.zeros(1)}}, "not a checkpoint"),
        ({"state_dict": {"model.x": "text"}}, "network of another version"),
        (
            {"state_dict": dict.fromkeys(weights_of(tiny_model()), "text")},
            "network of another version",
        ),
        ({"global_step": torch.zeros(3)}, "not a checkpoint"),
        ({"global_step": float("nan")}, "not a checkpoint"),
        ({"global_step": "many"}, "not a checkpoint"),
        ({"global_step": Stranger()}, "not a checkpoint"),
        ({PROVENANCE_KEY: "{"}, "not a checkpoint"),
        ({PROVENANCE_KEY: "[" * 100_000}, "not a checkpoint"),
        ({PROVENANCE_KEY: 3}, "not a checkpoint"),
    ],
)
def test_odd_checkpoints_are_refused(tmp_path, changes, message):
    path, out = checkpoint(tmp_path / "x.ckpt", **changes), tmp_path / "out.safetensors"
    with pytest.raises(ModelError, match=rf"x\.ckpt.*{message}"):
        export_checkpoint(path, {}, out)
    assert not out.exists()


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e30])
def test_weights_that_a_file_cannot_hold_are_refused(tmp_path, factor):
    weights = {name: value * factor for name, value in weights_of(tiny_model()).items()}
    path, out = checkpoint(tmp_path / "x.ckpt", state_dict=weights), tmp_path / "out.safetensors"
    with pytest.raises(ModelError, match=r"x\.ckpt holds weights that are not finite"):
        export_checkpoint(path, {}, out)
    assert not out.exists()


def test_cards_are_json_objects(tmp_path):
    path = tmp_path / "card.json"
    path.write_text('{"description": "é"}', encoding="utf-8")
    assert read_card(path) == {"description": "é"}
    path.write_text("[1]")
    with pytest.raises(ConfigError, match=r"card\.json must hold a JSON object"):
        read_card(path)
    for wrong in ("{", "[" * 100_000):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match=r"card\.json cannot be read as JSON"):
            read_card(path)
    with pytest.raises(ConfigError, match=r"gone\.json"):
        read_card(tmp_path / "gone.json")
