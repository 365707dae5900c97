"""Printed tables of scores."""

from __future__ import annotations

import io
import math
import os
import re

import pytest
from rich.console import Console

from songsplit.evaluation.scores import METRICS
from songsplit.evaluation.tables import print_results
from tests.evaluation.test_summary import FAILED, scores

FIVE = ("vocals", "accompaniment", "drums", "bass", "other")
SONGS = [*METRICS, "uSDR"]
STATISTICS = ["median", "mean", "25 %", "75 %", "songs"]
MEDIANS = [*METRICS, "uSDR", "SI-SDR"]


def printed(results, width=120):
    file = io.StringIO()
    print_results(results, Console(file=file, width=width))
    return file.getvalue()


def tables(text):
    """Rows of cells of each table, its headings first."""
    found = []
    for line in text.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if cells[0] in ("song", "system"):
            found.append([cells])
        elif found and len(cells) == len(found[-1][0]):
            found[-1].append(cells)
    return found


def test_figures_are_where_they_belong():
    results = {
        "model": {
            "Band [2] - Sóng": scores([1.25], usdr=-0.5),
            "b": scores([math.nan], usdr=math.nan),
            "c": FAILED,
            "d": scores([3.25], usdr=-0.5),
            "e": scores([5.25], usdr=-0.5),
        },
        "mixture": {
            "Band [2] - Sóng": scores([-33.5]),
            "b": scores([99.0]),
            "c": scores([99.0]),
            "d": scores([-32.0]),
            "e": scores([-36.0, -36.5, -37]),
        },
    }
    songs, statistics, medians = tables(printed(results))
    assert songs == [
        ["song", *SONGS, *SONGS],
        [
            "Band [2] - Sóng", "1.25", "2.25", "3.25", "4.25", "-0.50",
            "11.25", "12.25", "13.25", "14.25", "9.50",
        ],
        ["b", *["-"] * 10],
        ["c", *["-"] * 10],
        [
            "d", "3.25", "4.25", "5.25", "6.25", "-0.50",
            "13.25", "14.25", "15.25", "16.25", "9.50",
        ],
        [
            "e", "5.25", "6.25", "7.25", "8.25", "-0.50",
            "15.25", "16.25", "17.25", "18.25", "9.50",
        ],
    ]  # fmt: skip
    assert statistics == [
        ["system", *STATISTICS, *STATISTICS],
        [
            "model", "3.25", "3.25", "2.25", "4.25", "3",
            "13.25", "13.25", "12.25", "14.25", "3",
        ],
        [
            "mixture", "-33.50", "-34.00", "-35.00", "-32.75", "3",
            "-23.50", "-24.00", "-25.00", "-22.75", "3",
        ],
    ]  # fmt: skip
    assert medians[0] == ["system", *MEDIANS, *MEDIANS]
    assert medians[2] == [
        "mixture", "-33.50", "-32.50", "-31.50", "-30.50", "0.00", "1.00",
        "-23.50", "-22.50", "-21.50", "-20.50", "10.00", "11.00",
    ]  # fmt: skip


def test_counts_are_told_below_the_tables_where_songs_are_missing():
    full = {name: scores([1.0]) for name in "abc"}
    results = {"my [model]": full | {"b": FAILED}, "mixture": full}
    lines = printed(results).splitlines()
    start = lines.index("not over all songs:")
    assert lines[start + 1] == (
        "over the 2 songs of 3 that my [model] has scores in: vocals (all measures), "
        "accompaniment (all measures)"
    )
    assert lines[start + 2] == "failed:"
    assert "not over all songs" not in printed({"my [model]": full, "mixture": full})


@pytest.mark.parametrize("width", [80, 100, 120, 160])
@pytest.mark.parametrize("targets", [("vocals", "accompaniment"), FIVE])
def test_everything_fits_the_console(width, targets):
    name = "A Band With a Long Name - A Song With a Name That Is Longer Still (Remastered)"
    results = {
        "my-model": {name: scores([-10.25], targets=targets), "s": scores([7], targets=targets)},
        "multichannel Wiener filter": {name: scores([-99.99], targets=targets)},
    }
    text = printed(results, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for word in [*name.split(), "multichannel", "Wiener", "filter"]:
        assert word in text
    for first, headings in (("song", SONGS), ("system", STATISTICS), ("system", MEDIANS)):
        shown = [t for t in tables(text) if t[0][: len(headings) + 1] == [first, *headings]]
        assert sum((len(t[0]) - 1) // len(headings) for t in shown) == len(targets)
        assert all(len(t) == 3 for t in shown)
    for target in range(len(targets)):
        assert f"{-99.99 + 10 * target:.2f}" in text


def test_wider_consoles_need_fewer_tables():
    results = {"model": {"a": scores([1.0], targets=FIVE)}}
    assert [len(tables(printed(results, width))) for width in (80, 120, 160)] == [15, 9, 7]


def test_targets_are_those_of_the_judged_system():
    results = {"model": {"a": scores([1.0])}, "mixture": {"a": scores([1.0], targets=FIVE)}}
    assert "drums" not in printed(results)


def test_system_without_a_target_has_dashes_there():
    results = {
        "model": {"a": scores([1.0])},
        "mixture": {"a": scores([2.0], targets=("vocals",))},
    }
    _, statistics, _ = tables(printed(results))
    assert statistics[2] == ["mixture", "2.00", "2.00", "2.00", "2.00", "1", *["-"] * 5]


def test_failed_songs_and_remarks_are_listed_once_each():
    cut = scores([1.0], "not [bold]all there")
    results = {
        "model": {"a": FAILED, "b": cut, "c": scores([1.0])},
        "mixture": {"a": scores([1.0]), "b": cut, "c": scores([1.0])},
    }
    lines = printed(results, 80).splitlines()
    assert lines[-4:] == [
        "failed:",
        "  a (model): no vocals",
        "remarks:",
        "  b (model, mixture): not [bold]all there",
    ]


def test_all_songs_failed():
    assert printed({"model": {"a": FAILED}}).splitlines() == ["failed:", "  a (model): no vocals"]


def test_nothing_to_print():
    assert printed({}) == ""
    assert "failed" not in printed({"model": {}})


def test_names_that_a_terminal_cannot_show():
    name = os.fsdecode(b"caf\xe9 [red]x[/red]")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    print_results({name: {name: scores([1.0], "why")}}, Console(file=stream, width=100))
    stream.seek(0)
    assert "  caf\\udce9 [red]x[/red] (caf\\udce9 [red]x[/red]): why" in stream.read().splitlines()
