"""The program evaluate.py from its arguments to the files that it writes."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from songsplit.evaluation import program
from songsplit.evaluation.program import load_scores, main, store_scores
from songsplit.models.weights import save_weights
from tests.models.tiny import tiny_model

from .conftest import scores_of, write_stems
from .conftest import song as made_song

YARDSTICKS = ("mixture", "ideal ratio mask", "multichannel Wiener filter")


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Save a small untrained network; return its path and digest."""

    def save(*targets: str) -> tuple[str, str]:
        path = tmp_path / "small.safetensors"
        return str(path), save_weights(tiny_model(targets=targets), {}, path)

    return save


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


SCORE = ["--references", "own songs", "--estimates", "peer", "--output", "out", "--no-report"]


def summary(folder: str | Path = "out") -> dict:
    return json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))


def test_from_songs_to_table_and_files(hq_root: Path, save_model, quick_scorer, capsys):
    path, digest = save_model("vocals", "instrumental")
    assert main(["--musdb", str(hq_root), "--model", path, "--no-report"]) == 0
    output = Path("runs/evaluation/small-musdb18hq-test")
    found = summary(output)
    assert tuple(found["systems"]) == ("small", *YARDSTICKS)
    sdr = {name: s["overall"]["vocals"]["SDR"]["median"] for name, s in found["systems"].items()}
    assert sdr["mixture"] < sdr["ideal ratio mask"]
    assert found["model"] == {"name": "small", "sha256": digest, "quality": "balanced"}
    chosen = {"name": "MUSDB18-HQ", "subset": "test", "split": None, "songs": 2}
    assert found["data"] == chosen
    stored = json.loads((output / "small/test/Band - Song's End.json").read_text("utf-8"))
    assert stored["settings"]["model_sha256"] == digest
    assert "songsplit" in stored["settings"]
    assert len(stored["settings"]["reference_sha256"]) == 64
    yardsticks = Path("runs/evaluation/yardsticks-musdb18hq-test")
    assert len(list(yardsticks.glob("*/test/*.json"))) == 6
    with (output / "scores.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2 * 2 * 4
    assert f"{sdr['small']:.2f}" in capsys.readouterr().out


def test_model_of_four_stems_on_own_songs(own: Path, save_model, quick_scorer, capsys):
    path, _ = save_model("drums", "bass")
    assert main(["--references", str(own), "--model", path]) == 1
    assert "drums, bass" in capsys.readouterr().err
    path, _ = save_model("drums", "bass", "other", "vocals")
    arguments = ["--references", str(own), "--model", path, "--no-report"]
    assert main([*arguments, "--output", "mine"]) == 0
    for system in ("small", "multichannel Wiener filter"):
        songs = summary("mine")["systems"][system]["songs"]
        assert (len(songs["A"]), set(songs["C"])) == (5, {"vocals", "accompaniment"})


def test_what_is_scored_is_not_scored_again(own: Path, estimates: Path, quick_scorer):
    assert main(SCORE) == 0
    first = summary()
    assert quick_scorer.made == 3
    assert main(SCORE) == 0
    assert quick_scorer.made == 3
    assert summary()["systems"] == first["systems"]
    assert main(["--compare", "out", "out/summary.json"]) == 0
    # A changed estimate, a changed reference and a damaged file: only these are scored again.
    write_stems(estimates / "A", {"vocals": made_song(5, 1.2)["vocals"]})
    write_stems(own / "B", {"bass": made_song(6, 1.2)["bass"]})
    Path("out/peer/test/C.json").write_text("{")
    assert main(SCORE) == 0
    assert quick_scorer.made == 6
    changed = summary()
    assert changed["systems"]["peer"]["songs"]["C"] == first["systems"]["peer"]["songs"]["C"]
    assert changed["systems"]["peer"]["songs"]["A"] != first["systems"]["peer"]["songs"]["A"]
    assert changed["songs"]["B"] != first["songs"]["B"]


def test_scores_of_another_system_of_the_same_name_are_not_replaced_without_a_word(
    own: Path, estimates: Path, quick_scorer, capsys
):
    shutil.copytree("peer", "others/peer")
    arguments = ["--references", "own songs", "--no-report", "--estimates"]
    for folder, warned in (("peer", False), ("peer", False), ("others/peer", True)):
        assert main([*arguments, folder]) == 0
        assert ("holds scores of another system" in capsys.readouterr().err) == warned


def test_remarks_and_long_titles_are_stored(own: Path, estimates: Path, quick_scorer, capsys):
    long = "Band/" + "é" * 125
    for folder in (own, estimates):
        (folder / "Band").mkdir()
        (folder / "A").rename(folder / long)
    write_stems(estimates / long, {"banjo": made_song(7, 1.2)["bass"]})
    for _ in range(2):
        assert main(SCORE) == 0
        assert "names no stem: banjo.wav" in summary()["systems"]["peer"]["remarks"][long]
    assert quick_scorer.made == 3


def test_an_interrupted_evaluation_goes_on(own: Path, estimates: Path, quick_scorer, monkeypatch):
    with monkeypatch.context() as patch:
        write = program.store_scores

        def interrupted(path: Path, *given: object) -> None:
            if path.stem == "B":
                raise KeyboardInterrupt
            write(path, *given)

        patch.setattr(program, "store_scores", interrupted)
        assert main(SCORE) == 130
    assert Path("out/peer/test/A.json").is_file()
    before = quick_scorer.made
    assert main(SCORE) == 0
    assert quick_scorer.made - before == 2


def test_songs_that_cannot_be_scored_are_named_and_the_others_are_scored(
    own: Path, estimates: Path, quick_scorer, capsys
):
    assert main(SCORE) == 0
    (estimates / "B").rename("elsewhere")
    whole = (own / "A" / "bass.wav").read_bytes()
    (own / "A" / "bass.wav").write_bytes(b"RIFF")
    (own / "notes.wav").touch()
    capsys.readouterr()
    assert main(SCORE) == 1
    captured = capsys.readouterr()
    assert "accompaniment of 'B'" in captured.out
    assert "bass.wav" in captured.out
    assert "2 of 3 songs could not be scored" in captured.err
    assert "warning: own songs/notes.wav" in captured.err
    assert summary()["systems"]["peer"]["overall"]["vocals"]["SDR"]["songs"] == 1
    # museval's tools would read a partial file.
    assert not Path("out/peer/test/B.json").exists()
    # The fault is fixed, and the same command continues.
    Path("elsewhere").rename(estimates / "B")
    (own / "A" / "bass.wav").write_bytes(whole)
    assert main(SCORE) == 0


@pytest.mark.ffmpeg
def test_museval_reads_the_scores_that_are_stored(tmp_path: Path):
    import museval

    nan, inf = float("nan"), float("inf")
    given = scores_of([1.1234567, nan, inf], remark="why")
    store_scores(tmp_path / "test" / "a.json", given, {"model": "x"})
    store = museval.EvalStore()
    store.add_eval_dir(tmp_path)
    assert set(store.df["target"]) == {"vocals", "accompaniment"}
    assert store.df["score"][0] == 1.12346
    found = load_scores(tmp_path / "test" / "a.json", {"model": "x"})
    assert found is not None
    assert (found.targets, found.remark, found.whole) == (given.targets, "why", given.whole)
    # museval's format has no infinite scores.
    assert [str(value) for value in found.frames["vocals"]["SDR"]] == ["1.12346", "nan", "nan"]
    assert load_scores(tmp_path / "test" / "a.json", {"model": "y"}) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--musdb", "no [where]"], "no [where]"),
        (["--references", "no [where]"], "no [where]"),
        (["--compare", "no [where]", "b.json"], "no [where]"),
        (["--references", "own songs", "--estimates", "no [where]"], "no [where]"),
        (["--references", "own songs", "--model", "nonsense"], "unknown model 'nonsense'"),
        (["--references", "own songs", "--device", "abacus"], "device 'abacus'"),
        (["--references", "own songs", "--estimates", "mixture"], "name of a yardstick"),
        ([*SCORE[:-2], "own songs/A/bass.wav/x"], "choose another output folder"),
    ],
)
def test_errors_are_one_line_and_a_status(
    own: Path, estimates: Path, quick_scorer, capsys, arguments, message: str
):
    Path("mixture").mkdir()
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("evaluate.py: ")
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--references . --subset train", "need --musdb"),
        ("--musdb . --split valid", "add --subset train"),
        ("--musdb . --model m --estimates .", "not allowed with"),
        ("--musdb . --estimates . --device cpu", "need --model"),
        ("--compare a b --no-report", "no other option"),
    ],
)
def test_options_that_make_no_sense_are_refused(capsys, arguments: str, message: str):
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_names_that_the_terminal_cannot_show(own: Path, estimates: Path, quick_scorer, monkeypatch):
    for folder in (own, estimates):
        shutil.move(folder / "A", folder / "Ébb")
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    assert main(SCORE) == 0
    output.seek(0)
    assert r"\xc9bb" in output.read()
