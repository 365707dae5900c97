"""Figures over songs, the tables and pages that show them, and paired comparisons."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from songsplit.errors import DataError
from songsplit.evaluation import TrackScores
from songsplit.evaluation.compare import compare, print_comparison
from songsplit.evaluation.references import SongAudio
from songsplit.evaluation.report import write_report
from songsplit.evaluation.summary import print_results, summarize, write_csv
from songsplit.evaluation.track_scores import ALL_MEASURES

from .conftest import scores_of

FAILED = TrackScores({}, {}, "no vocals")
NAN, INF = float("nan"), float("inf")


def test_statistics_over_songs_by_hand():
    songs = {
        "a": scores_of([1.0, 2.0, 100.0]),
        "b": scores_of([5.0]),
        "c": scores_of([3.0, NAN]),
        "d": scores_of([9.0, INF]),
        "e": scores_of([NAN], remark="silent"),
        "f": FAILED,
    }
    found = summarize({"model": songs})["model"]
    sdr = found["overall"]["vocals"]["SDR"]
    quartiles = {"lower_quartile": 2.75, "median": 4.0, "upper_quartile": 6.0}
    assert sdr == {**quartiles, "mean": 4.75, "songs": 4}
    assert found["songs"]["e"]["vocals"]["SDR"] is None
    assert found["songs"]["f"] == {}
    assert found["remarks"] == {"e": "silent", "f": "no vocals"}
    json.dumps(found, allow_nan=False)


def test_all_systems_are_summed_up_over_the_songs_of_the_first():
    results = {
        "model": {"a": scores_of([1.0]), "b": FAILED},
        "mixture": {"a": scores_of([-2.0]), "b": scores_of([-90.0])},
    }
    sdr = summarize(results)["mixture"]["overall"]["vocals"]["SDR"]
    assert (sdr["median"], sdr["songs"]) == (-2.0, 1)
    nothing = summarize({"model": {"a": FAILED}, "mixture": {"a": scores_of([-2.0])}})
    assert nothing["mixture"]["overall"]["vocals"]["SDR"]["median"] == -2.0
    assert nothing["model"]["overall"]["vocals"]["SDR"]["songs"] == 0
    found = summarize({"model": {"a": scores_of([1.0], ("bass", "vocals"))}, **results})
    assert tuple(found["model"]["overall"]) == ("vocals", "accompaniment")


def test_tables_have_every_song_and_what_is_to_be_said(tmp_path: Path):
    results = {
        "model": {"[red]a": scores_of([1.25], remark="cut"), "b": FAILED},
        "mixture": {"[red]a": scores_of([-2.0], remark="cut"), "b": scores_of([-9.0])},
    }
    file = io.StringIO()
    print_results(summarize(results), Console(file=file, width=120))
    for expected in ("[red]a", "1.25", "6.25", "failed: b (model): no vocals", "-2.00"):
        assert expected in file.getvalue()
    assert file.getvalue().count("remark: [red]a") == 1
    write_csv(tmp_path / "scores.csv", results)
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[1] == "model,[red]a,vocals,1.25,2.25,3.25,4.25,40.0,60.0,1,1,cut"
    assert lines[3] == "model,b,,,,,,,,,,no vocals"


def test_page_with_pictures_in_pdf_and_a_row_in_latex(tmp_path: Path):
    name = "50 % of $ong <b>\N{HIRAGANA LETTER A}"
    results = {"my_model": {name: scores_of([1.0, NAN, INF]), "b": FAILED}, "mixture": {}}
    audio = 0.1 * np.random.default_rng(0).standard_normal((2, 24000))
    example = name, SongAudio(audio, {"vocals": audio}, 8000), 0 * audio
    page = write_report(tmp_path, results, summarize(results), {"model": "my_model"}, example)
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png") == 3
    assert "$ong &lt;b&gt;" in text
    assert "<b>" not in text
    assert "no vocals" in text
    for pdf in ("boxes.pdf", "songs.pdf", "example.pdf"):
        assert (tmp_path / "figures" / pdf).read_bytes().startswith(b"%PDF")
    assert r"my\_model & 1.00 & 6.00 \\" in (tmp_path / "figures" / "row.tex").read_text()
    # Nothing was scored at all.
    nothing = {"model": {"b": FAILED}}
    write_report(tmp_path / "none", nothing, summarize(nothing), {}, None)
    assert (tmp_path / "none" / "report.html").is_file()


@pytest.fixture
def store(tmp_path: Path):
    """Write a summary with the SDR of the vocals by song."""

    def store(name: str, sdr: list[float], backend: str = "songsplit", **digests: str) -> Path:
        songs = {f"song_{n}": scores_of([float(value)]) for n, value in enumerate(sdr)}
        content = {
            "settings": {"backend": backend},
            "songs": {song: digests.get(song, f"of {song}") for song in songs},
            "systems": summarize({name: songs, "mixture": {}}),
        }
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "summary.json").write_text(json.dumps(content))
        return tmp_path / name

    return store


def of(comparison, target="vocals", measure="SDR"):
    (found,) = [
        d for d in comparison["differences"] if (d["target"], d["measure"]) == (target, measure)
    ]
    return SimpleNamespace(**found)


def test_differences_by_hand(store):
    comparison = compare(store("a", [1, 2, 3, 4, 5]), store("b", [2, 2, 5.5, 3.75, 9]))
    assert (comparison["first"], comparison["second"]) == ("a", "b")
    found = of(comparison)
    assert list(found.by_song.values()) == [1, 0, 2.5, -0.25, 4]
    assert (found.median, found.mean) == (1.0, 1.45)
    assert (found.wins, found.losses, found.ties) == (3, 1, 1)
    assert found.interval == pytest.approx((0.1, 2.95), abs=0.3)
    # Ranks 2, 3, 1, 4 of which the negative has 1: 2 of 16 signs give 1 or less, on each side.
    assert found.p == pytest.approx(4 / 16)
    assert len(comparison["differences"]) == 2 * len(ALL_MEASURES)
    usdr = of(comparison, measure="uSDR")
    assert (usdr.mean, usdr.ties, usdr.interval) == (0.0, 5, [0.0, 0.0])


def test_few_songs_and_songs_of_one_system_alone(store):
    comparison = compare(store("a", [1, 2, NAN]), store("b", [2, 3.5]))
    found = of(comparison)
    assert (found.median, found.interval, found.p) == (1.25, None, None)
    assert comparison["left_out"] == ["song_2"]
    comparison = compare(store("a", [1, 2, NAN]), store("c", [1, 3, 4], backend="museval"))
    assert of(comparison).missing == ["song_2"]
    file = io.StringIO()
    print_comparison(comparison, Console(file=file, width=100))
    for text in ("vocals, B - A (dB)", "+1.00", "warning: A was scored with", "without a figure"):
        assert text in file.getvalue()


def test_other_audio_and_other_songs_are_refused(store):
    with pytest.raises(DataError, match="the audio of 'song_1' differs"):
        compare(store("a", [1, 2]), store("b", [1, 2], song_1="another"))
    with pytest.raises(DataError, match="no song with scores in common"):
        compare(store("a", [1, 2]), store("c", []))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"systems": {}}', '{"systems": {"a": 1}}'])
def test_what_is_no_summary_is_refused(tmp_path: Path, store, content: str):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(DataError, match="not a summary of scores"):
        compare(tmp_path, store("b", [1]))
    with pytest.raises(DataError, match="cannot be read"):
        compare(tmp_path / "nowhere", tmp_path)
