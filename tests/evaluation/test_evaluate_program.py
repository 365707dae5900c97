from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation import SeparationModel
from songsplit.models.storage import save_weights
from tests.conftest import heed_interrupts

from .conftest import song as made_song
from .conftest import write_stems

ROOT = Path(__file__).parents[2]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The program, run in an empty folder."""
    spec = importlib.util.spec_from_file_location("evaluate", ROOT / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Saves a small untrained network, gives its path and digest."""

    def save(*targets: str) -> tuple[str, str]:
        torch.manual_seed(0)
        config = MaskUNetConfig(
            targets, n_fft=512, hop_length=128, bands=((256, 1),), subbands=1, widths=(4, 4)
        )
        path = tmp_path / "small.safetensors"
        return str(path), save_weights(SeparationModel(config), {}, path)

    return save


@pytest.fixture
def model(save_model) -> str:
    return save_model("vocals", "instrumental")[0]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Songs A and B of 1.2 s with four stems, and C with two."""
    for index, name in enumerate("ABC"):
        stems = made_song(index, 1.2)
        if name == "C":
            stems = {"vocals": stems["vocals"], "instrumental": stems["drums"]}
        write_stems(tmp_path / "own songs" / name, stems)
    return tmp_path / "own songs"


@pytest.fixture
def estimates(tmp_path: Path) -> Path:
    """Stems of another system for the songs of `own`."""
    for index, name in enumerate("ABC"):
        stems = made_song(index, 1.2)
        parts = {"vocals": 0.9 * stems["vocals"], "no_vocals": 0.8 * stems["drums"]}
        write_stems(tmp_path / "peer" / name, parts)
    return tmp_path / "peer"


def test_from_songs_to_table_and_files(
    program, hq_root: Path, tmp_path: Path, save_model, fake_scorer, capsys
):
    path, digest = save_model("vocals", "instrumental")
    assert program.main(["--musdb", str(hq_root), "--model", path, "--no-report"]) == 0
    output = tmp_path / "runs" / "evaluation" / "small-musdb18hq-test"
    summary = json.loads((output / "summary.json").read_text())
    assert list(summary["systems"]) == [
        *("small", "mixture", "ideal ratio mask", "multichannel Wiener filter")
    ]
    sdr = {
        system: content["overall"]["vocals"]["SDR"]["median"]
        for system, content in summary["systems"].items()
    }
    assert sdr["mixture"] < sdr["ideal ratio mask"]
    assert summary["systems"]["small"]["overall"]["vocals"]["SDR"]["songs"] == 2
    assert summary["model"] == {"name": "small", "sha256": digest, "quality": "balanced"}
    assert summary["data"] == {
        "name": "MUSDB18-HQ",
        "subset": "test",
        "split": None,
        "songs": 2,
    }
    assert summary["settings"]["backend"] == "songsplit"
    song = summary["songs"]["Band - Song's End"]
    assert (song["seconds"], len(song["reference_digest"])) == (3, 64)
    assert len(list((output / "small" / "test").glob("*.json"))) == 2
    yardsticks = tmp_path / "runs" / "evaluation" / "yardsticks" / "musdb18hq"
    assert len(list(yardsticks.glob("*/test/*.json"))) == 8
    with (output / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4

    printed = capsys.readouterr().out
    for text in ("small on MUSDB18-HQ test", "Band - Song's End", "mixture", f"{sdr['small']:.2f}"):
        assert text in printed


def test_folders_are_as_chosen(program, own: Path, tmp_path: Path, model: str, fake_scorer):
    chosen, shared = tmp_path / "my scores", tmp_path / "shared"
    arguments = ["--references", str(own), "--model", model, "--no-report"]
    assert program.main([*arguments, "--output", str(chosen), "--yardsticks", str(shared)]) == 0
    assert (chosen / "summary.json").is_file()
    assert (shared / "mixture" / "test" / "A.json").is_file()
    assert not (tmp_path / "runs").exists()
    assert program.main([*arguments, "--output", str(chosen)]) == 0
    (beside,) = tmp_path.glob("yardsticks-own songs-??????")
    assert (beside / "mixture" / "test" / "A.json").is_file()


def test_data_sets_have_folders_of_their_own(
    program, own: Path, estimates: Path, tmp_path: Path, fake_scorer
):
    for place in ("one", "two"):
        shutil.copytree(own, tmp_path / place / "songs")
        arguments = ["--references", f"{place}/songs", "--estimates", str(estimates)]
        for _ in range(2):
            assert program.main([*arguments, "--no-report"]) == 0
    folder = tmp_path / "runs" / "evaluation"
    summaries = sorted(file.parent.name for file in folder.glob("peer-songs-??????/summary.json"))
    assert len(summaries) == 2
    yardsticks = sorted(file.name for file in (folder / "yardsticks").iterdir())
    assert [f"peer-{name}" for name in yardsticks] == summaries


def test_long_name_of_a_folder_of_songs(
    program, own: Path, estimates: Path, tmp_path: Path, fake_scorer
):
    own.rename(tmp_path / ("é" * 120))
    arguments = ["--references", "é" * 120, "--estimates", str(estimates), "--no-report"]
    assert program.main(arguments) == 0


@pytest.mark.parametrize("option", ["--output", "--yardsticks"])
@pytest.mark.parametrize("below", ["", "/folder"])
def test_file_in_place_of_a_folder_is_refused_before_anything_is_done(
    program, own: Path, estimates: Path, tmp_path: Path, fake_scorer, capsys, option, below
):
    (tmp_path / "notes").write_text("mine")
    arguments = ["--references", str(own), "--estimates", str(estimates), option, f"notes{below}"]
    assert program.main(arguments) == 1
    assert "name a folder that scores can go to" in capsys.readouterr().err
    assert (tmp_path / "notes").read_text() == "mine"
    assert fake_scorer == []


def test_model_of_four_stems_on_own_songs(
    program, own: Path, tmp_path: Path, save_model, fake_scorer
):
    path, _ = save_model("drums", "bass", "other", "vocals")
    assert program.main(["--references", str(own), "--model", path, "--no-report"]) == 0
    (file,) = tmp_path.glob("runs/evaluation/small-own songs-??????/summary.json")
    summary = json.loads(file.read_text())
    assert summary["data"] == {"name": "own songs", "songs": 3}
    for system in ("small", "multichannel Wiener filter"):
        songs = summary["systems"][system]["songs"]
        assert len(songs["A"]) == 5
        assert set(songs["C"]) == {"vocals", "accompaniment"}


def test_stems_of_another_system_and_comparison(
    program, own: Path, estimates: Path, tmp_path: Path, model: str, fake_scorer, capsys
):
    arguments = ["--references", str(own), "--no-report"]
    assert program.main([*arguments, "--model", model]) == 0
    assert program.main([*arguments, "--estimates", str(estimates)]) == 0
    first, second = (
        next(tmp_path.glob(f"runs/evaluation/{name}-own songs-*/summary.json"))
        for name in ("small", "peer")
    )
    assert json.loads(second.read_text())["estimates"] == {"name": "peer"}
    output = tmp_path / "difference.json"
    capsys.readouterr()
    arguments = ["--compare", str(first), str(second), "--output", str(output)]
    assert program.main(arguments) == 0
    assert "peer" in capsys.readouterr().out
    assert json.loads(output.read_text())["songs"] == ["A", "B", "C"]


def test_song_without_estimates_is_marked_and_the_others_are_scored(
    program, own: Path, estimates: Path, tmp_path: Path, fake_scorer, capsys
):
    (estimates / "B").rename(tmp_path / "elsewhere")
    (own / "notes.wav").touch()
    arguments = ["--references", str(own), "--estimates", str(estimates), "--no-report"]
    assert program.main(arguments) == 1
    captured = capsys.readouterr()
    assert "no folder called 'B'" in captured.out
    assert "1 of 3 songs could not be scored" in captured.err
    assert f"warning: {own / 'notes.wav'}" in captured.err.replace("\n", "")
    (file,) = tmp_path.glob("runs/evaluation/peer-own songs-*/summary.json")
    summary = json.loads(file.read_text())
    assert summary["systems"]["peer"]["overall"]["vocals"]["SDR"]["songs"] == 2
    # What was wrong is mended, and the same command goes on.
    (tmp_path / "elsewhere").rename(estimates / "B")
    assert program.main(arguments) == 0


def test_report_has_the_best_and_the_worst_song(
    program, own: Path, estimates: Path, tmp_path: Path, fake_scorer, monkeypatch, capsys
):
    pytest.importorskip("matplotlib")
    given = []

    def write_report(folder, results, summary, examples):
        given.extend([list(results), summary["systems"].keys(), examples])
        return folder / "report.html"

    monkeypatch.setattr("songsplit.evaluation.html.write_report", write_report)
    write_stems(estimates / "B", {"vocals": 0.1 * made_song(1, 1.2)["vocals"]})
    write_stems(estimates / "C", {"vocals": 0.99 * made_song(2, 1.2)["vocals"]})
    arguments = ["--references", str(own), "--estimates", str(estimates), "--output", "out"]
    assert program.main(arguments) == 0
    results, systems, examples = given
    assert results[0] == "peer"
    assert list(systems) == results
    assert [(example.song, example.target) for example in examples] == [
        *(("C", "vocals"), ("B", "vocals"))
    ]
    best = examples[0]
    np.testing.assert_allclose(best.estimate, 0.99 * best.reference, atol=1e-6)
    assert "report.html" in capsys.readouterr().out


def test_no_report_is_left_of_an_earlier_run(
    program, own: Path, estimates: Path, tmp_path: Path, fake_scorer
):
    (tmp_path / "out" / "figures").mkdir(parents=True)
    for name in ("report.html", "figures/sdr-by-song-1.png", "figures/mine.png"):
        (tmp_path / "out" / name).touch()
    arguments = ["--references", str(own), "--estimates", str(estimates), "--output", "out"]
    assert program.main([*arguments, "--no-report"]) == 0
    assert not (tmp_path / "out" / "report.html").exists()
    assert [file.name for file in (tmp_path / "out" / "figures").iterdir()] == ["mine.png"]


@pytest.mark.slow
def test_report_is_written(program, own: Path, estimates: Path, tmp_path: Path, fake_scorer):
    pytest.importorskip("matplotlib")
    arguments = ["--references", str(own), "--estimates", str(estimates), "--output", "out"]
    assert program.main(arguments) == 0
    assert "peer" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_without_matplotlib_there_is_no_report_and_no_error(
    program, own: Path, estimates: Path, tmp_path: Path, fake_scorer, monkeypatch, capsys
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    arguments = ["--references", str(own), "--estimates", str(estimates), "--output", "out"]
    assert program.main(arguments) == 0
    assert "'songsplit[eval]'" in capsys.readouterr().out
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--musdb", "no [where]"], "no [where]"),
        (["--references", "no [where]"], "no [where]"),
        (["--compare", "no [where]", "b.json"], "no [where]"),
        (["--references", "own songs", "--estimates", "no [where]"], "no [where]"),
        (["--references", "own songs", "--model", "nonsense"], "unknown model 'nonsense'"),
        (["--references", "own songs", "--device", "abacus"], "device 'abacus'"),
    ],
)
def test_errors_are_one_line_and_a_status(program, own: Path, capsys, arguments, message: str):
    assert program.main(arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("evaluate.py: ")
    assert message in lines[0]


@pytest.mark.parametrize("targets", [("drums", "bass"), ("drums", "instrumental")])
def test_model_without_vocals_is_refused(program, own: Path, save_model, capsys, targets):
    path, _ = save_model(*targets)
    assert program.main(["--references", str(own), "--model", path]) == 1
    assert ", ".join(targets) in capsys.readouterr().err


def test_interruption_has_a_status_of_its_own(
    program, own: Path, estimates: Path, monkeypatch, capsys
):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("songsplit.evaluation.runner.evaluate_songs", interrupted)
    assert program.main(["--references", str(own), "--estimates", str(estimates)]) == 130
    assert "goes on from here" in capsys.readouterr().err


def test_termination_has_a_status_of_its_own(
    program, own: Path, estimates: Path, monkeypatch, capsys
):
    def terminated(*args, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        raise AssertionError("went on")

    monkeypatch.setattr("songsplit.evaluation.runner.evaluate_songs", terminated)
    before = signal.getsignal(signal.SIGTERM)
    assert program.main(["--references", str(own), "--estimates", str(estimates)]) == 143
    assert "terminated; the same command goes on" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_worker_processes_end_with_the_program(
    own: Path, estimates: Path, tmp_path: Path, number: signal.Signals, status: int
):
    command = [sys.executable, str(ROOT / "evaluate.py"), "--references", str(own)]
    run = subprocess.Popen(
        [*command, "--estimates", str(estimates), "--jobs", "2", "--no-report"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=heed_interrupts,
    )

    def children() -> list[str]:
        return Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()

    def runs(process: str) -> bool:
        command = Path("/proc", process, "cmdline")
        # It is empty for a process that has ended and that nobody has asked about yet.
        return command.exists() and bool(command.read_bytes())

    # One of them looks after resources, the others are still importing.
    while len(started := children()) < 3:
        assert run.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)
    if number == signal.SIGINT:
        # From the keyboard it goes to all of them, in any order.
        for child in started:
            os.kill(int(child), number)
        time.sleep(0.3)
    os.kill(run.pid, number)
    # Standard error ends when all that could write to it have ended.
    _, errors = run.communicate(timeout=60)
    assert run.returncode == status
    assert "Traceback" not in errors
    assert not any(map(runs, started))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--references", ".", "--jobs", "0"], "--jobs"),
        (["--references", ".", "--jobs", "two"], "--jobs"),
        ([], "--musdb"),
        (["--references", ".", "--musdb", "."], "not allowed with"),
        (["--references", ".", "--subset", "train"], "go with --musdb"),
        (["--musdb", ".", "--split", "valid"], "add --subset train"),
        (["--musdb", ".", "--model", "m", "--estimates", "."], "not allowed with"),
        (["--musdb", ".", "--estimates", ".", "--device", "cpu"], "--device goes with --model"),
        (["--musdb", ".", "--estimates", ".", "--quality", "best"], "--quality goes with --model"),
        (["--compare", "a", "b", "--jobs", "2"], "--jobs does not go with --compare"),
        (["--compare", "a", "b", "--no-report"], "--no-report does not go"),
    ],
)
def test_options_that_make_no_sense_are_refused(program, capsys, arguments, message: str):
    with pytest.raises(SystemExit) as caught:
        program.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_help_is_quick():
    code = (
        "import runpy, sys; sys.argv = ['evaluate.py', '--help']\n"
        "try: runpy.run_path('evaluate.py', run_name='__main__')\n"
        "except SystemExit: print(sorted({'torch', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--references" in run.stdout
    assert run.stdout.splitlines()[-1] == "[]"


def test_names_that_the_terminal_cannot_show(
    program, own: Path, estimates: Path, fake_scorer, monkeypatch
):
    for folder in (own, estimates):
        (folder / "A").rename(folder / "Ébb")
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    arguments = ["--references", str(own), "--estimates", str(estimates), "--no-report"]
    assert program.main(arguments) == 0
    output.seek(0)
    assert r"\xc9bb" in output.read()


@pytest.mark.data
@pytest.mark.slow
def test_real_song(program, musdb_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # One song of the validation split; the test subset is not for tests.
    from songsplit.evaluation import songs

    all_songs = songs.musdb_songs
    monkeypatch.setattr(songs, "musdb_songs", lambda *chosen: all_songs(*chosen)[:1])
    arguments = ["--musdb", str(musdb_root), "--no-report", "--device", "cpu"]
    assert program.main([*arguments, "--subset", "train", "--split", "valid"]) == 0
    path = tmp_path / "runs" / "evaluation" / "default-musdb18-train-valid" / "summary.json"
    systems = json.loads(path.read_text())["systems"]
    sdr = {name: systems[name]["overall"]["vocals"]["SDR"]["median"] for name in systems}
    assert sdr["mixture"] < sdr["default"] < sdr["ideal ratio mask"]
    # In a song nobody's voice is as loud as all the rest, and masks end at some 15 dB.
    assert -15 < sdr["mixture"] < 3
    assert 5 < sdr["ideal ratio mask"] < 20
