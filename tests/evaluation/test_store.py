"""Files of scores."""

from __future__ import annotations

import csv
import io
import json
import math
import os

import numpy as np
import pytest

from songsplit.errors import OutputError
from songsplit.evaluation.scores import METRICS
from songsplit.evaluation.store import (
    load_scores,
    store_scores,
    store_summary,
    write_csv,
    write_json,
)
from songsplit.evaluation.summary import summarize
from tests.evaluation.test_summary import FAILED, scores

FIVE = ("vocals", "accompaniment", "drums", "bass", "other")


def rows(path):
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))


def test_stored_scores_are_read_back(tmp_path):
    path = tmp_path / "model" / "test" / "Àrtist - Söng [live].json"
    settings = {"model": "a", "hop": 1.0, "files": [["a.wav", 12]], "split": None}
    given = scores([1.123456, math.nan, math.inf], "why", FIVE, usdr=-2.25)
    store_scores(path, given, settings)
    found = load_scores(path, dict(reversed(settings.items())))
    assert found is not None
    assert found.remark == "why"
    assert found.targets == FIVE
    np.testing.assert_array_equal(found.frames["vocals"]["SDR"], [1.12346, math.nan, math.nan])
    np.testing.assert_array_equal(found.frames["other"]["SAR"][0], 44.12346)
    assert found.whole == given.whole


def test_medians_survive_storing(tmp_path):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=6).round(5), [math.nan, math.inf, -math.inf]])
    given = scores(rng.permutation(values))
    store_scores(tmp_path / "song.json", given, {})
    found = load_scores(tmp_path / "song.json", {})
    assert found is not None
    assert summarize({"m": {"a": found}}) == summarize({"m": {"a": given}})


def test_whole_song_figures_that_are_missing_are_null(tmp_path):
    path = tmp_path / "song.json"
    given = scores([1.0], usdr=math.nan)
    given.whole["accompaniment"]["uSDR"] = -math.inf
    store_scores(path, given, {})
    content = json.loads(path.read_text())
    assert content["whole"]["vocals"] == {"uSDR": None, "SI-SDR": None}
    assert content["whole"]["accompaniment"]["uSDR"] is None
    found = load_scores(path, {})
    assert math.isnan(found.value("vocals", "SI-SDR"))
    assert math.isnan(found.value("accompaniment", "uSDR"))


def test_file_explains_its_measures(tmp_path):
    store_scores(tmp_path / "song.json", scores([1.0]), {"model": "a"})
    content = json.loads((tmp_path / "song.json").read_text())
    assert set(content["measures"]) == {*METRICS, "uSDR", "SI-SDR"}
    assert content["settings"] == {"model": "a"}
    assert content["targets"][1]["frames"][0] == {
        "time": 0.0,
        "duration": 1.0,
        "metrics": {"SDR": 11.0, "ISR": 12.0, "SIR": 13.0, "SAR": 14.0},
    }


def test_scores_of_other_settings_do_not_count(tmp_path):
    path = tmp_path / "song.json"
    store_scores(path, scores([1.0]), {"model": "a", "power": 2})
    assert load_scores(path, {"model": "b", "power": 2}) is None
    assert load_scores(path, {"model": "a"}) is None
    assert load_scores(path, {"model": "a", "power": 2, "hop": 1}) is None
    assert load_scores(path, {"model": "a", "power": 2}) is not None


def test_settings_may_hold_tuples(tmp_path):
    path = tmp_path / "song.json"
    store_scores(path, scores([1.0]), {"files": (("a.wav", 12),)})
    assert load_scores(path, {"files": (("a.wav", 12),)}) is not None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-40],
        lambda content: "[]",
        lambda content: "",
        lambda content: content.replace('"SIR"', '"XYZ"'),
        lambda content: content.replace('"whole": {', '"whole": null, "x": {'),
        lambda content: content.replace('"uSDR": 0.0', '"uSDR": [0.0]'),
    ],
)
def test_damaged_files_do_not_count(tmp_path, damage):
    path = tmp_path / "song.json"
    assert load_scores(path, {}) is None
    store_scores(path, scores([1.0]), {})
    assert load_scores(path, {}) is not None
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    assert load_scores(path, {}) is None
    path.write_bytes(b"\xff\xfe")
    assert load_scores(path, {}) is None


