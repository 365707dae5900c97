"""Picture of one song: its score over time above spectrograms of reference and estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from songsplit.drawing import (
    COLOURS,
    FAINT,
    PAGE_INCHES,
    POINTS,
    SHADE,
    label_numbers,
    legible,
    new_figure,
    plain,
    png,
    text,
)
from songsplit.evaluation.scores import (
    HOP_SECONDS,
    WINDOW_SECONDS,
    Floats,
    Samples,
    TrackScores,
)
from songsplit.evaluation.spectrogram import log_spectrogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

RANGE_DECIBELS = 80
# Few colours keep the file small: noise in hundreds of them cannot be compressed.
COLOUR_STEPS = 64


@dataclass(frozen=True)
class Example:
    """A song to draw over time.

    Parameters
    ----------
    song : str
        Its name, as in the results.
    target : str
        What was separated.
    sample_rate : int
        Samples per second.
    reference, estimate : ndarray, shape (channels, samples)
        True and estimated audio of the target.
    """

    song: str
    target: str
    sample_rate: int
    reference: Samples
    estimate: Samples


def draw_example(
    example: Example, scores: TrackScores, limits: tuple[float, float] | None = None
) -> bytes:
    """Draw the SDR of one song over time above spectrograms of reference and estimate.

    Both spectrograms share one scale: 0 dB is the highest power in either of them. Frames
    without a score are shaded, frames with a perfect (infinite) one marked at the upper edge.

    Parameters
    ----------
    example : Example
        The song. An estimate of another length is cut or filled with silence.
    scores : TrackScores
        Its scores.
    limits : tuple of float, optional
        Lowest and highest SDR in dB to show, so that several pictures have one scale.

    Returns
    -------
    bytes
        A PNG, as wide as the page of a paper.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    AudioInputError
        If the audio has another shape or no sample.
    """
    figure = new_figure(PAGE_INCHES, 5.2)
    seconds = example.reference.shape[1] / example.sample_rate
    grid = figure.add_gridspec(3, 2, height_ratios=(1, 1.2, 1.2), width_ratios=(1, 0.02))
    above = figure.add_subplot(grid[0, 0])
    measures = scores.frames.get(example.target, {})
    _curve(above, np.asarray(measures.get("SDR", []), dtype=np.float64))
    if limits is not None:
        above.set_ylim(limits)
    pictures = [figure.add_subplot(grid[row, 0], sharex=above) for row in (1, 2)]
    image = _spectrograms(pictures, example, seconds)
    for axes, title in zip(pictures, ("reference", "estimate"), strict=True):
        axes.set_title(title, loc="left", **text(fontweight="bold"))
    above.set_xlim(0, seconds)
    for axes in (above, pictures[0]):
        axes.tick_params(labelbottom=False)
    ticks = _time_ticks(seconds)
    clock = [
        f"{tick // 60:.0f}:{tick % 60:02.0f}" if ticks[-1] >= 60 else f"{tick:g}" for tick in ticks
    ]
    pictures[1].set_xticks(ticks, clock, **text())
    pictures[1].set_xlabel("minutes:seconds" if ticks[-1] >= 60 else "seconds", **text())
    bar = figure.colorbar(image, cax=figure.add_subplot(grid[1:, 1]))
    plain(bar.ax)
    bar.set_label("power in dB, 0 = highest of both", **text())
    label_numbers(bar.ax.yaxis)
    figure.suptitle(
        f"{legible(example.song, 70)}: {legible(example.target, 20)}",
        **text(fontweight="bold", x=0.01, ha="left"),
    )
    return png(figure)


def _curve(axes: Axes, values: Floats) -> None:
    """Draw the SDR of each frame as a step, with gaps where there is none."""
    plain(axes)
    axes.set_ylabel("SDR in dB", **text())
    axes.grid(axis="y", color=SHADE, linewidth=0.6)
    axes.set_axisbelow(True)
    starts = np.arange(len(values)) * HOP_SECONDS
    finite = np.where(np.isfinite(values), values, np.nan)
    if np.isfinite(values).any():
        edges = np.append(starts, starts[-1] + WINDOW_SECONDS)
        axes.stairs(finite, edges, baseline=None, color=COLOURS[0], linewidth=1, label="SDR")
        median = float(np.nanmedian(finite))
        axes.axhline(
            median, color=FAINT, linestyle="--", linewidth=0.8, label=f"median {median:.2f} dB"
        )
        label_numbers(axes.yaxis)
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, **_centred())
    label = "no score (silent)"
    for start in starts[np.isnan(values)]:
        axes.axvspan(start, start + HOP_SECONDS, color=SHADE, linewidth=0, label=label)
        label = "_"
    perfect = starts[np.isposinf(values)] + WINDOW_SECONDS / 2
    if perfect.size:
        axes.plot(
            perfect,
            np.full(perfect.size, 0.95),
            transform=axes.get_xaxis_transform(),
            color=COLOURS[0],
            linestyle="",
            marker="^",
            markersize=3,
            label="perfect (infinite)",
        )
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0.2,
            ncols=4,
            frameon=False,
            fontsize=POINTS,
        )
        for words in (legend.get_title(), *legend.get_texts()):
            words.set(**text())


def _spectrograms(panels: Sequence[Axes], example: Example, seconds: float) -> AxesImage:
    """Draw reference and estimate on one scale; gives an image for the colour bar."""
    from matplotlib import colormaps

    samples = example.reference.shape[1]
    missing = max(0, samples - example.estimate.shape[1])
    estimate = np.pad(example.estimate[:, :samples], ((0, 0), (0, missing)))
    powers = []
    for audio in (example.reference, estimate):
        power, (low, high) = log_spectrogram(audio, example.sample_rate)
        powers.append(power)
    # The floor only keeps silence out of the logarithm.
    peak = max(float(power.max()) for power in powers) or 1.0
    ticks = [hertz for hertz in (100, 300, 1000, 3000, 10000) if low <= hertz <= high]
    labels = [f"{hertz // 1000}k" if hertz >= 1000 else str(hertz) for hertz in ticks]
    for axes, power in zip(panels, powers, strict=True):
        plain(axes)
        image = axes.imshow(
            10 * np.log10(np.maximum(power / peak, 10 ** (-RANGE_DECIBELS / 10))),
            cmap=colormaps["magma"].resampled(COLOUR_STEPS),
            vmin=-RANGE_DECIBELS,
            vmax=0,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=(0, seconds, np.log(low), np.log(high)),
        )
        axes.set_yticks(np.log(ticks), labels, **text())
        axes.set_ylabel("Hz", **text())
    return image


def _time_ticks(seconds: float) -> Floats:
    """Round times, ten at most."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)
    step = next((step for step in steps if seconds / step <= 10), seconds)
    ticks: Floats = np.arange(0, seconds * (1 + 1e-9), step)
    return ticks


def _centred() -> dict[str, Any]:
    return text(va="center", ha="center", color=FAINT, fontstyle="italic")
