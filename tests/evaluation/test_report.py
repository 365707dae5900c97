from __future__ import annotations

import io
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from songsplit.errors import OutputError
from songsplit.evaluation.metrics import METRICS, TARGETS, TrackScores
from songsplit.evaluation.report import (
    load_scores,
    print_results,
    store_scores,
    store_summary,
    summarize,
    write_json,
)


def scores(vocals: list[float], remark: str = "") -> TrackScores:
    """SDR of the vocals as given, each other measure 1 dB, each other target 10 dB higher."""
    return TrackScores(
        {
            target: {metric: np.array(vocals) + 10 * t + m for m, metric in enumerate(METRICS)}
            for t, target in enumerate(TARGETS)
        },
        remark,
    )


def test_stored_scores_are_read_back(tmp_path: Path):
    path = tmp_path / "model" / "test" / "Àrtist - Söng [live].json"
    store_scores(path, scores([1.123456, math.nan, math.inf], "why"), {"model": "a", "hop": 1.0})
    found = load_scores(path, {"hop": 1.0, "model": "a"})
    assert found is not None
    assert found.remark == "why"
    np.testing.assert_array_equal(found.frames["vocals"]["SDR"], [1.12346, math.nan, math.nan])
    np.testing.assert_array_equal(found.frames["accompaniment"]["SAR"][0], 14.12346)


def test_scores_of_other_settings_or_damaged_files_do_not_count(tmp_path: Path):
    path = tmp_path / "song.json"
    assert load_scores(path, {}) is None
    store_scores(path, scores([1.0]), {"model": "a"})
    assert load_scores(path, {"model": "b"}) is None
    assert load_scores(path, {"model": "a", "power": 2}) is None
    path.write_text(path.read_text()[:-40])
    assert load_scores(path, {"model": "a"}) is None
    path.write_text("[]")
    assert load_scores(path, {"model": "a"}) is None


@pytest.mark.ffmpeg
def test_museval_reads_our_files_and_agrees(tmp_path: Path):
    import museval

    values = {"A - a": [1.0, 2.0, 7.5, math.nan], "B - b": [3.0, math.inf], "C - c": [9.0]}
    for name, vocals in values.items():
        store_scores(tmp_path / "test" / f"{name}.json", scores(vocals), {})
    store = museval.EvalStore()
    store.add_eval_dir(str(tmp_path))
    theirs = store.agg_frames_tracks_scores()
    ours = summarize({"model": {name: scores(vocals) for name, vocals in values.items()}})
    for target in TARGETS:
        for metric in METRICS:
            median = ours["model"]["overall"][target][metric]["median"]
            assert median == pytest.approx(theirs[target, metric])


def test_summary_by_hand():
    results = {
        "model": {
            "a": scores([1.0, 2.0, 100.0]),
            "b": scores([5.0]),
            "c": scores([3.0, math.nan]),
            "d": scores([math.nan], "silent"),
        }
    }
    model = summarize(results)["model"]
    assert model["overall"]["vocals"]["SDR"] == {
        "median": 3.0,
        "mean": pytest.approx(10 / 3, abs=1e-5),
        "songs": 3,
    }
    assert model["songs"]["a"]["accompaniment"]["SIR"] == 14.0
    assert model["songs"]["d"]["vocals"]["SDR"] is None
    assert model["remarks"] == {"d": "silent"}


def test_summary_file_is_strict_json(tmp_path: Path):
    path = tmp_path / "new" / "summary.json"
    results = {"model": {"a": scores([math.nan])}}
    store_summary(path, results, {"model": {"name": "tiny"}})

    def refuse(text: str) -> None:
        raise AssertionError(text)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["model"] == {"name": "tiny"}
    assert content["systems"]["model"]["overall"]["vocals"]["SDR"]["median"] is None
    assert content["versions"]["numpy"] == np.__version__
    assert content["date"].endswith("+00:00")


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "scores.json"
    write_json(path, {"old": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"scores\.json.*No space left"):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_is_a_file_is_named(tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        write_json(tmp_path / "taken" / "scores.json", {})


@pytest.mark.parametrize("width", [80, 120])
def test_tables_hold_every_song_system_and_remark(width: int):
    results = {
        "model": {"Band [2] - Sóng": scores([1.25]), "b": scores([math.nan], "not [bold]scored")},
        "mixture": {"a": scores([-33.5]), "b": scores([-32.0]), "c": scores([-36.0, -36.5, -37.0])},
    }
    file = io.StringIO()
    print_results(results, Console(file=file, width=width))
    lines = [re.split(r"\s{2,}", line.strip()) for line in file.getvalue().splitlines()]
    rows = [line for line in lines if len(line) == 9]
    assert [row[0][:6] for row in rows] == (
        ["song", "Band [", "b", "system", "model", "mixtur", "system", "model", "mixtur"]
    )
    for header in (rows[0], rows[3], rows[6]):
        assert header[1:] == ["SDR", "ISR", "SIR", "SAR"] * 2
    assert rows[1][1:] == ["1.25", "2.25", "3.25", "4.25", "11.25", "12.25", "13.25", "14.25"]
    assert rows[2][1:] == ["-"] * 8
    medians, means = rows[5], rows[8]
    assert medians[1:3] == ["-33.50", "-32.50"]
    assert means[1:3] == ["-34.00", "-33.00"]
    assert means[5] == "-24.00"
    assert "model, b: not [bold]scored" in file.getvalue().splitlines()
