"""Speed, gradients and learning rate in the logs."""

from __future__ import annotations

import csv

import pytest
import torch

pytest.importorskip("pytorch_lightning", reason="needs the train extra")

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins.precision import MixedPrecision

from songsplit.errors import ConfigError
from songsplit.training import throughput
from songsplit.training.throughput import Throughput
from tests.training.tiny import TinyData, TinyTraining, fit

NAMES = (
    "train/audio_seconds_per_second",
    "train/data_wait_share",
    "train/gradient_norm",
    "train/learning_rate",
)


class Recording(TinyTraining):
    """Keeps the norm of the gradients as backward left them."""

    def __init__(self) -> None:
        super().__init__()
        self.norms: dict[int, float] = {}

    def on_after_backward(self) -> None:
        gradients = [p.grad.flatten() for p in self.parameters() if p.grad is not None]
        self.norms[self.trainer.global_step] = float(torch.cat(gradients).norm())


class Clock:
    """Time that only passes where a test says so."""

    def __init__(self, monkeypatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(throughput, "monotonic", lambda: self.now)


class TimedData(TinyData):
    """Every batch takes a second to load."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def train_dataloader(self):
        clock = self.clock

        class Slow(torch.utils.data.IterableDataset):
            def __iter__(self):
                while True:
                    clock.now += 0.5  # half a batch
                    yield torch.ones(2, 2, 2000)

        return torch.utils.data.DataLoader(Slow(), batch_size=2)


class TimedTraining(TinyTraining):
    """A step takes 3 seconds, but the first 500; a validation 100 and a checkpoint 50."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def training_step(self, stems, batch_idx):
        self.clock.now += 3.0 if batch_idx else 500.0
        return super().training_step(stems)

    def on_validation_epoch_end(self):
        self.clock.now += 100.0

    def on_save_checkpoint(self, checkpoint):
        self.clock.now += 50.0


def logged(folder):
    """Rows of the CSV file, as dicts of the values that are there."""
    (path,) = folder.rglob("metrics.csv")
    with path.open() as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def test_values_are_logged_in_the_row_of_the_loss(tmp_path):
    fit(Throughput(), steps=7, logger=CSVLogger(tmp_path), log_every_n_steps=3)
    rows = [row for row in logged(tmp_path) if "train/loss" in row]
    assert [row["step"] for row in rows] == [2, 5]
    for row in rows:
        assert set(NAMES) <= set(row)
        assert row["train/audio_seconds_per_second"] > 0
        assert 0 <= row["train/data_wait_share"] <= 1
        assert row["train/learning_rate"] == pytest.approx(0.5 * 0.1 ** row["step"])
    assert len([row for row in logged(tmp_path) if "train/gradient_norm" in row]) == 2


def test_the_first_step_has_no_speed_yet(tmp_path):
    fit(Throughput(), steps=2, logger=CSVLogger(tmp_path), log_every_n_steps=1)
    first, second = [row for row in logged(tmp_path) if "train/loss" in row]
    assert "train/audio_seconds_per_second" not in first
    assert "train/gradient_norm" in first
    assert "train/audio_seconds_per_second" in second


def test_gradient_norm_is_taken_before_clipping(tmp_path):
    module = Recording()
    settings = {"gradient_clip_val": 1e-4, "log_every_n_steps": 2}
    fit(Throughput(), steps=4, module=module, logger=CSVLogger(tmp_path), **settings)
    norms = {int(r["step"]): r["train/gradient_norm"] for r in logged(tmp_path) if NAMES[2] in r}
    assert norms == pytest.approx({step: module.norms[step] for step in (1, 3)}, rel=1e-4)
    assert min(norms.values()) > 1e-3


def test_gradient_norm_is_that_of_unscaled_gradients(tmp_path):
    norms = {}
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for name, plugins in (("16", MixedPrecision("16-mixed", "cpu", scaler)), ("32", None)):
        folder = tmp_path / name
        fit(
            Throughput(), steps=1, logger=CSVLogger(folder), log_every_n_steps=1, plugins=plugins
        )  # fmt: skip
        (norms[name],) = [r[NAMES[2]] for r in logged(folder) if NAMES[2] in r]
    assert norms["16"] == pytest.approx(norms["32"], rel=0.1)


def test_speed_counts_neither_warm_up_nor_validation_nor_checkpoints(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    trainer = fit(
        Throughput(),
        ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=3),
        steps=8,
        module=TimedTraining(clock),
        data=TimedData(clock),
        enable_checkpointing=True,
        log_every_n_steps=8,
    )
    # A batch is half a second of audio. Waits after steps 2, 3, 4 and 6 do not count, so
    # of steps 2 to 8 all seven took 3 seconds, three of them after a wait of one.
    metrics = trainer.callback_metrics
    assert metrics["train/audio_seconds_per_second"] == pytest.approx(7 * 0.5 / (7 * 3 + 3))
    assert metrics["train/data_wait_share"] == pytest.approx(3 / (7 * 3 + 3))


def test_accumulated_batches_all_count(monkeypatch):
    clock = Clock(monkeypatch)
    trainer = fit(
        Throughput(),
        steps=2,
        module=TimedTraining(clock),
        data=TimedData(clock),
        accumulate_grad_batches=2,
        val_check_interval=100,
        log_every_n_steps=1,
    )
    assert trainer.callback_metrics["train/audio_seconds_per_second"] == pytest.approx(0.5 / 4)
    assert trainer.callback_metrics["train/data_wait_share"] == pytest.approx(1 / 4)


def test_every_value_is_that_of_the_steps_since_the_last_one(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)

    class Slowing(TimedTraining):
        def training_step(self, stems, batch_idx):
            self.clock.now += 4.0 if batch_idx >= 4 else 0.0
            return super().training_step(stems, batch_idx)

    fit(
        Throughput(),
        steps=6,
        module=Slowing(clock),
        data=TimedData(clock),
        logger=CSVLogger(tmp_path),
        val_check_interval=100,
        log_every_n_steps=2,
    )
    speeds = [row[NAMES[0]] for row in logged(tmp_path) if NAMES[0] in row]
    assert speeds == pytest.approx([0.5 / 4, 0.5 / 4, 0.5 / 8])


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.parametrize("saved_after", ["train batch", "validation"])
def test_a_resumed_run_logs_in_the_same_steps(saved_after, tmp_path):
    every = {"every_n_train_steps": 3} if saved_after == "train batch" else {"monitor": None}
    checkpoint = ModelCheckpoint(dirpath=tmp_path / "checkpoints", **every)
    settings = {"val_check_interval": 3, "log_every_n_steps": 2}
    fit(Throughput(), checkpoint, steps=3, enable_checkpointing=True, **settings)
    module = Recording()
    fit(
        Throughput(),
        steps=8,
        module=module,
        logger=CSVLogger(tmp_path),
        ckpt_path=checkpoint.best_model_path,
        **settings,
    )
    norms = {int(r["step"]): r["train/gradient_norm"] for r in logged(tmp_path) if NAMES[2] in r}
    assert norms == pytest.approx({step: module.norms[step] for step in (3, 5, 7)}, rel=1e-4)


def test_an_unknown_amount_of_audio_is_refused():
    class Data(TinyData):
        chunk_samples = property(lambda self: self.nothing)

    with pytest.raises(ConfigError, match="Throughput needs batch_size and chunk_samples"):
        fit(Throughput(), data=Data())


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`")
def test_other_models_are_refused():
    class Bare(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch):
            return self.layer(torch.ones(1)).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters())

    with pytest.raises(ConfigError, match="sample rate of the model"):
        fit(Throughput(), module=Bare(), val_check_interval=None)
