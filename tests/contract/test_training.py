"""train.py and evaluate.py: resumed runs, exported weights, scores of a folder of songs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.contract.material import ROOT, command, estimated, music, song_stems

pytest.importorskip("pytorch_lightning", reason="needs the train extra")


def fit(folder, cache, steps, *more, code=0):
    done = command(
        *("fit", "--config", ROOT / "configs" / "smoke.yaml"),
        *("--data.sources.examples.path", ROOT / "examples" / "stems"),
        *("--data.cache", cache, "--data.chunk_samples", 30720),
        *("--trainer.default_root_dir", folder, "--trainer.accelerator", "cpu"),
        *("--trainer.max_steps", steps, "--trainer.val_check_interval", 3),
        *("--model.decay_share", 0, "--trainer.enable_progress_bar", "false"),
        *more,
        program="train.py",
    )
    assert done.code == code, done
    return done


def tensors(folder, name="last"):
    import torch

    saved = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return saved["state_dict"] | {"step": torch.tensor(saved["global_step"])}


@pytest.mark.slow
def test_a_resumed_training_ends_with_the_same_weights_which_separate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "cache"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(whole, cache, 6)
    fit(parts, cache, 3)
    assert "ckpt_path" in (refused := fit(parts, cache, 6, code=1)).err, refused
    fit(parts, cache, 6, "--ckpt_path", "last")
    expected, found = tensors(whole), tensors(parts)
    assert expected.keys() == found.keys()
    assert found["step"] == 6
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)

    done = command("export", parts / "checkpoints" / "best.ckpt", "mine.safetensors")
    assert done.code == 0, done
    soundfile.write("song.wav", music(0.5).T, 44100)
    done = command("song.wav", "--model", "mine.safetensors", "-d", "cpu")
    assert done.code == 0, done
    assert Path("song/vocals.wav").is_file()


def write(folder, stems):
    folder.mkdir(parents=True)
    for name, samples in stems.items():
        soundfile.write(folder / f"{name}.wav", samples.T, 44100, subtype="FLOAT")


@pytest.mark.slow
def test_stems_of_another_system_are_scored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = json.loads((Path(__file__).parent / "reference.json").read_text("utf-8"))["scores"]
    for number, name in enumerate(("One", "Two", "Three")):
        stems = song_stems(number)
        write(tmp_path / "songs" / name, stems)
        write(tmp_path / "peer" / name, estimated(stems))
    score = ("--references", "songs", "--estimates", "peer", "--output", "out")
    done = command(*score, program="evaluate.py")
    assert done.code == 0, done
    sdr = np.median([np.median(song["vocals"]["SDR"]) for song in kept])
    assert "peer" in done.out
    assert f"{sdr:.2f}" in done.out
    assert list((tmp_path / "out").rglob("*.html"))
    again = command(*score, program="evaluate.py")
    assert again.code == 0, again
    assert f"{sdr:.2f}" in again.out

    shutil.move("peer/Two", "elsewhere")
    missing = command(*score[:-1], "partly", program="evaluate.py")
    assert missing.code == 1
    assert "Two" in missing.out + missing.err

    second = command("--references", "songs", "--output", "ours", program="evaluate.py")
    assert second.code == 0, second
    compared = command("--compare", "out", "ours", program="evaluate.py")
    assert compared.code == 0, compared
    assert "peer" in compared.out
    wrong = command("--references", "songs", "--model", "nonsense", program="evaluate.py")
    assert wrong.code == 1
    assert "nonsense" in wrong.err
