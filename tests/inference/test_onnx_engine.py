"""ONNX Runtime and PyTorch give the same stems; the choice of the engine."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import soundfile

import songsplit
from songsplit.errors import ConfigError, MissingExtraError, ModelError
from songsplit.inference.engine import has_quick_integers, load_engine
from songsplit.inference.onnx_engine import OnnxEngine
from songsplit.models import weights
from songsplit.models.onnx import onnx_network
from songsplit.models.weights import StoredModel, load_model, load_network
from tests.conftest import EXAMPLE
from tests.models.tiny import tiny_model


def decibels(error, signal):
    return 10 * np.log10(np.square(error).mean() / np.square(signal).mean())


@pytest.fixture(scope="module")
def noise():
    sides = np.random.default_rng(0).normal(size=(2, 2, 50_001)).astype(np.float32) / 8
    sides[1, 1] = sides[1, 0]
    return sides


@pytest.fixture
def float32(monkeypatch):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr("songsplit.inference.engine.has_quick_integers", lambda: False)


@pytest.mark.parametrize("samples", [1, 700, 50_001])
@pytest.mark.parametrize("name", ["default", "open"])
def test_both_engines_give_the_same_stems(float32, noise, name, samples):
    onnx, card = load_engine(name, "cpu")
    torch, same_card = load_engine(name, "cpu", "torch")
    assert (type(onnx).__name__, type(torch).__name__) == ("OnnxEngine", "TorchEngine")
    assert (onnx.config, card) == (torch.config, same_card)
    mixture = noise[..., :samples]
    for found, expected in zip(onnx.foreground(mixture), torch.foreground(mixture), strict=True):
        assert found.shape == expected.shape == (2, 1, 2, samples)
        assert found.dtype == np.float32
        assert decibels(found - expected, mixture) < -90


@pytest.mark.parametrize(
    "settings",
    [
        {"targets": ("vocals", "drums", "other")},
        {"hop_length": 100},
        {"bands": ((64, 1), (192, 4)), "subbands": 2},
    ],
)
def test_any_model_of_ours_can_be_a_network_file(float32, noise, settings):
    model = tiny_model(**settings)
    engine = OnnxEngine(onnx_network(StoredModel(model, {}, "")))
    expected = load_engine(model, "cpu")[0].foreground(noise)
    for found, values in zip(engine.foreground(noise), expected, strict=True):
        assert decibels(found - values, noise) < -80


@pytest.mark.skipif(not has_quick_integers(), reason="this processor computes in float32")
@pytest.mark.parametrize("name", ["default", "open"])
def test_integers_change_little(monkeypatch, name):
    song, rate = soundfile.read(EXAMPLE, dtype="float32")
    found = songsplit.separate(song.T, rate, model=name, device="cpu").vocals
    monkeypatch.setattr("songsplit.inference.engine.has_quick_integers", lambda: False)
    expected = songsplit.separate(song.T, rate, model=name, device="cpu").vocals
    assert 30 < -decibels(found - expected, song.T) < 80


@pytest.mark.parametrize("name", ["default", "open"])
def test_network_files_are_made_of_the_weights_that_ship(name):
    made, given = (
        onnxruntime.InferenceSession(content)
        for content in (onnx_network(load_model(name)), load_network(name))
    )
    described = given.get_modelmeta().custom_metadata_map
    assert described == made.get_modelmeta().custom_metadata_map
    assert described["sha256"] == load_model(name).digest
    small = onnxruntime.InferenceSession(load_network(name, int8=True))
    assert small.get_modelmeta().custom_metadata_map == described
    bands = OnnxEngine(load_network(name)).config.band_count
    powers = {"powers": np.random.default_rng(0).random((1, 4, bands, 40), np.float32)}
    np.testing.assert_array_equal(made.run(None, powers)[0], given.run(None, powers)[0])


def test_a_damaged_network_is_refused(tmp_path, monkeypatch):
    for path in weights._FOLDER.iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content[:-1] if path.suffix == ".onnx" else content)
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    with pytest.raises(ModelError, match=r"default.*\.onnx.*install songsplit again"):
        songsplit.Separator(device="cpu")


def test_the_engine_can_be_chosen_where_there_is_a_choice(noise):
    assert type(load_engine(None, engine="onnx")[0]).__name__ == "OnnxEngine"
    with pytest.raises(ConfigError, match="use onnx, torch"):
        songsplit.Separator(engine="tensorflow")
    with pytest.raises(ConfigError, match="leave engine out"):
        songsplit.Separator(tiny_model(), engine="onnx")


def test_a_separator_can_be_sent_to_another_process(noise):
    separator = songsplit.Separator(device="cpu")
    sent = pickle.loads(pickle.dumps(separator))
    mixture = noise[0]
    expected = separator.separate(mixture, 44100).vocals
    np.testing.assert_array_equal(sent.separate(mixture, 44100).vocals, expected)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import json, numpy as np, songsplit
from songsplit.errors import SongsplitError

stems = songsplit.separate(np.full((2, 4410), 0.1, np.float32), 44100, quality="best")
problems = []
for settings in ({"model": sys.argv[1]}, {"device": "cuda"}, {"engine": "torch"}, {"model": "x"}):
    try:
        songsplit.Separator(**settings)
    except SongsplitError as error:
        problems.append([type(error).__name__, str(error)])
try:
    import songsplit.evaluation
except SongsplitError as error:
    problems.append([type(error).__name__, str(error)])
print(json.dumps([stems.vocals.shape, problems]))
"""


def test_without_torch_models_that_ship_separate_and_others_say_what_to_install(tmp_path):
    path = tmp_path / "own.safetensors"
    weights.save_weights(tiny_model(), {}, path)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shape, problems = json.loads(done.stdout)
    assert shape == [2, 4410]
    missing = MissingExtraError.__name__
    assert [kind for kind, _ in problems] == [missing, missing, missing, "ModelError", missing]
    assert all("pip install 'songsplit[torch]'" in text for _, text in problems[:3])
    assert "pip install 'songsplit[eval]'" in problems[-1][1]


REPORTING = """
import time, numpy as np, songsplit
songsplit.separate(np.zeros((2, 44100), np.float32), 44100)
time.sleep(0.5)
"""


def test_the_runtime_reports_to_nobody(tmp_path):
    # If ONNX Runtime collects usage data, it stores them in the cache folder.
    variables = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in variables}
    env = {**kept, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", REPORTING], env=env, check=True)
    assert not list(tmp_path.iterdir())
