from __future__ import annotations

import io
import itertools
import logging
import math
import subprocess
import sys
import unicodedata
import warnings

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from songsplit import drawing
from songsplit.drawing import POINTS, legible
from songsplit.errors import AudioInputError, MissingExtraError
from songsplit.evaluation import charts, figures
from songsplit.evaluation.charts import SONGS_PER_FIGURE, draw_boxes, draw_songs, rank_songs
from songsplit.evaluation.figures import Example, draw_example
from songsplit.evaluation.scores import TrackScores
from tests.evaluation.made_up_scores import FIVE, PAIR, failed, results_of, scores_of

RATE = 8000


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that were rendered, to look at what is in them."""
    found: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        found.append(figure)
        return drawing.png(figure)

    monkeypatch.setattr(charts, "png", keep)
    monkeypatch.setattr(figures, "png", keep)
    return found


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture):
    """Neither warnings nor log messages of matplotlib reach the user."""
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        yield
    assert not caplog.records


def example(seconds: float = 3.0, **changes: object) -> Example:
    audio = np.random.default_rng(0).normal(0, 0.1, (2, round(seconds * RATE)))
    given = {"song": "A - a", "target": "vocals", "sample_rate": RATE}
    return Example(**(given | {"reference": audio, "estimate": 0.5 * audio} | changes))


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in texts(figure)]


def check_legible(figure: Figure) -> None:
    """All text is large enough, inside the figure and clear of other text."""
    paper = Bbox([[0, 0], [figure.bbox.width, figure.bbox.height]])
    boxes = {}
    for number, text in enumerate(texts(figure)):
        box = text.get_window_extent()
        if not box.width:
            continue
        assert text.get_fontsize() >= POINTS, text
        assert paper.padded(1).containsx(box.x0), text
        assert paper.padded(1).containsx(box.x1), text
        assert paper.padded(1).containsy(box.y0), text
        assert paper.padded(1).containsy(box.y1), text
        boxes[number, text.get_text()] = box.shrunk(0.98, 0.75)
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        assert not first.overlaps(second), (one, other)


@pytest.mark.parametrize(("songs", "targets"), [(1, PAIR), (14, PAIR), (60, FIVE)])
def test_boxes_are_legible_and_name_systems_and_medians(
    drawn: list[Figure], songs: int, targets: tuple[str, ...]
):
    results = results_of(songs, targets)
    draw_boxes(results, targets)
    check_legible(drawn[0])
    found = words(drawn[0])
    for system, scored in results.items():
        assert system in found
        for target in targets:
            assert target in found
            median = np.median([scores.value(target, "SDR") for scores in scored.values()])
            assert f"{median:.2f}".replace("-", "\N{MINUS SIGN}") in found


def test_each_song_with_a_score_is_a_dot(drawn: list[Figure]):
    songs = {
        "a": scores_of([1.0]),
        "b": scores_of([7.0]),
        "c": failed(),
        "d": scores_of([math.nan]),
    }
    draw_boxes({"model": songs}, ["vocals"])
    (dots,) = drawn[0].findobj(PathCollection)
    assert sorted(np.asarray(dots.get_offsets())[:, 0]) == [1.0, 7.0]


def test_boxes_without_any_score_say_so(drawn: list[Figure]):
    draw_boxes({"model": {"a": failed()}, "mixture": {"a": scores_of([math.inf])}}, PAIR)
    assert words(drawn[0]).count("no score") == 4


@pytest.mark.parametrize("songs", [1, 14, SONGS_PER_FIGURE + 2])
def test_song_bars_are_legible(drawn: list[Figure], songs: int):
    results = results_of(songs)["model"]
    assert len(draw_songs(results, PAIR)) == len(drawn) == math.ceil(songs / SONGS_PER_FIGURE)
    for figure in drawn:
        check_legible(figure)
        assert figure.axes[0].get_xlim() == drawn[0].axes[-1].get_xlim()
    names = [word for figure in drawn for word in dict.fromkeys(words(figure)) if "Artist" in word]
    assert len(names) == songs


def test_song_bars_are_sorted_and_failures_marked(drawn: list[Figure]):
    songs = {
        "low": scores_of([-3.0]),
        "broken": failed(),
        "high": scores_of([9.0]),
        "silent": scores_of([math.nan, math.nan]),
        "middle": scores_of([4.0, math.nan]),
    }
    draw_songs(songs, PAIR)
    (figure,) = drawn
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["high", "middle", "low", "broken", "silent"]
    assert figure.axes[0].yaxis_inverted()
    widths = [bar.get_width() for bar in figure.axes[0].containers for bar in bar.patches]
    assert widths == [9.0, 4.0, -3.0]
    assert words(figure).count("failed") == 2
    assert words(figure).count("no score") == 2


def test_ranking_falls_back_on_the_next_target():
    only = {"accompaniment": scores_of([5.0]).frames["accompaniment"]}
    songs = {"x": failed(), "b": TrackScores(only), "a": scores_of([1.0])}
    assert rank_songs(songs, PAIR) == ["a", "b", "x"]


def test_odd_names_are_drawn_as_they_are(drawn: list[Figure]):
    odd = ["$x_{$ \\frac", "a\nb\tc", "x" * 300, "\x07\ud800", "", "<b> & 'c'"]
    songs = {name: scores_of([1.0]) for name in odd}
    draw_songs(songs, PAIR)
    draw_boxes({name: {"a": scores_of([1.0])} for name in odd}, ["vocals"])
    for name in odd[:3]:
        draw_example(example(1.0, song=name), scores_of([1.0]))
    for figure in drawn:
        check_legible(figure)
    for figure in drawn[:3]:
        assert any(odd[0] in word for word in words(figure))


def test_names_are_cut_and_letters_without_font_replaced():
    assert legible("short", 5) == "short"
    assert legible("longer", 5) == "long\N{HORIZONTAL ELLIPSIS}"
    assert legible("a \n b", 9) == "a b"
    assert legible(unicodedata.normalize("NFD", "é"), 1) == "é"
    assert legible("Ёлка Ελλάδα", 20) == "Ёлка Ελλάδα"
    assert legible("a\ue123b", 9) == "a\N{WHITE SQUARE}b"
    # Wide letters take the room of two, whether or not there is a font for them.
    assert len(legible("歌" * 20, 10)) == 5


def test_curve_has_gaps_where_there_is_no_score(drawn: list[Figure]):
    sdr = [1.0, math.nan, math.nan, 5.0, math.inf, 3.0]
    draw_example(example(6.5), scores_of(sdr))
    (figure,) = drawn
    check_legible(figure)
    above = figure.axes[0]
    legend = [text.get_text() for text in above.get_legend().get_texts()]
    assert legend == ["SDR", "median 3.00 dB", "no score (silent)", "perfect (infinite)"]
    (steps,) = (patch for patch in above.patches if hasattr(patch, "get_data"))
    np.testing.assert_array_equal(
        steps.get_data().values, [1.0, math.nan, math.nan, 5.0, math.nan, 3.0]
    )
    shaded = [patch.get_x() for patch in above.patches if hasattr(patch, "get_x")]
    assert shaded == [1.0, 2.0]
    assert [axes.get_xlim() for axes in figure.axes[:3]] == [(0, 6.5)] * 3


def test_spectrograms_share_one_scale(drawn: list[Figure]):
    quiet = example()
    draw_example(quiet, scores_of([1.0, 1.0, 1.0]))
    first, second = (axes.images[0] for axes in drawn[0].axes[1:3])
    assert first.get_clim() == second.get_clim()
    difference = np.asarray(first.get_array()) - np.asarray(second.get_array())
    # Half the amplitude is 6 dB less.
    np.testing.assert_allclose(np.median(difference), 20 * np.log10(2), atol=0.01)
    assert np.asarray(first.get_array()).max() == pytest.approx(0)


@pytest.mark.parametrize(
    ("seconds", "sdr"),
    [(0.4, [2.0]), (1.0, [math.nan]), (3.0, [math.inf] * 3), (75.0, [1.0] * 75), (3.0, [])],
)
def test_short_long_silent_and_perfect_songs(drawn: list[Figure], seconds: float, sdr: list[float]):
    scores = scores_of(sdr) if sdr else failed()
    draw_example(example(seconds), scores)
    check_legible(drawn[0])
    if not np.isfinite(sdr).any():
        assert "no score" in words(drawn[0])


@pytest.mark.parametrize("samples", [100, RATE, 5 * RATE])
def test_estimates_of_other_length_and_silence(drawn: list[Figure], samples: int):
    draw_example(example(estimate=np.zeros((2, samples), dtype=np.float32)), scores_of([1.0]))
    reference, estimate = (np.asarray(axes.images[0].get_array()) for axes in drawn[0].axes[1:3])
    assert reference.shape == estimate.shape
    np.testing.assert_allclose(estimate, -80, atol=1e-4)


def test_all_silent_example_is_drawn():
    silence = np.zeros((1, RATE), dtype=np.float32)
    draw_example(example(reference=silence, estimate=silence), scores_of([math.nan]))


def test_example_without_audio_is_refused():
    with pytest.raises(AudioInputError, match="channels, samples"):
        draw_example(example(reference=np.zeros((2, 0))), scores_of([1.0]))


def test_equal_input_gives_equal_files_of_print_quality():
    results = results_of(5)
    first = draw_boxes(results, PAIR)
    assert first == draw_boxes(results, PAIR)
    with Image.open(io.BytesIO(first)) as image:
        assert image.width == 700  # 3.5 inches at 200 dots per inch
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert set(image.info) == {"dpi"}


@pytest.mark.slow
def test_picture_of_a_long_noisy_song_stays_small():
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 60 * 44100)).astype(np.float32)
    png = draw_example(
        example(sample_rate=44100, reference=noise, estimate=noise[:, ::-1]), scores_of([1.0] * 60)
    )
    assert len(png) < 1_000_000


def test_settings_of_the_user_neither_matter_nor_change(monkeypatch: pytest.MonkeyPatch):
    results = results_of(2)
    expected = draw_boxes(results, PAIR), draw_example(example(), scores_of([1.0]))
    for key, value in {
        "text.usetex": True,
        "font.size": 30,
        "font.family": ["serif"],
        "axes.facecolor": "black",
        "savefig.dpi": 50,
    }.items():
        monkeypatch.setitem(rcParams, key, value)
    before = dict(rcParams)
    assert (draw_boxes(results, PAIR), draw_example(example(), scores_of([1.0]))) == expected
    assert dict(rcParams) == before


def test_pyplot_and_its_state_are_left_alone():
    program = """
import sys
import songsplit.evaluation.html
assert "matplotlib" not in sys.modules
from songsplit.evaluation.charts import draw_boxes
from tests.evaluation.made_up_scores import results_of
draw_boxes(results_of(1), ["vocals"])
assert "matplotlib.figure" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_missing_matplotlib_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        draw_boxes(results_of(1), PAIR)
