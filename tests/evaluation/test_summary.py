"""Statistics over songs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from songsplit.evaluation.scores import METRICS, WHOLE_MEASURES, TrackScores
from songsplit.evaluation.summary import (
    MEASURES,
    extremes,
    songs_counted,
    summarize,
    target_order,
)


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


def test_yardsticks_are_summed_up_over_the_songs_that_the_candidate_has_scores_in():
    results = {
        "model": {"a": scores([1.0]), "b": FAILED, "c": scores([3.0], usdr=math.inf)},
        "mixture": {"a": scores([-2.0]), "b": scores([-90.0]), "c": scores([-4.0], usdr=7)},
    }
    mixture = summarize(results)["mixture"]
    sdr = mixture["overall"]["vocals"]["SDR"]
    assert (sdr["median"], sdr["mean"], sdr["songs"]) == (-3.0, -3.0, 2)
    usdr = mixture["overall"]["vocals"]["uSDR"]
    assert (usdr["median"], usdr["songs"]) == (0.0, 1)
    everything = mixture["overall_all_songs"]["vocals"]
    assert (everything["SDR"]["mean"], everything["SDR"]["songs"]) == (-32.0, 3)
    assert (everything["uSDR"]["mean"], everything["uSDR"]["songs"]) == (2.33333, 3)
    assert mixture["songs"]["b"]["vocals"]["SDR"] == -90.0


def test_yardsticks_stand_alone_where_the_candidate_has_no_score():
    results = {
        "model": {"a": scores([1.0], usdr=math.inf, targets=("vocals",)), "b": FAILED},
        "mixture": {"a": scores([-2.0], usdr=1), "b": scores([-4.0], usdr=2)},
    }
    overall = summarize(results)["mixture"]["overall"]
    assert (overall["vocals"]["SDR"]["median"], overall["vocals"]["SDR"]["songs"]) == (-2.0, 1)
    assert (overall["vocals"]["uSDR"]["median"], overall["vocals"]["uSDR"]["songs"]) == (1.5, 2)
    assert overall["accompaniment"]["SDR"]["songs"] == 2


def test_songs_that_do_not_count_are_told():
    one = {"a": scores([1.0]), "b": scores([math.nan], usdr=1), "c": scores([2.0])}
    other = {"a": scores([1.0]), "b": scores([1.0]), "c": FAILED}
    perfect = {name: scores([math.inf], usdr=1, targets=("vocals",)) for name in "abc"}
    full = {name: scores([1.0]) for name in "abc"}

    def told(**results):
        return songs_counted(summarize(results))

    assert told(model=full, mixture=full) == []
    assert told(model={"a": FAILED}) == told() == []
    bss = "SDR, ISR, SIR, SAR"
    assert told(model=one, mixture=full) == [
        f"over the 2 songs of 3 that model has scores in: vocals ({bss}), accompaniment ({bss})"
    ]
    assert told(model=full, mixture=other) == [
        "mixture over 2 songs: vocals (all measures), accompaniment (all measures)"
    ]
    assert told(model=other, mixture=one)[1:] == [
        f"mixture over 1 song: vocals ({bss}), accompaniment ({bss})"
    ]
    assert told(model=perfect, mixture=full) == [
        f"model has no score, and other systems are over all their songs: vocals ({bss})"
    ]


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
