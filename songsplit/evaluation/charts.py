"""Pictures of all songs' scores: boxes per target and system, bars per song."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from songsplit.drawing import (
    COLOURS,
    COLUMN_INCHES,
    FAINT,
    INK,
    PAGE_INCHES,
    SHADE,
    label_numbers,
    legible,
    minus_signs,
    new_figure,
    plain,
    png,
    text,
)
from songsplit.evaluation.scores import Floats, TrackScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SONGS_PER_FIGURE = 50  # what fits on a page
ROW_INCHES = 0.145  # just enough for text of 8 points


def draw_boxes(results: Mapping[str, Mapping[str, TrackScores]], targets: Sequence[str]) -> bytes:
    """Draw the SDR of all songs as box plots: a panel per target, a box per system.

    A box spans the quartiles with the median in it; its whiskers reach to the last song within
    1.5 times the interquartile range; each dot is a song. The medians stand on the right.

    Parameters
    ----------
    results : mapping of str to mapping of str to TrackScores
        By system and song.
    targets : sequence of str
        The panels.

    Returns
    -------
    bytes
        A PNG, as wide as a column of a paper.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    systems = list(results)
    panel = 0.3 + 0.22 * len(systems)
    figure = new_figure(COLUMN_INCHES, 0.45 + panel * len(targets))
    rows = figure.subplots(len(targets), 1, sharex=True, squeeze=False)[:, 0]
    for axes in rows:
        plain(axes)
        axes.use_sticky_edges = False  # boxes are to keep away from the frame
    for axes, target in zip(rows, targets, strict=True):
        for row, system in enumerate(systems):
            values = np.array([scores.value(target, "SDR") for scores in results[system].values()])
            _box(axes, row, values[np.isfinite(values)], COLOURS[row % len(COLOURS)])
        names = [legible(system, 27) for system in systems]
        axes.set_yticks(range(len(systems)), names, **text())
        axes.set_ylim(len(systems) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=SHADE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_title(legible(target, 24), loc="left", **text(fontweight="bold"))
        _beside(axes, -1, "median")
    label_numbers(rows[-1].xaxis)
    rows[-1].set_xlabel("SDR in dB", **text())
    return png(figure)


def draw_songs(songs: Mapping[str, TrackScores], targets: Sequence[str]) -> list[bytes]:
    """Draw the SDR of each song as a bar, the best songs first.

    Parameters
    ----------
    songs : mapping of str to TrackScores
        Scores of one system. Songs without scores are marked and come last.
    targets : sequence of str
        The panels beside each other; the first one decides on the order.

    Returns
    -------
    list of bytes
        PNGs as wide as the page of a paper, of at most `SONGS_PER_FIGURE` songs each and all on
        one scale.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    names = rank_songs(songs, targets)
    values = [scores.value(target, "SDR") for scores in songs.values() for target in targets]
    finite = [value for value in values if np.isfinite(value)] or [1.0]
    margin = 0.03 * (max(*finite, 0) - min(*finite, 0))
    limits = (
        min(finite) - margin if min(finite) < 0 else 0,
        max(finite) + margin if max(finite) > 0 else 0,
    )
    pages = []
    for start in range(0, len(names), SONGS_PER_FIGURE):
        shown = names[start : start + SONGS_PER_FIGURE]
        figure = new_figure(PAGE_INCHES, 0.6 + ROW_INCHES * max(len(shown), 2))
        panels = figure.subplots(1, len(targets), sharey=True, squeeze=False)[0]
        for axes, target in zip(panels, targets, strict=True):
            plain(axes)
            for row, name in enumerate(shown):
                _bar(axes, row, songs[name], target)
            axes.set_xlim(*limits)
            label_numbers(axes.xaxis)
            axes.set_yticks(range(len(shown)), [legible(name, 52) for name in shown], **text())
            axes.tick_params(axis="y", length=0, labelleft=axes is panels[0])
            axes.spines["left"].set_visible(False)
            axes.axvline(0, color=FAINT, linewidth=0.6)
            axes.set_title(legible(target, 24), loc="left", **text(fontweight="bold"))
            axes.set_xlabel("SDR in dB", **text())
        panels[0].set_ylim(len(shown) - 0.4, -0.6)
        pages.append(png(figure))
    return pages


def rank_songs(songs: Mapping[str, TrackScores], targets: Sequence[str]) -> list[str]:
    """Sort songs by SDR, the best first.

    Parameters
    ----------
    songs : mapping of str to TrackScores
        Scores of one system.
    targets : sequence of str
        Where songs have no score in the first target, the next one decides.

    Returns
    -------
    list of str
        Names. Songs without any score come last, by name.
    """

    def key(name: str) -> tuple[object, ...]:
        values = (songs[name].value(target, "SDR") for target in targets)
        return (*((True, 0.0) if np.isnan(value) else (False, -value) for value in values), name)

    return sorted(songs, key=key)


def _box(axes: Axes, row: int, values: Floats, colour: str) -> None:
    """Draw one box lying on its side; by hand, since the arguments of boxplot change."""
    if not values.size:
        _beside(axes, row, "no score")
        return
    low, median, high = np.percentile(values, [25, 50, 75])
    reach = 1.5 * (high - low)
    ends = values[(values >= low - reach) & (values <= high + reach)]
    axes.hlines([row, row], [ends.min(), high], [low, ends.max()], color=INK, linewidth=0.8)
    # Steps of the golden ratio spread neighbours apart, and the same way each time.
    offsets = 0.7 * ((np.arange(values.size) * 0.6180339887 + 0.5) % 1 - 0.5)
    size = 5 if values.size <= 30 else 2
    axes.scatter(np.sort(values), row + offsets, s=size, color=colour, linewidths=0, zorder=3)
    axes.barh(row, high - low, 0.5, left=low, fill=False, edgecolor=INK, linewidth=0.8, zorder=4)
    axes.vlines(median, row - 0.25, row + 0.25, color=INK, linewidth=2, zorder=4)
    _beside(axes, row, f"{median:.2f}")


def _bar(axes: Axes, row: int, scores: TrackScores, target: str) -> None:
    value = scores.value(target, "SDR")
    if np.isfinite(value):
        axes.barh(row, value, 0.7, color=COLOURS[0])
        _beside(axes, row, f"{value:.2f}")
    else:
        axes.axhspan(row - 0.5, row + 0.5, color=SHADE, linewidth=0)
        _beside(axes, row, "no score" if scores.targets else "failed")


def _beside(axes: Axes, row: int, label: str) -> None:
    """Write a figure, or why there is none, on the right of a row."""
    is_number = label[-1].isdigit()
    axes.annotate(
        minus_signs(label),
        (1, row),
        xycoords=axes.get_yaxis_transform(),
        xytext=(34 if is_number else 4, 0),
        textcoords="offset points",
        annotation_clip=False,
        **text(
            ha="right" if is_number else "left",
            va="center_baseline",
            fontstyle="normal" if is_number else "italic",
        ),
    )
