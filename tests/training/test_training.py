"""Training from the cache to weights that separate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.data import recordings
from tests.models.tiny import tiny_model

pytest.importorskip("pytorch_lightning", reason="needs the train extra")

import yaml

from songsplit import Separator
from songsplit.errors import ConfigError, ModelError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.storage import load_weights, save_weights
from songsplit.training import export
from songsplit.training.augment import RandomEqualizer, limit_band
from songsplit.training.averaging import MovingAverage
from songsplit.training.cli import main
from songsplit.training.losses import complex_l1
from songsplit.training.module import SeparationTraining

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return recordings.cache(tmp_path_factory.mktemp("cache"))


def fit(cache, folder, *more, config="smoke"):
    return main(
        [
            "fit", "--config", str(CONFIGS / f"{config}.yaml"),
            "--data.cache", str(cache.folder),
            "--trainer.default_root_dir", str(folder),
            "--trainer.accelerator", "cpu",
            "--trainer.enable_progress_bar", "false",
            "--trainer.logger.init_args.save_dir", str(folder),
            *more,
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    fit(cache, folder)
    return folder


def checkpoints(folder):
    return sorted(folder.glob("lightning_logs/*/checkpoints/*.ckpt"))


@pytest.mark.slow
def test_a_run_ends_with_weights_that_separate(trained, tmp_path):
    best, last = checkpoints(trained)
    assert best.name.startswith("best")
    assert last.name == "last.ckpt"
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"name": "mine"}))
    import typer

    app = typer.Typer()
    app.command()(export.main)
    weights = tmp_path / "mine.safetensors"
    result = CliRunner().invoke(app, [str(last), str(weights), "--card", str(card)])
    assert result.exit_code == 0, result.output
    separator = Separator(weights, device="cpu")
    assert separator.card == {"name": "mine", "steps": 20}
    assert separator.separate(np.ones(5000, np.float32), 44100).vocals.shape == (5000,)


@pytest.mark.slow
def test_exported_weights_are_the_averaged_ones(trained):
    (_, last) = checkpoints(trained)
    saved = torch.load(last, weights_only=True)
    averaged = saved["state_dict"]["model.unet.head.weight"]
    current = saved["current_model_state"]["model.unet.head.weight"]
    assert not torch.equal(averaged, current)


@pytest.mark.slow
def test_validation_is_logged_and_training_learns(trained):
    (metrics,) = trained.glob("lightning_logs/*/metrics.csv")
    header, *rows = metrics.read_text().splitlines()
    logged = {
        name: [float(v) for v in (row.split(",")[column] for row in rows) if v]
        for column, name in enumerate(header.split(","))
    }
    for target in ("vocals", "instrumental"):
        for kind in ("median", "mean"):
            assert len(logged[f"valid/{target}_usdr_{kind}"]) == 2
    loss = logged["train/loss"]
    assert loss[-1] < 0.95 * loss[0]


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(cache, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    # The equaliser draws from torch's global generator, which a new process starts anew.
    plan = (
        "--data.batches", "3", "--model.warmup_steps", "1", "--model.equalizer_share", "0",
        "--trainer.max_epochs", "2", "--trainer.max_steps", "-1",
    )  # fmt: skip
    fit(cache, whole, *plan)
    fit(cache, parts, *plan, "--trainer.callbacks+=tests.training.stop.StopAfterEpoch")
    stopped = checkpoints(parts)[-1]
    assert torch.load(stopped, weights_only=True)["global_step"] == 3
    fit(cache, parts, *plan, "--ckpt_path", str(stopped))
    expected = torch.load(checkpoints(whole)[-1], weights_only=True)
    resumed = torch.load(checkpoints(parts)[-1], weights_only=True)
    assert resumed["global_step"] == expected["global_step"] == 6
    for state in ("state_dict", "current_model_state"):
        for name, value in expected[state].items():
            torch.testing.assert_close(resumed[state][name], value, msg=f"{state} {name}")


@pytest.mark.slow
def test_a_run_can_begin_with_finished_weights(trained, cache, tmp_path):
    weights = tmp_path / "start.safetensors"
    export.export_checkpoint(checkpoints(trained)[-1], {}, weights)
    start = load_weights(weights).model.state_dict()
    fit(
        cache, tmp_path, "--model.init_from", str(weights), "--trainer.max_steps", "2",
        "--data.batches", "2", "--model.warmup_steps", "0",
    )  # fmt: skip
    end = torch.load(checkpoints(tmp_path)[-1], weights_only=True)["current_model_state"]
    for name in ("unet.normalize.running_mean", "unet.head.weight"):
        assert not torch.equal(end[f"model.{name}"], start[name]), f"{name} did not learn"
        assert (end[f"model.{name}"] - start[name]).abs().mean() < start[name].abs().mean()


def test_weights_of_another_network_are_refused(tmp_path):
    weights = tmp_path / "tiny.safetensors"
    save_weights(tiny_model(), {}, weights)
    with pytest.raises(ConfigError, match="other settings"):
        SeparationTraining(init_from=str(weights))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_builds_its_network(path):
    model = yaml.safe_load(path.read_text())["model"]["model"]
    SeparationTraining(MaskUNetConfig(**model))


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_trains_for_a_step(path, cache, tmp_path):
    sources = '{"musdb18": 1.0}'
    fit(
        cache, tmp_path, "--trainer.fast_dev_run", "true", "--data.batch_size", "2",
        "--data.workers", "0", "--data.chunk_samples", "40960", "--trainer.precision", "32-true",
        *(f"--data.remix.{pool}={sources}" for pool in ("vocals", "backing", "same_song")),
        config=path.stem,
    )  # fmt: skip


def test_unknown_keys_and_impossible_values_are_refused(cache, tmp_path, capsys):
    with pytest.raises(SystemExit):
        fit(cache, tmp_path, "--model.magic", "1")
    assert "magic" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="bins cannot be 1000"):
        fit(cache, tmp_path, "--model.model.bins", "1000")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"x\.ckpt is no checkpoint"):
        export.export_checkpoint(path, {}, tmp_path / "out.safetensors")
    with pytest.raises(ModelError, match="no such checkpoint"):
        export.export_checkpoint(tmp_path / "y.ckpt", {}, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_loss_is_zero_for_a_perfect_estimate_and_ignores_level():
    target, mixture = torch.randn(2, 3, 2, 9, 5, dtype=torch.complex64)
    assert complex_l1(target, target, mixture) == 0
    estimate = torch.zeros_like(target)
    loss = complex_l1(estimate, target, mixture)
    assert torch.allclose(complex_l1(estimate, 10 * target, 10 * mixture), loss, rtol=1e-3)
    assert complex_l1(estimate * 0, target * 0, mixture * 0) == 0


def test_equalizer_changes_the_wanted_share_smoothly():
    torch.manual_seed(0)
    spectrogram = torch.ones(64, 2, 513, 3, dtype=torch.complex64)
    assert torch.equal(RandomEqualizer(44100, 513, 0.0, 4.0)(spectrogram), spectrogram)
    gain = RandomEqualizer(44100, 513, 0.5, 4.0)(spectrogram).abs()[:, 0, :, 0]
    changed = (gain != 1).any(dim=1).float().mean()
    assert 0.3 < changed < 0.7
    decibels = 20 * gain.log10()
    assert decibels[:, 20:].diff(dim=1).abs().max() < 2
    assert 2 < decibels[(gain != 1).any(dim=1)].std() < 6


def test_band_limit():
    spectrogram = torch.ones(2, 2, 101, 3, dtype=torch.complex64)
    limited = limit_band(spectrogram, torch.tensor([float("inf"), 5000.0]), 20000)
    assert torch.equal(limited[0], spectrogram[0])
    assert limited[1, :, :51].abs().min() == 1
    assert not limited[1, :, 51:].any()


def test_the_moving_average_forgets_its_random_start():
    module = torch.nn.BatchNorm1d(1)
    averaged = torch.optim.swa_utils.AveragedModel(
        module, use_buffers=True, **MovingAverage(decay=0.998)._kwargs
    )
    averaged.update_parameters(module)
    module.running_var.fill_(100.0)
    module.weight.data.fill_(5.0)
    for _ in range(200):
        averaged.update_parameters(module)
    assert averaged.module.running_var.item() == pytest.approx(100, rel=1e-3)
    assert averaged.module.weight.item() == pytest.approx(5, rel=1e-3)
    module.weight.data.fill_(6.0)
    averaged.update_parameters(module)
    assert 5 < averaged.module.weight.item() < 5.1
