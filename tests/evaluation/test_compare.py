"""Paired comparison of two systems."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import wilcoxon

from songsplit.errors import DataError, MissingExtraError
from songsplit.evaluation.compare import compare
from songsplit.evaluation.comparison_tables import print_comparison
from songsplit.evaluation.store import store_summary, write_json
from tests.evaluation.test_summary import FAILED, scores

FIVE = ("vocals", "accompaniment", "drums", "bass", "other")


@pytest.fixture
def store(tmp_path):
    """Write a summary of SDR of the vocals by song, or of scores by song."""

    def store(name, songs, digests=None, backend="songsplit"):
        songs = {
            song: scores([given]) if isinstance(given, float) else given
            for song, given in songs.items()
        }
        about = {"songs": {song: {"reference_digest": f"of {song}"} for song in songs}}
        for song, digest in (digests or {}).items():
            about["songs"][song] = {"reference_digest": digest}
        if backend is not None:
            about["settings"] = {"backend": backend}
        path = tmp_path / name / "summary.json"
        # The yardsticks beside it must not matter.
        store_summary(path, {name: songs, "mixture": {"x": scores([0.0])}}, about)
        return path

    return store


def numbered(values):
    return {f"song {index}": float(value) for index, value in enumerate(values)}


def of(comparison, target="vocals", measure="SDR"):
    (found,) = [d for d in comparison.differences if (d.target, d.measure) == (target, measure)]
    return found


def text_of(comparison, width=80):
    file = io.StringIO()
    print_comparison(comparison, Console(file=file, width=width))
    return file.getvalue()


def test_differences_by_hand(store):
    a = store("a", numbered([1, 2, 3, 4, 5]))
    b = store("b", numbered([2, 2, 5.5, 3.75, 9]))
    comparison = compare(a, b)
    assert (comparison.first, comparison.second) == ("a", "b")
    assert (comparison.first_file, comparison.second_file) == (str(a), str(b))
    found = of(comparison)
    assert list(found.by_song.values()) == [1, 0, 2.5, -0.25, 4]
    assert (found.pairs, found.median, found.mean) == (5, 1.0, 1.45)
    assert (found.wins, found.losses, found.ties) == (3, 1, 1)
    # Ranks 2, 3, 1, 4 of which the negative has 1: 2 of 16 signs give 1 or less, on each side.
    assert found.p == pytest.approx(4 / 16)
    assert {(d.target, d.measure) for d in comparison.differences} == {
        (target, measure)
        for target in ("vocals", "accompaniment")
        for measure in ("SDR", "ISR", "SIR", "SAR", "uSDR", "SI-SDR")
    }
    usdr = of(comparison, measure="uSDR")
    assert (usdr.pairs, usdr.mean, usdr.ties) == (5, 0.0, 5)


def test_interval_is_near_that_of_the_normal_distribution(store, rng):
    differences = rng.normal(0.5, 1, 60)
    a, b = store("a", numbered(np.zeros(60))), store("b", numbered(differences))
    low, high = of(compare(a, b)).interval
    error = 1.96 * differences.std() / math.sqrt(60)
    assert low == pytest.approx(differences.mean() - error, abs=0.03)
    assert high == pytest.approx(differences.mean() + error, abs=0.03)
    assert of(compare(a, b)).p == pytest.approx(wilcoxon(differences).pvalue, rel=1e-3)


def test_swapped_files_give_the_same_with_the_sign_turned(store, rng):
    a, b = store("a", numbered(rng.normal(size=9))), store("b", numbered(rng.normal(size=9)))
    there, back = of(compare(a, b)), of(compare(b, a))
    assert there.interval == pytest.approx([-value for value in reversed(back.interval)])
    assert there.mean == pytest.approx(-back.mean)
    assert there.p == pytest.approx(back.p)
    assert (there.wins, there.losses) == (back.losses, back.wins)


def test_same_numbers_each_time(store, rng):
    a, b = store("a", numbered(rng.normal(size=9))), store("b", numbered(rng.normal(size=9)))
    assert compare(a, b) == compare(a, b)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pairs", [1, 2, 3, 12])
def test_equal_systems(store, pairs):
    path = store("a", numbered(range(pairs)))
    found = of(compare(path, path))
    assert (found.mean, found.ties, found.p) == (0.0, pairs, None)
    assert found.interval == (None if pairs < 3 else (0.0, 0.0))


@pytest.mark.filterwarnings("error")
def test_too_few_songs_for_statistics(store):
    a, b = store("a", numbered([1, 2])), store("b", numbered([2, 3.5]))
    found = of(compare(a, b))
    assert (found.pairs, found.median, found.interval, found.p) == (2, 1.25, None, None)
    # Three songs, of which two differ.
    a, b = store("a", numbered([1, 2, 3])), store("b", numbered([2, 3.5, 3]))
    found = of(compare(a, b))
    assert found.interval is not None
    assert found.p is None


def test_equal_differences_are_ties_in_rank_despite_rounding(store):
    # 0.3 - 0.2 and 1.1 - 1.0 are not the same floating point number.
    first, second = [0.2, 1.0, 5.0, 7.0], [0.3, 1.1, 4.9, 6.9]
    found = of(compare(store("a", numbered(first)), store("b", numbered(second))))
    assert set(found.by_song.values()) == {0.1, -0.1}
    assert found.p == 1.0


def test_songs_without_a_score_in_both_do_not_count(store):
    nothing = scores([math.nan], usdr=1.0)
    a = store("a", {"x": 1.0, "y": nothing, "z": 3.0, "w": FAILED, "a [b]": 1.0})
    b = store("b", {"z": 4.0, "y": 2.0, "w": 2.0, "x": FAILED, "v": FAILED})
    comparison = compare(a, b)
    assert comparison.songs == ("y", "z")
    assert comparison.only_first == ("x", "a [b]")
    assert comparison.only_second == ("w",)
    assert of(comparison).by_song == {"z": 1.0}
    assert of(comparison, measure="uSDR").pairs == 2
    lines = text_of(comparison).splitlines()
    start = lines.index("scored in A alone, and left out:")
    assert lines[start + 1 : start + 5] == [
        "  x", "  a [b]", "scored in B alone, and left out:", "  w"
    ]  # fmt: skip


def test_songs_that_a_measure_lacks_are_named(store):
    perfect = scores([math.inf], usdr=1.0, targets=("vocals",))
    one = scores([1.0], targets=("vocals",))
    a = store("a", {"w": one, "x": one, "y": scores([1.0], usdr=math.inf, targets=("vocals",))})
    b = store("b", {"w": one, "x [1]": one, "x": perfect, "y": one})
    comparison = compare(a, b)
    sdr, usdr = of(comparison), of(comparison, measure="uSDR")
    assert (sdr.pairs, sdr.missing_first, sdr.missing_second) == (2, (), ("x",))
    assert (usdr.pairs, usdr.missing_first, usdr.missing_second) == (2, ("y",), ())
    lines = [line.strip() for line in text_of(comparison, 120).splitlines()]
    start = lines.index("1 song without a score in B, left out of vocals (SDR, ISR, SIR, SAR):")
    assert lines[start + 1] == "x"
    start = lines.index("1 song without a score in A, left out of vocals (uSDR, SI-SDR):")
    assert lines[start + 1] == "y"
    assert any("perfect" in line for line in lines)
    assert "perfect" not in text_of(compare(a, store("c", {"w": one})))


def test_songs_without_any_score_in_both_are_named(store):
    perfect = scores([math.inf], usdr=math.inf)
    a = store("a", {"x": 1.0, "p": perfect, "f": FAILED, "q": perfect})
    b = store("b", {"x": 2.0, "p": perfect, "q": 1.0})
    comparison = compare(a, b)
    assert comparison.unscored == ("p", "f")
    assert comparison.only_second == ("q",)
    lines = text_of(comparison).splitlines()
    start = lines.index("without a score in A and B, and left out:")
    assert lines[start + 1 : start + 3] == ["  p", "  f"]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("songsplit", "songsplit", ""),
        (None, None, ""),
        ("songsplit", "museval", "A was scored by backend 'songsplit', B by backend 'museval'"),
        ("museval", None, "A was scored by backend 'museval', B by a backend that its summary"),
    ],
)
def test_other_backends_are_told(store, first, second, told):
    comparison = compare(
        store("a", {"x": 1.0}, backend=first), store("b", {"x": 2.0}, backend=second)
    )
    assert (comparison.first_backend, comparison.second_backend) == (first, second)
    text = text_of(comparison, 160)
    assert told in text
    assert ("warning" in text) == bool(told)


def test_targets_of_both_alone_are_compared(store):
    a = store("a", {"x": scores([1.0], targets=FIVE), "y": scores([1.0])})
    b = store("b", {"x": scores([1.0]), "y": scores([2.0], targets=("vocals", "drums"))})
    comparison = compare(a, b)
    targets = dict.fromkeys(difference.target for difference in comparison.differences)
    assert list(targets) == ["vocals", "accompaniment", "drums"]
    drums = of(comparison, "drums")
    assert (drums.pairs, drums.mean, drums.interval, drums.p) == (0, None, None, None)
    assert "-" in text_of(comparison)


def test_other_audio_is_an_error_that_names_the_song(store):
    a = store("a", numbered([1, 2]))
    b = store("b", numbered([1, 2]), {"song 1": "of other audio"})
    with pytest.raises(DataError, match="'song 1' differs") as caught:
        compare(a, b)
    assert "song 0" not in str(caught.value)


@pytest.mark.parametrize("digest", [None, ""])
def test_unknown_audio_is_an_error(store, digest):
    a = store("a", numbered([1]))
    b = store("b", numbered([1]), {"song 0": digest})
    with pytest.raises(DataError, match=r"b.summary\.json: does not tell which audio 'song 0'"):
        compare(a, b)


def test_no_common_song_is_an_error(store):
    a, b = store("a", {"x": 1.0, "y": FAILED}), store("b", {"y": 1.0})
    with pytest.raises(DataError, match="no song with scores in common"):
        compare(a, b)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"systems": {}}', '{"systems": []}', '{"systems": {"a": {}}}',
        '{"systems": {"a": {"songs": {"x": {"vocals": {"SDR": 1}}}}}}',
        '{"systems": {"a": {"songs": {"x": 1}}}}', "\xff",
    ],
)  # fmt: skip
def test_files_that_are_no_summary_are_named(store, tmp_path, text):
    path = tmp_path / "strange [file].json"
    path.write_bytes(text.encode("latin-1"))
    for pair in ((path, store("b", {"x": 1.0})), (store("a", {"x": 1.0}), path)):
        with pytest.raises(DataError, match=r"strange \[file\]\.json: not a summary"):
            compare(*pair)


@pytest.mark.parametrize(
    "value", ['"high"', '"7"', "true", "NaN", "-Infinity", "1e999", "1" + 400 * "0", "[]"]
)
def test_figure_that_is_no_finite_number_is_named(store, value):
    path = store("a", {"x": 1.0, "y": 2.0})
    path.write_text(path.read_text().replace('"SDR": 2.0', f'"SDR": {value}'))
    with pytest.raises(DataError, match=r"summary\.json: SDR of vocals .*finite.* song 'y'"):
        compare(path, path)


def test_whole_numbers_are_figures(store):
    path = store("a", {"x": 2.0})
    path.write_text(path.read_text().replace('"SDR": 2.0', '"SDR": 2'))
    assert of(compare(path, store("b", {"x": 3.5}))).by_song == {"x": 1.5}


def test_missing_files_are_named(store, tmp_path):
    a = store("a", {"x": 1.0})
    with pytest.raises(DataError, match=r"none\.json.*No such file"):
        compare(a, tmp_path / "none.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty.summary\.json.*No such file"):
        compare(tmp_path / "empty", a)


def test_folders_stand_for_the_summaries_in_them(store):
    a, b = store("a", {"x": 1.0}), store("b", {"x": 2.0})
    assert compare(a.parent, b.parent) == compare(a, b)


def test_comparison_can_be_stored(store, tmp_path, rng):
    a, b = store("a", numbered(rng.normal(size=5))), store("b", numbered(rng.normal(size=5)))
    comparison = compare(a, b)
    path = tmp_path / "comparison.json"
    write_json(path, comparison.as_dict())
    content = json.loads(path.read_text())
    assert content["first"] == "a"
    assert content["songs"] == list(comparison.songs)
    found = content["differences"][0]
    assert (found["target"], found["measure"]) == ("vocals", "SDR")
    assert found["interval"] == list(of(comparison).interval)
    assert found["by_song"] == of(comparison).by_song


@pytest.mark.parametrize("width", [80, 160])
def test_printed_comparison(store, width):
    songs = {f"Band [{index}] - {'long ' * 9}song {index}": 1.0 for index in range(12)}
    # The one in the middle is worse.
    better = {song: -9.75 if i == 3 else 2.5 + i / 1000 for i, song in enumerate(songs)}
    a = store("a", {song: scores([v], targets=FIVE) for song, v in songs.items()})
    b = store("b", {song: scores([v], targets=FIVE) for song, v in better.items()})
    text = text_of(compare(a, b), width)
    lines = text.splitlines()
    assert lines[:2] == [f"A: a ({a})", f"B: b ({b})"]
    assert max(map(len, lines[2:-2])) <= width
    assert "…" not in text
    for target in FIVE:
        assert f"{target}, B - A (dB)" in text
    row = next(line.split() for line in lines if line.strip().startswith("SDR  "))
    assert row[:4] == ["SDR", "12", "+1.51", "+0.48"]
    assert row[-1] == "11/1/0"
    assert "+" not in row[4]
    assert row[5] == "to"
    by_song = text[text.index("SDR song by song") :]
    assert by_song.count("+1.5") == 11 * len(FIVE)
    assert by_song.count("-10.75") == len(FIVE)
    assert "Band [3]" in by_song


def test_scipy_is_asked_for_where_it_is_missing(store, monkeypatch):
    path = store("a", {"x": 1.0})
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingExtraError, match=r"songsplit\[eval\]"):
        compare(path, path)


def test_importing_needs_neither_torch_nor_scipy():
    modules = "store, summary, tables, compare"
    program = (
        f"from songsplit.evaluation import {modules}\n"
        "import sys\n"
        "assert not {'torch', 'scipy', 'matplotlib', 'museval'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
