"""Training from a folder of songs to weights that separate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from tests.data import recordings
from tests.models.tiny import tiny_model

pytest.importorskip("pytorch_lightning", reason="needs the train extra")

import pytorch_lightning as pl

from songsplit.errors import ConfigError, DataError, ModelError, TrainingError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.weights import load_weights, save_weights
from songsplit.training.export import PROVENANCE_KEY, export_checkpoint
from songsplit.training.lightning_cli import TrainingCLI
from songsplit.training.lightning_module import SeparationTraining

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Use as many threads as in `run`, because the last bits of sums depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """A folder of songs, and an empty one for the cache."""
    folder = tmp_path_factory.mktemp("music")
    recordings.songs(folder / "songs")
    return folder


def command(music, folder, *more, config="smoke"):
    source = {"kind": "songs", "path": str(music / "songs"), "valid_share": 0.5, "licence": "test"}
    return [
        "fit", "--config", str(ROOT / "configs" / f"{config}.yaml"),
        "--data.sources", json.dumps({"made up": source}),
        "--data.cache", str(music / "cache"),
        "--data.chunk_samples", "30720",
        "--trainer.default_root_dir", str(folder),
        "--trainer.accelerator", "cpu",
        "--trainer.enable_progress_bar", "false",
        "--trainer.enable_model_summary", "false",
        *more,
    ]  # fmt: skip


def fit(*arguments, **options):
    return TrainingCLI(command(*arguments, **options))


def run(music, folder, *more, wait=True):
    """Train in a separate process, which can be killed."""
    arguments = [sys.executable, "train.py", *command(music, folder, *more)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if not wait:
        return process
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def state(folder, name="last"):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def assert_same_weights(one, other):
    assert one["global_step"] == other["global_step"]
    for kind in ("state_dict", "current_model_state"):
        for name, value in other[kind].items():
            torch.testing.assert_close(one[kind][name], value, rtol=0, atol=0, msg=f"{kind} {name}")


def logged(folder, start=0):
    """Values of metrics.csv by name."""
    path = folder / "logs" / f"version_{start}" / "metrics.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    return {
        name: [float(v) for v in (row.split(",")[column] for row in rows) if v]
        for column, name in enumerate(header.split(","))
    }


@pytest.fixture(scope="module")
def trained(music, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    fit(music, folder)
    return folder


@pytest.mark.slow
def test_a_run_leaves_checkpoints_of_averages_that_tell_what_they_were_made_from(trained):
    assert {p.name for p in (trained / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    saved = state(trained)
    assert saved["global_step"] == 30
    name = "model.unet.head.weight"
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])
    made_from = json.loads(state(trained, "best")[PROVENANCE_KEY])
    source = made_from["data"]["made up"]
    assert (source["kind"], source["licence"], source["clips"]) == ("songs", "test", 6)
    best = max(logged(trained)["valid/usdr"])
    assert made_from["validation"]["valid/usdr"] == pytest.approx(best, abs=1e-4)
    assert made_from["augmentation"]["mix"]["level_mean"] == -5
    assert made_from["loss"]["spectrogram"] == 1
    assert (made_from["seed"], made_from["learning_rate"]) == (1, 2e-3)


@pytest.mark.slow
def test_scores_and_progress_are_logged_and_training_learns(trained):
    assert (trained / "logs" / "version_0" / "config.yaml").is_file()
    assert list((trained / "tensorboard" / "version_0").glob("events.*"))
    found = logged(trained)
    scores = ["usdr"] + [
        f"{t}_{kind}" for t in ("vocals", "instrumental") for kind in ("sdr", "usdr")
    ]
    for score in scores:
        assert len(found[f"valid/{score}"]) == 2
    assert found["train/gradient_norm"]
    assert found["train/loss"][-1] < found["train/loss"][0]
    # Warm-up, and a cosine to zero at the last step.
    rates = found["train/learning_rate/pg1"]
    assert rates[-1] < 0.1 * max(rates)


@pytest.mark.slow
def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(music, tmp_path):
    plan = (
        "--trainer.max_steps", "8", "--trainer.val_check_interval", "6", "--last.every_steps", "3",
        "--trainer.accumulate_grad_batches", "2", "--data.workers", "1",
    )  # fmt: skip
    fit(music, tmp_path / "whole", *plan)
    killed = run(music, tmp_path / "killed", *plan, "--ckpt_path", "last", wait=False)
    checkpoint = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert state(tmp_path / "killed")["global_step"] in (3, 6)
    fit(music, tmp_path / "killed", *plan, "--ckpt_path", "last")
    assert_same_weights(state(tmp_path / "killed"), state(tmp_path / "whole"))


@pytest.mark.slow
def test_a_resumed_run_takes_the_schedule_of_its_config(music, tmp_path):
    plan = ("--model.decay_share", "0", "--trainer.log_every_n_steps", "1")
    fit(music, tmp_path, *plan, "--trainer.max_steps", "8")
    assert logged(tmp_path)["train/learning_rate/pg1"][-2:] == [2e-3, 2e-3]
    more = ("--ckpt_path", "last", "--model.learning_rate", "1e-3", "--model.decay_share", "0.2")
    fit(music, tmp_path, *plan, *more, "--trainer.max_steps", "20")
    expected = [1e-3] * 9 + [1e-3 * share for share in (0.853553, 0.5, 0.146447)]
    assert logged(tmp_path, 1)["train/learning_rate/pg1"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_run_goes_on_from_a_checkpoint_of_version_0_1(music, tmp_path):
    """The checkpoint's optimiser stores steps as tensors, and its progress bar has a state."""
    plan = (
        "--model.optimizer", "muon", "--model.decay_share", "0",
        "--trainer.val_check_interval", "3",
    )  # fmt: skip
    fit(music, tmp_path / "whole", *plan, "--trainer.max_steps", "6")
    fit(music, tmp_path / "old", *plan, "--trainer.max_steps", "3")
    saved = state(tmp_path / "old")
    for entry in saved["optimizer_states"][0]["state"].values():
        if "count" in entry:
            entry["count"] = torch.tensor(float(entry["count"]))
    saved["callbacks"]["TrainingProgress"] = {"best": 1.0, "best_step": 3}
    made_from = json.loads(saved[PROVENANCE_KEY])
    made_from["data"] = {"singers": {"licence": "CC BY-NC"}}
    saved[PROVENANCE_KEY] = json.dumps(made_from)
    torch.save(saved, tmp_path / "old" / "checkpoints" / "last.ckpt")
    fit(music, tmp_path / "old", *plan, "--trainer.max_steps", "6", "--ckpt_path", "last")
    for name in ("last", "best"):
        assert_same_weights(state(tmp_path / "old", name), state(tmp_path / "whole", name))
    # A run that continues with other data keeps the provenance of the weights.
    assert json.loads(state(tmp_path / "old")[PROVENANCE_KEY])["data"].keys() == {
        "singers", "made up",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_leaves_its_last_step_to_go_on_from(music, tmp_path, stop):
    plan = ("--trainer.max_steps", "100000", "--trainer.val_check_interval", "100000")
    more = ("--last.every_steps", "5")
    stopped = run(music, tmp_path, *plan, *more, "--model.decay_share", "0", wait=False)
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    before = state(tmp_path)["global_step"]
    stopped.send_signal(stop)
    assert "--ckpt_path last" in stopped.communicate()[0]
    assert stopped.returncode == 128 + stop
    step = state(tmp_path)["global_step"]
    assert step > before
    longer = ("--trainer.max_steps", str(step + 2), "--model.decay_share", "0")
    fit(music, tmp_path, *longer, "--ckpt_path", "last")
    fit(music, tmp_path / "whole", *longer)
    assert_same_weights(state(tmp_path), state(tmp_path / "whole"))


class Quarter(torch.nn.Module):
    """A custom network, which passes the same share of all bins."""

    def __init__(self, bins: int = 64) -> None:
        super().__init__()
        self.config = MaskUNetConfig(
            n_fft=512, hop_length=128, bands=((bins, 1),), widths=(1,), bottleneck=0
        )
        self.level = torch.nn.Parameter(torch.tensor(-1.0))

    def forward(self, powers):
        return self.level.sigmoid() * torch.ones_like(powers[:, None, :2])


class Squared(torch.nn.Module):
    """A custom loss."""

    def forward(self, estimates, targets, mixture, samples):
        return (estimates - targets).abs().square().mean()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_config_can_name_another_network_and_loss(music, tmp_path, optimizer):
    other = tmp_path / "other.yaml"
    other.write_text(
        f"model:\n  optimizer: {optimizer}\n"
        f"  model: {{class_path: {__name__}.Quarter, init_args: {{bins: 128}}}}\n"
        f"  loss: {{class_path: {__name__}.Squared}}\n"
    )
    # They replace the network of the first config and the loss.
    plan = ("--trainer.max_steps", "3", "--trainer.val_check_interval", "3")
    fit(music, tmp_path, "--model.loss.waveform", "0.5", "--config", str(other), *plan)
    saved = state(tmp_path)
    assert saved["state_dict"]["model.unet.level"] != -1
    assert json.loads(saved[PROVENANCE_KEY])["loss"].endswith("Squared")
    assert logged(tmp_path)["valid/usdr"]
    with pytest.raises(ModelError, match=r"Quarter, but only MaskUNet"):
        export_checkpoint(tmp_path / "checkpoints" / "last.ckpt", {}, tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match="network of another class"):
        fit(music, tmp_path, "--ckpt_path", "last")


class Flat(Quarter):
    """A network whose masks lack a dimension, so that they would be broadcast."""

    def forward(self, powers):
        return super().forward(powers)[:, 0]


class Nameless(torch.nn.Module):
    """A network without a config."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "message"), [("Flat", "shape"), ("Nameless", "attribute config")])
def test_networks_that_cannot_be_trained_are_refused(music, tmp_path, name, message):
    with pytest.raises(ConfigError, match=rf"model\.model: .*{name}.*{message}"):
        fit(music, tmp_path, "--model.model", f"{__name__}.{name}", "--trainer.max_steps", "1")


@pytest.mark.slow
def test_a_network_may_lie_in_the_current_folder(tmp_path):
    (tmp_path / "lab.py").write_text("import torch\nclass Net(torch.nn.Module): pass\n")
    config = ROOT / "configs" / "smoke.yaml"
    arguments = ("fit", "--config", str(config), "--model.model", "lab.Net", "--print_config")
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=tmp_path, text=True, capture_output=True,
    )  # fmt: skip
    assert "class_path: lab.Net" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_said_in_a_line(tmp_path):
    (tmp_path / "file").touch()
    arguments = ("--config", "configs/smoke.yaml", "--data.cache", str(tmp_path / "cache"))
    done = subprocess.run(
        [
            sys.executable, "train.py", "fit", *arguments,
            "--trainer.default_root_dir", str(tmp_path / "file"),
        ],
        cwd=ROOT, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("songsplit: ")
    assert str(tmp_path / "file") in last


class Noises(pl.LightningDataModule):
    """A custom data module."""

    def __init__(self, scale: float = 1e-4) -> None:
        super().__init__()
        self.scale = scale

    def train_dataloader(self):
        parts = torch.randint(-9999, 9999, (2, 2, 20000), dtype=torch.int16)
        present = torch.tensor([[True, False, False, False, True]])
        batch = {
            "parts": parts, "scales": present * self.scale, "present": present,
            "same_song": torch.tensor([False]), "bandwidth": torch.tensor([torch.inf]),
            "samples": 8192, "number": 0, "seed": 0,
        }  # fmt: skip
        return DataLoader([batch] * 9, batch_size=None)

    def val_dataloader(self):
        return DataLoader([{"name": "a", "stems": torch.rand(2, 2, 50000)}], batch_size=None)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-4, 1e36])
def test_a_config_can_name_another_data_module(tmp_path, scale):
    other = tmp_path / "other.yaml"
    other.write_text(
        f"data: {{class_path: {__name__}.Noises, init_args: {{scale: {scale}}}}}\n"
        f"trainer: {{max_steps: 2, val_check_interval: 2, default_root_dir: {tmp_path},\n"
        f"  accelerator: cpu, enable_progress_bar: false}}\n"
    )
    arguments = ["fit", "--config", str(ROOT / "configs" / "smoke.yaml"), "--config", str(other)]
    if scale > 1:
        with pytest.raises(TrainingError, match="the loss of batch 0 is not finite"):
            TrainingCLI(arguments)
    else:
        TrainingCLI(arguments)
        assert state(tmp_path)["global_step"] == 2


@pytest.mark.slow
def test_two_processes_share_validation_and_train_one_network(music, tmp_path):
    plan = (
        "--trainer.max_steps", "4", "--trainer.val_check_interval", "4", "--data.batch_size", "1",
    )  # fmt: skip
    ddp = ("--trainer.devices", "2", "--trainer.strategy", "ddp")
    assert "sync_dist" not in run(music, tmp_path / "two", *plan, *ddp)
    two = state(tmp_path / "two")
    assert two["global_step"] == 4
    # The score of the averaged weights over all clips, each counted once on all ranks.
    cli = fit(music, tmp_path / "one", *plan, "--trainer.max_steps", "1")
    module = cli.model
    module.load_state_dict(two["state_dict"])
    (alone,) = cli.trainer.validate(module, datamodule=cli.datamodule, verbose=False)
    both = logged(tmp_path / "two")
    for name, value in alone.items():
        assert both[name][-1] == pytest.approx(value, abs=0.05), name


@pytest.mark.slow
def test_a_run_can_begin_with_finished_weights(trained, music, tmp_path):
    weights = tmp_path / "start.safetensors"
    export_checkpoint(trained / "checkpoints" / "last.ckpt", {}, weights)
    start = load_weights(weights).model.state_dict()
    fit(
        music, tmp_path, "--model.init_from", str(weights), "--trainer.max_steps", "2",
        "--model.warmup_steps", "0",
    )  # fmt: skip
    end = state(tmp_path)
    for name in ("unet.normalize.running_mean", "unet.head.weight"):
        moved = end["current_model_state"][f"model.{name}"] - start[name]
        assert moved.any(), f"{name} did not learn"
        assert moved.abs().mean() < start[name].abs().mean()
    made_from = json.loads(end[PROVENANCE_KEY])["init_from"]
    assert made_from["file"] == "start.safetensors"


@pytest.mark.slow
def test_checkpoints_of_another_network_are_refused(trained, music, tmp_path):
    path = str(trained / "checkpoints" / "last.ckpt")
    with pytest.raises(ConfigError, match=r"model\.model\.bottleneck to 2"):
        fit(music, tmp_path, "--ckpt_path", path, "--model.model.bottleneck", "2")
    with pytest.raises(ConfigError, match=r"there is no .*gone\.ckpt"):
        fit(music, tmp_path, "--ckpt_path", str(tmp_path / "gone.ckpt"))
    (tmp_path / "damaged.ckpt").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match=r"damaged\.ckpt is damaged"):
        fit(music, tmp_path, "--ckpt_path", str(tmp_path / "damaged.ckpt"))


def test_weights_of_another_network_are_refused(tmp_path):
    weights = tmp_path / "tiny.safetensors"
    save_weights(tiny_model(), {}, weights)
    with pytest.raises(ConfigError, match=r"tiny\.safetensors holds a network with"):
        SeparationTraining(init_from=str(weights))


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_and_names_the_batch(music, tmp_path):
    with pytest.raises(TrainingError, match=r"the loss of batch \d+ is not finite(.|\n)*made up/"):
        fit(
            music, tmp_path, "--model.learning_rate", "1e30", "--model.warmup_steps", "0",
            "--last.every_steps", "1", "--trainer.gradient_clip_val", "0",
        )  # fmt: skip
    for weight in state(tmp_path)["state_dict"].values():
        assert weight.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_trains_for_a_step(path, music, tmp_path):
    fit(
        music, tmp_path, "--trainer.fast_dev_run", "true", "--data.batch_size", "1",
        "--data.workers", "0", "--trainer.precision", "32-true", "--model.compile", "false",
        config=path.stem,
    )  # fmt: skip


@pytest.mark.slow
def test_a_bad_song_is_named_and_left_out_or_stops_the_run(tmp_path):
    bad, *_ = recordings.songs(tmp_path / "songs")
    bad.stems["vocals"][0].path.write_bytes(b"no audio at all")
    plan = ("--trainer.max_steps", "1", "--data.workers", "0")
    with pytest.raises(DataError, match=f"made up/{bad.name}"):
        fit(tmp_path, tmp_path, *plan, "--data.on_bad", "stop")
    with pytest.warns(UserWarning, match=f"left out: made up/{bad.name}"):
        fit(tmp_path, tmp_path, *plan)
    assert state(tmp_path)["global_step"] == 1


@pytest.mark.slow
def test_a_run_that_gets_no_better_stops_early(music, tmp_path):
    fit(
        music, tmp_path, "--early_stopping.patience", "1", "--early_stopping.min_delta", "1000",
        "--trainer.val_check_interval", "2",
    )  # fmt: skip
    assert state(tmp_path, "best")["global_step"] == 2
    assert len(logged(tmp_path)["valid/usdr"]) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.magic", "1"),
        ("model.model.bands", "[[1000, 1]]"),
        ("model.augment.reverb.share", "2"),
        ("data.batch_size", "0"),
        ("last.every_steps", "0"),
        ("trainer.max_steps", "-1"),
        ("average.decay", "1.5"),
        ("trainer.devices", "0"),
    ],
)
def test_unknown_keys_and_impossible_values_are_refused_by_name(tmp_path, capsys, key, value):
    with pytest.raises((SystemExit, ConfigError)) as caught:
        fit(tmp_path, tmp_path, f"--{key}", value)
    said = capsys.readouterr().err + str(caught.value)
    assert len(said.splitlines()) < 20
    assert key.rpartition(".")[2] in said or key.rpartition(".")[2].replace("_", " ") in said
    assert not (tmp_path / "cache").exists()
