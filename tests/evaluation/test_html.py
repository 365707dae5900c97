from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from songsplit.errors import AudioInputError, MissingExtraError, OutputError
from songsplit.evaluation.charts import draw_boxes
from songsplit.evaluation.html import Example, write_report
from songsplit.evaluation.scores import TrackScores
from songsplit.evaluation.summary import ALL_MEASURES, extremes, summarize
from tests.evaluation.made_up_scores import FIVE, PAIR, failed, results_of, scores_of

Results = Mapping[str, Mapping[str, TrackScores]]
VOID = {"meta", "img"}


class Page(HTMLParser):
    """What a reader finds on a page; fails where tags do not match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.words.append(data)
        if "tr" in self.open and self.rows[-1]:
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def row(self, head: str) -> list[str]:
        """Cells of the first row that begins with a text."""
        return next(cells for cells in self.rows if cells and cells[0].startswith(head))

    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


def summary_of(results: Results, **more: Any) -> dict[str, Any]:
    content = {
        "date": "2026-01-02T03:04:05+00:00",
        "model": {"name": "model", "sha256": "0f" * 32},
        "data": {"name": "MUSDB18-HQ", "subset": "train", "split": None, "songs": 2},
        "settings": {"backend": "songsplit", "window_seconds": 1.0},
        "versions": {"songsplit": "9.8.7"},
        "systems": summarize(results),
    }
    return json.loads(json.dumps(content | more))  # type: ignore[no-any-return]


def report(folder: Path, results: Results, *examples: Example, **more: Any) -> Page:
    return Page(write_report(folder, results, summary_of(results, **more), examples))


def example(song: str, target: str = "vocals") -> Example:
    audio = np.random.default_rng(0).normal(0, 0.1, (2, 8000))
    return Example(song, target, 8000, audio, 0.5 * audio)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, Page]:
    folder = tmp_path_factory.mktemp("report")
    results = results_of(4)
    best, worst = extremes(results["model"]) or ("", "")
    return folder, results, report(folder, results, example(best), example(worst))


def test_page_is_whole_and_needs_no_network(usual: tuple[Path, Results, Page]):
    folder, _, page = usual
    assert sorted(path.name for path in folder.iterdir()) == ["figures", "report.html"]
    pictures = sorted(path.name for path in (folder / "figures").iterdir())
    assert pictures == [
        "sdr-by-song-1.png",
        "sdr-by-target.png",
        "sdr-over-time-1.png",
        "sdr-over-time-2.png",
    ]
    assert len(page.images()) == len(pictures)
    for image in page.images():
        assert (image["src"] or "").startswith("data:image/png;base64,")
        assert len(image["alt"] or "") > 20
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import", page.source)
    policy = next(a["content"] for _, a in page.tags if "http-equiv" in a)
    assert "default-src 'none'" in (policy or "")


def test_page_says_what_was_scored_and_how(usual: tuple[Path, Results, Page]):
    _, _, page = usual
    assert "model on MUSDB18-HQ train, 4 songs" in page.text
    for text in ("2026-01-02", "0f" * 32, "backend", "9.8.7", "All songs were scored"):
        assert text in page.text
    for measure in ALL_MEASURES:
        # In the tables, and with its meaning.
        assert page.words.count(measure) >= 2
    assert "None" not in page.text


def test_tables_hold_the_figures(usual: tuple[Path, Results, Page]):
    _, results, page = usual
    heads = [" ".join(head.split()) for head in page.row("system")]
    for system, songs in results.items():
        cells = dict(zip(heads, page.row(system), strict=True))
        sdr = [scores.value("vocals", "SDR") for scores in songs.values()]
        assert cells["SDR median"] == f"{np.median(sdr):.2f}"
        assert cells["SDR mean"] == f"{np.mean(sdr):.2f}"
        assert cells["SDR lower quartile"] == f"{np.quantile(sdr, 0.25):.2f}"
        assert cells["SDR upper quartile"] == f"{np.quantile(sdr, 0.75):.2f}"
        assert cells["SAR median"] == f"{np.median(sdr) + 3:.2f}"
        assert cells["uSDR median"] == cells["uSDR mean"] == "40.00"
        assert cells["SI-SDR median"] == "60.00"
        assert cells["songs"] == "4 of 4"

    best = next(iter(extremes(results["model"]) or ()))
    heads = [" ".join(head.split()) for head in page.row("song")]
    cells = dict(zip(heads, page.row(best), strict=True))
    own = results["model"][best]
    assert cells["SDR"] == f"{own.value('vocals', 'SDR'):.2f}"
    assert cells["uSDR"] == "40.00"
    assert cells["mixture SDR"] == f"{results['mixture'][best].value('vocals', 'SDR'):.2f}"
    assert cells["windows"] == "5 of 5"


def test_captions_tell_best_from_worst(usual: tuple[Path, Results, Page]):
    _, results, page = usual
    best, worst = extremes(results["model"]) or ("", "")
    assert f"The song with the highest score: {best}, vocals" in page.text
    assert f"The song with the lowest score: {worst}, vocals" in page.text


def test_equal_input_gives_equal_files(tmp_path: Path):
    results = results_of(2)
    for folder in ("first", "second"):
        report(tmp_path / folder, results, example(next(iter(results["model"]))))
    for path in (tmp_path / "first").rglob("*.*"):
        other = tmp_path / "second" / path.relative_to(tmp_path / "first")
        assert path.read_bytes() == other.read_bytes()


def test_names_are_escaped(tmp_path: Path):
    song, system = '<b>"A & B"</b>', "<script>alert(1)</script>"
    results = {
        system: {
            song: scores_of([1.0], remark="<i>cut</i> & filled"),
            "y": failed("<u>no</u> vocals"),
        }
    }
    more = {"data": {"name": "<data>"}, "settings": {"a<b": "c&d"}, "date": "<today>"}
    page = report(tmp_path, results, example(song), **more)
    tags = {tag for tag, _ in page.tags}
    assert not {"b", "i", "u", "data", "today"} & tags
    assert [tag for tag, _ in page.tags].count("script") == 1
    for text in (song, system, "<i>cut</i> & filled", "<u>no</u> vocals", "<data>", "a<b", "c&d"):
        assert text in page.text
    assert any(song in (image["alt"] or "") for image in page.images())


def test_failed_songs_and_remarks_are_told(tmp_path: Path):
    results = {
        "model": {"good": scores_of([1.0]), "broken": failed("no file for vocals")},
        "mixture": {"good": scores_of([0.0], remark="cut by 3 samples"), "broken": failed("")},
    }
    page = report(tmp_path, results)
    assert "1 of 2 songs could not be scored" in page.text
    assert page.row("broken")[0] == "broken not scored"
    assert page.row("model")[-1] == "1 of 2"
    assert ["broken", "model", "not scored: no file for vocals"] in page.rows
    assert ["good", "mixture", "cut by 3 samples"] in page.rows
    assert ["broken", "mixture", "not scored: "] in page.rows


def test_systems_are_compared_over_the_songs_of_the_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    drawn: list[Results] = []

    def draw(results: Results, targets: Any) -> bytes:
        drawn.append(results)
        return draw_boxes(results, targets)

    monkeypatch.setattr("songsplit.evaluation.html.draw_boxes", draw)
    mixture = {"good": scores_of([-2.0]), "broken": scores_of([-90.0])}
    page = report(
        tmp_path, {"<model>": {"good": scores_of([1.0]), "broken": failed()}} | {"mixture": mixture}
    )
    note = "over the 1 song of 2 that <model> has scores in: vocals (all measures)"
    assert note in page.text
    cells = page.row("mixture")
    assert cells[1] == "-2.00"
    assert cells[-1] == "1 of 2"
    # The picture shows what the table sums up.
    shown = {song for song, scores in drawn[0]["mixture"].items() if scores.targets}
    assert shown == {"good"}
    # Song by song, nothing is left out.
    assert "-90.00" in page.row("broken")
    assert "Not over all songs" not in report(tmp_path, {"model": mixture}).text


@pytest.mark.parametrize(
    "results",
    [
        {"model": {"a": failed(), "b": failed()}},
        {"model": {"a": scores_of([math.nan, math.nan])}, "mixture": {"a": scores_of([1.0])}},
        {"model": {"a": scores_of([math.inf])}},
        {"model": {"a": failed()}, "mixture": {"a": scores_of([1.0])}},
        {"model": {"a": scores_of([1.0], ("vocals",))}, "mixture": {"a": scores_of([1.0])}},
        {"model": {"a": scores_of([1.0], FIVE), "b": scores_of([1.0], PAIR)}},
        {"model": {"a": scores_of([1.0], ("guitar", "piano", "voice"))}},
        {"model": {"a": scores_of([1.0])}, "mixture": {}},
    ],
    ids=[
        "all failed",
        "silent",
        "perfect",
        "candidate failed",
        "one target",
        "unequal targets",
        "other targets",
        "no yardstick",
    ],
)
def test_incomplete_results_make_a_report(tmp_path: Path, results: Results):
    page = report(tmp_path, results, example("a"))
    assert "nan" not in page.text.lower().split()
    assert "inf" not in page.text.lower().split()


def test_examples_may_be_of_songs_without_scores(tmp_path: Path):
    page = report(tmp_path, {"model": {"a": scores_of([1.0]), "b": failed()}}, example("b"))
    assert "A song: b, vocals" in page.text
    page = report(tmp_path, {"model": {"a": scores_of([1.0])}}, example("a"))
    assert "The only song with a score: a, vocals" in page.text


def test_names_that_fonts_or_files_lack(tmp_path: Path):
    results = {"model": {"\ue123 private": scores_of([1.0]), "no text \udcff": scores_of([2.0])}}
    page = report(tmp_path, results)
    assert "Squares stand for letters" in page.text
    assert "\ue123 private" in page.text
    assert r"no text \udcff" in page.text


def test_pictures_of_an_earlier_report_do_not_stay(tmp_path: Path):
    results = results_of(1)
    song = next(iter(results["model"]))
    (tmp_path / "figures").mkdir()
    mine = tmp_path / "figures" / "mine.png"
    mine.write_bytes(b"not of the report")
    report(tmp_path, results, example(song), example(song, "accompaniment"))
    report(tmp_path, results, example(song))
    assert sorted(path.name for path in (tmp_path / "figures").glob("*over-time*")) == [
        "sdr-over-time-1.png"
    ]
    assert mine.exists()


def test_older_report_stays_where_a_new_one_cannot_be_made(tmp_path: Path):
    results = {"model": {"a": scores_of([1.0])}}
    path = tmp_path / "report.html"
    path.write_text("older")
    with pytest.raises(AudioInputError):
        report(tmp_path, results, Example("a", "vocals", 8000, np.zeros((2, 0)), np.zeros((2, 0))))
    assert path.read_text() == "older"


@pytest.mark.parametrize("blocked", ["report.html", "figures/sdr-by-target.png", ""])
def test_what_cannot_be_written_is_named(tmp_path: Path, blocked: str):
    folder = tmp_path / "out"
    if blocked:
        (folder / blocked).mkdir(parents=True)
    else:
        folder.write_text("a file in the place of the folder")
    with pytest.raises(OutputError, match=re.escape(str(folder / blocked))):
        report(folder, {"model": {"a": scores_of([1.0])}})
    assert not list(tmp_path.rglob("*.partial"))


def test_missing_matplotlib_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        report(tmp_path, {"model": {"a": scores_of([1.0])}})
    assert not list(tmp_path.iterdir())
