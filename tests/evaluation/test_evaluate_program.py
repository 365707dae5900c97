from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from songsplit.errors import ModelError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation import SeparationModel
from songsplit.models.storage import save_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture
def unchanged_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The program, run in an empty folder."""
    spec = importlib.util.spec_from_file_location("evaluate", ROOT / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def program(unchanged_program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a separator that takes a share of the mixture for the vocals."""
    stored = SimpleNamespace(digest="0f" * 32)
    monkeypatch.setattr(unchanged_program, "load_model", lambda model: stored)
    monkeypatch.setattr(unchanged_program, "load_separator", load_share)
    return unchanged_program


def load_share(model: str) -> Callable[[np.ndarray, int], dict[str, np.ndarray]]:
    def separate(mixture: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
        vocals = np.float32(0.3) * mixture
        return {"vocals": vocals, "instrumental": mixture - vocals}

    return separate


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "share.safetensors"
    path.write_bytes(b"weights")
    return str(path)


@pytest.mark.ffmpeg
def test_from_songs_to_table_and_files(
    program: ModuleType,
    hq_root: Path,
    tmp_path: Path,
    model: str,
    capsys: pytest.CaptureFixture[str],
):
    assert program.main(["--musdb", str(hq_root), "--model", model]) == 0
    output = tmp_path / "runs" / "evaluation" / "share-test"
    summary = json.loads((output / "summary.json").read_text())
    overall = {system: summary["systems"][system]["overall"] for system in summary["systems"]}
    sdr = {system: overall[system]["vocals"]["SDR"]["median"] for system in overall}
    assert list(sdr) == ["model", "mixture", "ideal ratio mask"]
    assert sdr["mixture"] < sdr["model"] < sdr["ideal ratio mask"]
    assert overall["model"]["vocals"]["SDR"]["songs"] == 2
    assert summary["model"] == {"name": model, "sha256": "0f" * 32}
    assert summary["data"] == {"subset": "test", "split": None, "songs": 2}
    assert len(list(output.glob("*/test/*.json"))) == 6

    printed = capsys.readouterr().out
    for text in (
        "Band - Song's End",
        "median over 2 songs",
        "mean over 2 songs",
        "mixture",
        f"{sdr['model']:.2f}",
    ):
        assert text in printed


@pytest.mark.ffmpeg
def test_output_folder_is_as_chosen(program: ModuleType, hq_root: Path, tmp_path: Path, model: str):
    chosen = tmp_path / "my scores"
    arguments = ["--musdb", str(hq_root), "--model", model, "--output", str(chosen)]
    assert program.main(arguments) == 0
    assert (chosen / "summary.json").is_file()
    assert not (tmp_path / "runs").exists()


@pytest.mark.ffmpeg
def test_network_from_a_file(
    unchanged_program: ModuleType,
    hq_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("songsplit.models.registry.list_models", list)
    config = MaskUNetConfig(n_fft=512, hop_length=128, bins=256, subbands=1, widths=(4, 4))
    path = tmp_path / "small.safetensors"
    digest = save_weights(SeparationModel(config), {}, path)
    (hq_root / "test" / "Band - Song's End").rename(tmp_path / "not now")
    assert unchanged_program.main(["--musdb", str(hq_root), "--model", str(path)]) == 0
    summary = tmp_path / "runs" / "evaluation" / "small-test" / "summary.json"
    content = json.loads(summary.read_text())
    assert content["model"] == {"name": str(path), "sha256": digest}
    # Untrained, but its stems add up to the mixture: the errors of both are the same.
    overall = content["systems"]["model"]["overall"]
    energies = {target: overall[target]["SDR"]["median"] for target in overall}
    floor = content["systems"]["mixture"]["overall"]
    assert energies["accompaniment"] - energies["vocals"] == pytest.approx(
        floor["accompaniment"]["SDR"]["median"], abs=0.1
    )


def test_missing_songs_are_one_line_and_a_status(
    program: ModuleType, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
):
    assert program.main(["--musdb", str(tmp_path / "no [where]"), "--model", model]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("evaluate.py: ")
    assert "no [where]" in lines[0]


@pytest.mark.ffmpeg
def test_model_that_does_not_load_is_one_line(
    program: ModuleType,
    hq_root: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def load(name: str) -> None:
        raise ModelError(f"{name}: damaged: download it again")

    monkeypatch.setattr(program, "load_separator", load)
    assert program.main(["--musdb", str(hq_root), "--model", model]) == 1
    error = capsys.readouterr().err
    assert "damaged: download it again" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_impossible_jobs_are_refused(
    program: ModuleType, jobs: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as caught:
        program.main(["--musdb", ".", "--model", "m", "--jobs", jobs])
    assert caught.value.code == 2
    assert "--jobs" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.ffmpeg
def test_real_song(
    program: ModuleType,
    musdb_root: Path,
    tmp_path: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
):
    # One song of the validation split; the test subset is not for tests.
    all_tracks = program.musdb_tracks
    monkeypatch.setattr(program, "musdb_tracks", lambda *chosen: all_tracks(*chosen)[:1])
    arguments = ["--musdb", str(musdb_root), "--model", model]
    assert program.main([*arguments, "--subset", "train", "--split", "valid"]) == 0
    path = tmp_path / "runs" / "evaluation" / "share-train-valid" / "summary.json"
    systems = json.loads(path.read_text())["systems"]
    sdr = {name: systems[name]["overall"]["vocals"]["SDR"]["median"] for name in systems}
    assert sdr["mixture"] < sdr["model"] < sdr["ideal ratio mask"]
    # In a song nobody's voice is as loud as all the rest, and masks end at some 15 dB.
    assert -15 < sdr["mixture"] < 3
    assert 5 < sdr["ideal ratio mask"] < 20
