"""Statistics over songs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from songsplit.evaluation.scores import METRICS, WHOLE_MEASURES, TrackScores
from songsplit.evaluation.summary import MEASURES, extremes, summarize, target_order


def scores(vocals, remark="", targets=("vocals", "accompaniment"), usdr=0.0):
    """SDR of the vocals as given, each other measure 1 dB, each other target 10 dB higher."""
    frames = {
        target: {metric: np.array(vocals) + 10 * t + m for m, metric in enumerate(METRICS)}
        for t, target in enumerate(targets)
    }
    whole = {
        target: {measure: usdr + 10 * t + m for m, measure in enumerate(WHOLE_MEASURES)}
        for t, target in enumerate(targets)
    }
    return TrackScores(frames, whole, remark)


FAILED = TrackScores({}, {}, "no vocals")


def test_statistics_by_hand():
    results = {
        "model": {
            "a": scores([1.0, 2.0, 100.0], usdr=1),
            "b": scores([5.0], usdr=2),
            "c": scores([3.0, math.nan], usdr=4),
            "d": scores([9.0, math.inf], usdr=5),
            "e": scores([math.nan], "silent", usdr=math.nan),
            "f": FAILED,
        }
    }
    model = summarize(results)["model"]
    # Medians over frames are 2, 5, 3 and 9.
    assert model["overall"]["vocals"]["SDR"] == {
        "median": 4.0,
        "mean": 4.75,
        "lower_quartile": 2.75,
        "upper_quartile": 6.0,
        "songs": 4,
    }
    assert model["overall"]["accompaniment"]["SAR"]["median"] == 17.0
    assert model["overall"]["vocals"]["uSDR"]["mean"] == 3.0
    assert model["overall"]["accompaniment"]["SI-SDR"]["median"] == 14.0
    assert model["songs"]["a"]["accompaniment"]["SIR"] == 14.0
    assert model["songs"]["e"]["vocals"]["SDR"] is None
    assert model["songs"]["e"]["vocals"]["uSDR"] is None
    assert model["songs"]["f"] == {}
    assert model["remarks"] == {"e": "silent", "f": "no vocals"}


def test_a_measure_without_any_score_is_counted_as_such():
    results = {"model": {"a": scores([math.nan, math.inf], usdr=math.inf), "b": FAILED}}
    overall = summarize(results)["model"]["overall"]["vocals"]
    nothing = dict.fromkeys(("median", "mean", "lower_quartile", "upper_quartile"))
    assert overall["SDR"] == overall["uSDR"] == {**nothing, "songs": 0}


def test_summary_is_strict_json():
    results = {"model": {"a": scores([math.nan, -math.inf], usdr=-math.inf), "b": FAILED}}
    json.dumps(summarize(results), allow_nan=False)


def test_targets_are_those_that_each_song_was_scored_in():
    results = {
        "model": {"a": scores([1.0]), "b": scores([7.0], targets=("vocals",)), "c": FAILED},
        "mixture": {"a": scores([0.0], targets=("vocals", "drums"))},
    }
    summary = summarize(results)
    assert list(summary["model"]["overall"]) == ["vocals", "accompaniment"]
    assert summary["model"]["overall"]["vocals"]["SDR"]["songs"] == 2
    assert summary["model"]["overall"]["accompaniment"]["SDR"]["songs"] == 1
    assert list(summary["model"]["songs"]["b"]) == ["vocals"]
    assert list(summary["mixture"]["overall"]) == ["vocals", "drums"]


def test_every_measure_is_explained_and_told_from_the_others():
    assert set(MEASURES) == {*METRICS, *WHOLE_MEASURES}
    assert len(set(MEASURES.values())) == len(MEASURES)
    for measure in METRICS:
        assert "median over the windows" in MEASURES[measure]
    for measure in WHOLE_MEASURES:
        assert "whole song" in MEASURES[measure]


def test_targets_are_reported_in_the_usual_order():
    shuffled = ("other", "guitar", "bass", "accompaniment", "drums", "vocals")
    expected = ("vocals", "accompaniment", "drums", "bass", "other", "guitar")
    assert target_order({"model": {"a": scores([1.0], targets=shuffled)}}) == expected


def test_targets_are_those_of_the_judged_system():
    five = scores([1.0], targets=("vocals", "accompaniment", "drums", "bass", "other"))
    two = scores([1.0])
    assert target_order({"model": {"a": FAILED, "b": two}, "mixture": {"b": five}}) == two.targets
    assert target_order({"model": {"a": FAILED}, "mixture": {"a": five}}) == five.targets
    assert target_order({"model": {"a": FAILED}}) == ()
    assert target_order({}) == ()


def test_best_and_worst_song():
    songs = {"a": scores([2.0]), "b": FAILED, "c": scores([9.0]), "d": scores([math.nan])}
    assert extremes(songs | {"e": scores([-3.0])}) == ("c", "e")
    assert extremes(songs, "accompaniment") == ("c", "a")
    assert extremes({"a": songs["a"], "b": FAILED}) == ("a", "a")


@pytest.mark.parametrize("songs", [{}, {"b": FAILED}, {"d": scores([math.nan])}])
def test_no_song_is_best_where_none_has_a_score(songs):
    assert extremes(songs) is None


def test_best_and_worst_differ_where_songs_are_equal():
    best, worst = extremes({"a": scores([2.0]), "b": scores([2.0])})
    assert best != worst
