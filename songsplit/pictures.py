"""A picture of a song and its stems: spectrograms and waveforms, one below the other."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float32]

_SONG = "song"
_WIDTH, _ROW_HEIGHT = 10.0, 2.4  # inches
_RANGE = 80.0  # dB from the loudest to black
_FRAME_SECONDS = 0.09
_LOWEST, _HIGHEST, _BANDS = 40.0, 16000.0, 96  # Hz, and bands on the mel scale between them
_COLUMNS = 1000  # at most twice as many
# Fonts for characters that matplotlib's own font lacks, as systems come with them.
_OTHER_FONTS = ("Noto Sans CJK JP", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Malgun Gothic")
_DRAWING = threading.Lock()  # matplotlib's settings belong to the whole process


class SongPicture:
    """Gathers what a picture of a song shows, while the song is being separated.

    Raises MissingExtraError if matplotlib is not installed: before the work, not after it.
    """

    def __init__(self, title: str, stems: Sequence[str], sample_rate: int) -> None:
        try:
            import matplotlib.figure  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("matplotlib", "plots") from error
        self._title = title
        self._rows = {name: _Overview(sample_rate) for name in (_SONG, *stems)}

    def watching(self, blocks: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """Pass blocks of stems, each (channels, n), through and take note of them."""
        for block in blocks:
            stems = dict(block)
            self._rows[_SONG].add(np.sum(list(stems.values()), axis=0, dtype=np.float32))
            for name, samples in stems.items():
                self._rows[name].add(samples)
            yield stems

    def png(self) -> bytes:
        """Draw the picture."""
        import matplotlib.style

        for row in self._rows.values():
            row.finish()
        # The user's settings are for the user's pictures.
        with _DRAWING, matplotlib.style.context("default"):
            return self._draw()

    def _draw(self) -> bytes:
        from matplotlib.figure import Figure

        size = _WIDTH, _ROW_HEIGHT * len(self._rows)
        figure = Figure(figsize=size, dpi=200, layout="constrained")
        grid = figure.subplots(
            2 * len(self._rows), sharex=True, height_ratios=[3, 1] * len(self._rows)
        )
        # Names such as "$ong" are no mathematics.
        figure.suptitle(_legible(self._title), fontfamily=_fonts(), parse_math=False)
        loudest = float(self._rows[_SONG].decibels.max())
        highest = max(float(row.peaks.max()) for row in self._rows.values()) or 1.0
        for index, (name, row) in enumerate(self._rows.items()):
            sound, wave = grid[2 * index : 2 * index + 2]
            times = np.linspace(0, row.seconds, row.decibels.shape[1] + 1)
            bands = np.arange(len(row.edges))
            limits = {"vmin": loudest - _RANGE, "vmax": loudest}
            sound.pcolormesh(times, bands, row.decibels, cmap="magma", rasterized=True, **limits)
            sound.set_ylabel(name)
            _label_frequencies(sound, row.edges)
            middles = (times[:-1] + times[1:]) / 2
            wave.fill_between(middles, -row.peaks, row.peaks, linewidth=0)
            wave.set(ylim=(-highest, highest), yticks=[], xlim=(0, max(row.seconds, 1e-3)))
        grid[-1].set_xlabel("seconds")
        content = io.BytesIO()
        # Without matplotlib's version, so that equal pictures are equal files.
        figure.savefig(content, format="png", metadata={"Software": None})
        return content.getvalue()


class _Overview:
    """Spectrogram and waveform of audio that comes block by block, in some thousand columns.

    Memory does not grow with the length: where there are too many columns, each pair of them
    becomes one.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame = max(16, 2 ** round(np.log2(_FRAME_SECONDS * sample_rate)))
        self._window = np.hanning(self._frame).astype(np.float32)
        self._edges = _band_edges(sample_rate, self._frame)
        self._held = np.zeros((0, 0), np.float32)
        self._columns: list[tuple[Array, float]] = []  # power of each band, and the peak
        self._pending: list[tuple[Array, float]] = []
        self._merged = 1  # frames in a column
        self._samples = 0

    def add(self, block: Array) -> None:
        """Take float32 ``(channels, n)``."""
        self._samples += block.shape[1]
        joined = np.concatenate([self._held.reshape(len(block), -1), block], axis=1)
        start = 0
        while start + self._frame <= joined.shape[1]:
            self._add_frame(joined[:, start : start + self._frame])
            start += self._frame // 2
        self._held = joined[:, start:]

    def _add_frame(self, frame: Array) -> None:
        # Of each channel by itself: opposite ones must not cancel.
        spectrum = (np.abs(np.fft.rfft(frame * self._window)) ** 2).mean(axis=0)
        sums = np.add.reduceat(spectrum[: self._edges[-1]], self._edges[:-1])
        powers = (sums / np.diff(self._edges)).astype(np.float32)
        self._pending.append((powers, float(np.abs(frame).max())))
        if len(self._pending) == self._merged:
            self._columns.append(_merge(self._pending))
            self._pending = []
        if len(self._columns) == 2 * _COLUMNS:
            pairs = zip(self._columns[::2], self._columns[1::2], strict=True)
            self._columns = [_merge(pair) for pair in pairs]
            self._merged *= 2

    def finish(self) -> None:
        """Take what is left at the end."""
        if self._held.shape[1] > self._frame // 2 or not (self._columns or self._pending):
            missing = self._frame - self._held.shape[1]
            self._add_frame(np.pad(self._held, ((0, 0), (0, missing))))
        if self._pending:
            self._columns.append(_merge(self._pending))
            self._pending = []

    @property
    def seconds(self) -> float:
        """Duration of all that came."""
        return self._samples / self._rate

    @property
    def edges(self) -> NDArray[np.float64]:
        """Lower ends of the bands, and the upper end of the last, in Hz."""
        edges: NDArray[np.float64] = self._edges * (self._rate / self._frame)
        return edges

    @property
    def decibels(self) -> Array:
        """Power of each band in each column, shape (bands, columns), in dB of full scale."""
        powers = np.stack([powers for powers, _ in self._columns], axis=1)
        full_scale = (self._window.sum() / 2) ** 2
        decibels: Array = 10 * np.log10(powers / full_scale + 1e-12)
        return decibels

    @property
    def peaks(self) -> Array:
        """Largest absolute sample in each column."""
        return np.array([peak for _, peak in self._columns], np.float32)


