"""Figures over songs, tables and reports, and paired comparisons."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from songsplit.errors import DataError
from songsplit.evaluation import TrackScores
from songsplit.evaluation.report import write_report
from songsplit.evaluation.summary import print_comparison, print_results, summarize, write_csv

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
    summary = summarize(results)
    print_results(summary, Console(file=file, width=120))
    for expected in ("[red]a", "1.25", "6.25", "failed: b (model): no vocals", "-2.00"):
        assert expected in file.getvalue()
    assert file.getvalue().count("remark: [red]a") == 1
    write_csv(tmp_path / "scores.csv", summary)
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[1] == "model,[red]a,vocals,1.25,2.25,3.25,4.25,40.0,60.0,cut"
    assert lines[3] == "model,b,,,,,,,,no vocals"


def test_page_with_pictures_in_pdf_and_a_row_in_latex(tmp_path: Path):
    name = "50 % of $ong <b>\N{HIRAGANA LETTER A}"
    results = {"my_model": {name: scores_of([1.0, NAN, INF]), "b": FAILED}, "mixture": {}}
    page = write_report(tmp_path, summarize(results), {"model": "my_model"})
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png") == 2
    assert "$ong &lt;b&gt;" in text
    assert "<b>" not in text
    assert "no vocals" in text
    for pdf in ("boxes.pdf", "songs.pdf"):
        assert (tmp_path / "figures" / pdf).read_bytes().startswith(b"%PDF")
    assert r"my\_model & 1.00 & 6.00 \\" in (tmp_path / "figures" / "row.tex").read_text()
    # No song was scored.
    write_report(tmp_path / "none", summarize({"model": {"b": FAILED}}), {})
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


def compared(first: Path, second: Path) -> list[str]:
    file = io.StringIO()
    print_comparison(first, second, Console(file=file, width=100))
    return [" ".join(line.split()) for line in file.getvalue().splitlines()]


def test_differences_by_hand(store):
    lines = compared(store("a", [1, 2, 3, 4, 5]), store("b", [2, 2, 5.5, 3.75, 9]))
    assert lines[0] == "A: a, B: b"
    # Ranks 2, 3, 1, 4; the negative difference has rank 1: 2 of 16 sign patterns give 1 or less.
    row = next(line for line in lines if line.startswith("SDR 5 "))
    assert row.startswith("SDR 5 +1.00 +1.45 ")
    assert row.endswith(" 0.25 3/1/1")
    low, _, high = row.split()[4:7]
    assert (float(low), float(high)) == pytest.approx((0.1, 2.95), abs=0.3)
    assert "uSDR 5 +0.00 +0.00 +0.00 to +0.00 - 0/0/5" in lines
    assert "song_3 -0.25 -0.25" in lines


def test_few_songs_and_songs_of_one_system_alone(store):
    lines = compared(store("a", [1, 2, NAN]), store("b", [2, 3.5], backend="museval"))
    assert "SDR 2 +1.25 +1.25 - - 2/0/0" in lines
    assert "left out, because only one of the two has scored it: song_2" in lines
    assert lines[1].startswith("warning: A was scored with")
    lines = compared(store("a", [1, 2, NAN]), store("c", [1, 3, 4]))
    assert "SDR 2 +0.50 +0.50 - - 1/0/1" in lines
    assert "song_2 - -" in lines


def test_other_audio_and_other_songs_are_refused(store):
    with pytest.raises(DataError, match="the audio of 'song_1' differs"):
        compared(store("a", [1, 2]), store("b", [1, 2], song_1="another"))
    with pytest.raises(DataError, match="no scored song in common"):
        compared(store("a", [1, 2]), store("c", []))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"systems": {}}', '{"systems": {"a": 1}}'])
def test_what_is_no_summary_is_refused(tmp_path: Path, store, content: str):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(DataError, match="not a summary of scores"):
        compared(tmp_path, store("b", [1]))
