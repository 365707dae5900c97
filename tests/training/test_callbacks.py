"""Averages, checkpoints and excerpts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("pytorch_lightning", reason="needs the train extra")

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from songsplit.errors import OutputError
from songsplit.training.callbacks import AtomicCheckpoints, MovingAverage, Snippets
from tests.models.tiny import tiny_model


class Small(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.normalize = torch.nn.BatchNorm1d(1)


def test_the_moving_average_forgets_its_random_start():
    module, trainer = Small(), SimpleNamespace(global_step=0)
    average = MovingAverage(decay=0.998)
    average.setup(trainer, module, "fit")
    average.on_train_start(trainer, module)

    def step() -> None:
        trainer.global_step += 1
        module.normalize.num_batches_tracked += 1
        average.on_train_batch_end(trainer, module, None, None, 0)

    step()
    module.normalize.running_var.fill_(100.0)
    module.normalize.weight.data.fill_(5.0)
    for _ in range(200):
        step()
    averaged = average._average_model.module.normalize
    assert averaged.running_var.item() == pytest.approx(100, rel=1e-3)
    assert averaged.weight.item() == pytest.approx(5, rel=1e-3)
    assert averaged.num_batches_tracked == 201
    module.normalize.weight.data.fill_(6.0)
    step()
    assert 5 < averaged.weight.item() < 5.1
    assert average._average_model.n_averaged == 202


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"old")
    for error in (OSError(28, "No space left on device"), RuntimeError("enforce fail")):

        def full(*_, error=error):
            raise error

        monkeypatch.setattr("torch.save", full)
        with pytest.raises(OutputError, match=r"last\.ckpt: cannot be written"):
            AtomicCheckpoints().save_checkpoint({}, path)
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_excerpts_are_heard_at_each_validation_and_references_once(tmp_path):
    heard = []
    model = tiny_model()
    logger = TensorBoardLogger(tmp_path)
    logger.experiment.add_audio = lambda tag, sound, step, sample_rate: heard.append((tag, sound))
    module = SimpleNamespace(model=model, device=torch.device("cpu"))
    trainer = SimpleNamespace(
        loggers=[logger], is_global_zero=True, global_step=1,
        precision_plugin=pl.plugins.Precision(),
    )  # fmt: skip
    seconds = 44100 * 8
    stems = np.random.default_rng(0).normal(size=(2, 2, seconds + 5000)).astype(np.float32) / 9
    stems[0, :, :4000] = 0
    callback = Snippets(count=1)
    for index in (0, 1, 0):
        clip = {"name": "set/song", "stems": stems}
        callback.on_validation_batch_start(trainer, module, clip, index)
    names = [tag.rpartition("/")[2] for tag, _ in heard]
    estimates = ["vocals_estimate", "instrumental_estimate"]
    references = ["vocals_reference", "instrumental_reference", "mixture"]
    assert names == [*estimates, *references, *estimates]
    sounds = dict(zip(names, (sound for _, sound in heard), strict=True))
    assert all(sound.shape == (seconds,) and sound.abs().max() <= 1 for sound in sounds.values())
    assert sounds["vocals_reference"].abs().min() > 0  # where the singer is loudest
    torch.testing.assert_close(sounds[estimates[0]] + sounds[estimates[1]], sounds["mixture"])
    assert {tag.rpartition("/")[0] for tag, _ in heard} == {"snippets/set-song"}