@pytest.mark.parametrize("given", [FAILED, scores([])])
def test_a_song_without_scores_is_not_stored(tmp_path, given):
    # museval refuses the folder for a single file without frames.
    with pytest.raises(ValueError, match=r"a song\.json"):
        store_scores(tmp_path / "a song.json", given, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.ffmpeg
def test_museval_reads_our_files_and_agrees(tmp_path):
    import museval

    values = {
        "A - a": [1.0, 2.0, 7.5, math.nan],
        "B - b": [3.0, math.inf],
        "C - c": [9.123456, 9.123444],
        "D - d": [math.nan],
    }
    ours = {}
    for name, vocals in values.items():
        path = tmp_path / "test" / f"{name}.json"
        store_scores(path, scores(vocals, targets=FIVE), {"model": "a"})
        ours[name] = load_scores(path, {"model": "a"})
    store = museval.EvalStore()
    store.add_eval_dir(str(tmp_path))
    theirs = store.agg_frames_tracks_scores()
    overall = summarize({"model": ours})["model"]["overall"]
    for target in FIVE:
        for metric in METRICS:
            median = overall[target][metric]["median"]
            assert median == pytest.approx(theirs[target, metric], abs=5.1e-6)


@pytest.mark.ffmpeg
def test_files_follow_the_schema_of_museval(tmp_path):
    import jsonschema
    import museval

    store_scores(tmp_path / "song.json", scores([1.0, math.nan]), {})
    content = json.loads((tmp_path / "song.json").read_text())
    jsonschema.validate(content, museval.TrackStore("song").schema)


def test_summary_file(tmp_path):
    path = tmp_path / "new" / "summary.json"
    results = {"model": {"a": scores([math.nan]), "b": FAILED}}
    about = {
        "model": {"name": "tiny"},
        "data": {"songs": 2},
        "settings": {"backend": "songsplit"},
        "songs": {"a": {"reference_digest": "0f", "seconds": 1.5}},
    }
    store_summary(path, results, about)

    def refuse(text):
        raise AssertionError(text)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["model"] == {"name": "tiny"}
    assert content["songs"] == about["songs"]
    assert content["settings"] == {
        "window_seconds": 1.0,
        "hop_seconds": 1.0,
        "backend": "songsplit",
    }
    assert content["systems"]["model"]["overall"]["vocals"]["SDR"]["median"] is None
    assert content["systems"]["model"]["remarks"] == {"b": "no vocals"}
    assert "not comparable with SDR" in content["measures"]["uSDR"]
    assert content["versions"]["numpy"] == np.__version__
    assert content["date"].endswith("+00:00")


def test_csv_has_a_row_for_each_system_song_and_target(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    results = {
        "model": {"a": scores([1.0, 2.0, math.nan, math.inf], "cut", usdr=0.5), "b": FAILED},
        "mixture": {"a": scores([-math.inf], targets=("vocals",), usdr=math.nan)},
    }
    write_csv(path, results)
    found = rows(path)
    assert [(row["system"], row["song"], row["target"]) for row in found] == [
        ("model", "a", "vocals"),
        ("model", "a", "accompaniment"),
        ("model", "b", ""),
        ("mixture", "a", "vocals"),
    ]
    assert found[1] == {
        "system": "model",
        "song": "a",
        "target": "accompaniment",
        "SDR": "11.5",
        "ISR": "12.5",
        "SIR": "13.5",
        "SAR": "14.5",
        "uSDR": "10.5",
        "SI-SDR": "11.5",
        "frames": "4",
        "frames_scored": "2",
        "remark": "cut",
    }
    empty = [name for name, cell in found[2].items() if not cell]
    assert empty == ["target", "SDR", "ISR", "SIR", "SAR", "uSDR", "SI-SDR", "frames",
                     "frames_scored"]  # fmt: skip
    assert found[2]["remark"] == "no vocals"
    assert (found[3]["SDR"], found[3]["uSDR"]) == ("", "")
    assert (found[3]["frames"], found[3]["frames_scored"]) == ("1", "0")


@pytest.mark.parametrize(
    "name", ['a, "b"', "=1+2", "-x", "@y", "Ünï ©", "two\nlines", "carriage\rreturn", " space "]
)
def test_csv_keeps_names_as_they_are(tmp_path, name):
    path = tmp_path / "scores.csv"
    write_csv(path, {name: {name: scores([1.0], remark=name)}})
    row = rows(path)[0]
    assert (row["system"], row["song"], row["remark"]) == (name, name, name)


def test_csv_lines_end_as_rfc_4180_says(tmp_path):
    write_csv(tmp_path / "scores.csv", {"model": {"a": scores([1.0])}})
    text = (tmp_path / "scores.csv").read_bytes()
    assert text.count(b"\r\n") == text.count(b"\n") == 3
    assert text.endswith(b"\r\n")


def test_file_names_that_are_no_text_can_be_stored(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    write_json(tmp_path / "a.json", {name: 1})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {name: 1}
    write_csv(tmp_path / "a.csv", {"model": {name: scores([1.0])}})
    assert rows(tmp_path / "a.csv")[0]["song"] == "caf\\udce9"


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "scores.json"
    write_json(path, {"old": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"scores\.json.*No space left"):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "scores.json"
    write_json(path, {"old": 1})

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        write_json(tmp_path / "taken" / "scores.json", {})


def test_summary_says_what_its_figures_are_over(tmp_path):
    path = tmp_path / "summary.json"
    full = {"a": scores([1.0]), "b": scores([2.0])}
    store_summary(path, {"model": full | {"b": FAILED}, "mixture": full}, {})
    content = json.loads(path.read_text())
    kinds = {kind for system in content["systems"].values() for kind in system}
    assert set(content["statistics"]) == kinds - {"remarks"}
    assert "the first system" in content["statistics"]["overall"]
    assert content["songs_counted"] == [
        "over the 1 song of 2 that model has scores in: vocals (all measures), "
        "accompaniment (all measures)"
    ]