def _merge(columns: Sequence[tuple[Array, float]]) -> tuple[Array, float]:
    powers: Array = np.mean([powers for powers, _ in columns], axis=0)
    return powers, max(peak for _, peak in columns)


def _band_edges(rate: int, frame: int) -> NDArray[np.intp]:
    """Return the first bin of each band, and the one after the last."""
    highest = min(_HIGHEST, rate / 2)
    low, high = (2595 * np.log10(1 + f / 700) for f in (min(_LOWEST, highest / 2), highest))
    hertz = 700 * (10 ** (np.linspace(low, high, _BANDS + 1) / 2595) - 1)
    # Narrow bands have no bin of their own: there are fewer bands then.
    return np.unique(np.round(hertz * frame / rate).astype(np.intp))


def _label_frequencies(axes: Axes, edges: NDArray[np.float64]) -> None:
    shown = [hertz for hertz in (100, 300, 1000, 3000, 10000) if edges[0] <= hertz <= edges[-1]]
    names = [f"{hertz / 1000:g} kHz" if hertz >= 1000 else f"{hertz} Hz" for hertz in shown]
    axes.set_yticks(np.interp(shown, edges, np.arange(len(edges))), names, fontsize="small")


def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    # Naming a font that is not installed makes matplotlib log a complaint.
    installed = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_FONTS if name in installed)]


def _legible(title: str) -> str:
    """Shorten a title, and replace characters that no font has by white squares."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    files = [findfont(FontProperties(family=[name])) for name in _fonts()]
    known = {code for file in files for code in get_font(file).get_charmap()}
    title = " ".join(title.split())
    title = title if len(title) <= 90 else title[:89] + "\N{HORIZONTAL ELLIPSIS}"
    return "".join(c if ord(c) in known else "\N{WHITE SQUARE}" for c in title)
