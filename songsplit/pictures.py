"""A picture of a song and its stems: spectrograms and waveforms, one below the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from songsplit import drawing
from songsplit.dsp.overview import Overview

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SONG = "song"
_WIDTH, _ROW_HEIGHT = 10.0, 2.4  # inches
_RANGE = 80.0  # dB from the loudest to black


class SongPicture:
    """Gathers what a picture of a song shows, while the song is being separated.

    Parameters
    ----------
    title : str
        What the picture is called, usually the song's name.
    stems : sequence of str
        Names of the stems.
    sample_rate : int
        Rate in Hz.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed: before the work, not after it.
    """

    def __init__(self, title: str, stems: tuple[str, ...], sample_rate: int) -> None:
        self._figure = drawing.new_figure(_WIDTH, _ROW_HEIGHT * (1 + len(stems)), extra="plots")
        self._title = title
        self._rows = {name: Overview(sample_rate) for name in (_SONG, *stems)}

    def add(self, blocks: Mapping[str, NDArray[np.float32]]) -> None:
        """Take the next ``(channels, n)`` of every stem."""
        self._rows[_SONG].add(np.sum(list(blocks.values()), axis=0, dtype=np.float32))
        for name, block in blocks.items():
            self._rows[name].add(block)

    def png(self) -> bytes:
        """Draw the picture."""
        for overview in self._rows.values():
            overview.finish()
        return self._draw()

    def _draw(self) -> bytes:
        figure = self._figure
        grid = figure.add_gridspec(2 * len(self._rows), 1, height_ratios=[3, 1] * len(self._rows))
        figure.suptitle(drawing.legible(self._title, 90), **drawing.text(fontsize=11))
        loudest = float(self._rows[_SONG].decibels.max())
        highest = max(float(row.peaks.max()) for row in self._rows.values()) or 1.0
        shared = None
        for index, (name, row) in enumerate(self._rows.items()):
            sound = shared = figure.add_subplot(grid[2 * index], sharex=shared)
            times = np.linspace(0, row.seconds, row.decibels.shape[1] + 1)
            sound.pcolormesh(
                times,
                np.arange(len(row.edges)),
                row.decibels,
                vmin=loudest - _RANGE,
                vmax=loudest,
                cmap="magma",
                rasterized=True,
            )
            _label_frequencies(sound, row.edges)
            sound.set_ylabel(name, **drawing.text(fontsize=9))
            sound.tick_params(labelbottom=False)
            wave = figure.add_subplot(grid[2 * index + 1], sharex=sound)
            middles = (times[:-1] + times[1:]) / 2
            wave.fill_between(middles, -row.peaks, row.peaks, color=drawing.COLOURS[0], linewidth=0)
            wave.set(ylim=(-highest, highest), yticks=[], xlim=(0, row.seconds))
            drawing.plain(wave)
            wave.tick_params(labelbottom=index == len(self._rows) - 1)
        drawing.label_numbers(wave.xaxis)
        wave.set_xlabel("seconds", **drawing.text())
        return drawing.png(figure)


def _label_frequencies(axes: Axes, edges: NDArray[np.float64]) -> None:
    shown = [hertz for hertz in (100, 300, 1000, 3000, 10000) if edges[0] <= hertz <= edges[-1]]
    places = np.interp(shown, edges, np.arange(len(edges)))
    names = [f"{hertz / 1000:g} kHz" if hertz >= 1000 else f"{hertz} Hz" for hertz in shown]
    axes.set_yticks(places, names, **drawing.text(fontsize=7))
    drawing.plain(axes)
