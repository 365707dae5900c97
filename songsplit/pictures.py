"""Draw the spectrograms and waveforms of a song and its stems."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from songsplit.audio.arrays import FloatArray
from songsplit.errors import MissingExtraError
from songsplit.progress import clock

_MIXTURE = "mixture"
_WIDTH, _ROW_HEIGHT = 7.0, 2.0  # inches
_DPI = 280  # the letters are legible where the picture is 500 pixels wide
_RANGE = 80.0  # dB from the loudest point to black
_FRAME_SECONDS = 0.09
_LOWEST, _HIGHEST, _BANDS = 40.0, 16000.0, 96  # Hz, and bands on the mel scale between them
_COLUMNS = 1000  # a picture has at most twice as many
_TITLE = 60  # characters
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 7200)  # s between ticks
# System fonts for characters that matplotlib's own font lacks.
_OTHER_FONTS = ("Noto Sans CJK JP", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Malgun Gothic")
_DRAWING = threading.Lock()  # matplotlib's settings are global


class SongPicture:
    """Collects the data of a picture while the song is being separated.

    The constructor raises MissingExtraError if matplotlib is not installed.
    """

    def __init__(self, title: str, stems: Sequence[str], sample_rate: int) -> None:
        try:
            import matplotlib.figure  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("matplotlib", "plots") from error
        self._title = title
        self._rows = {name: Overview(sample_rate) for name in (_MIXTURE, *stems)}

    def watching(
        self, blocks: Iterable[Mapping[str, FloatArray]]
    ) -> Iterator[Mapping[str, FloatArray]]:
        """Pass blocks of stems, each (channels, n), through and add them to the picture."""
        for stems in blocks:
            self._rows[_MIXTURE].add(np.sum(list(stems.values()), axis=0, dtype=np.float32))
            for name, samples in stems.items():
                self._rows[name].add(samples)
            yield stems

    def png(self) -> bytes:
        """Return the picture as PNG."""
        import matplotlib.style

        # Ignore the user's settings. Characters that no font has are drawn as boxes.
        with _DRAWING, matplotlib.style.context("default"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            return self._draw()

    def _draw(self) -> bytes:
        from matplotlib.figure import Figure
        from matplotlib.font_manager import fontManager
        from matplotlib.ticker import EngFormatter, FuncFormatter, MultipleLocator

        rows = {name: row.finished() for name, row in self._rows.items()}
        loudest = rows[_MIXTURE][0].max()
        highest = max(peaks.max() for _, peaks in rows.values()) or 1.0
        size = _WIDTH, _ROW_HEIGHT * len(rows)
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        grid = figure.subplots(2 * len(rows), sharex=True, height_ratios=[3, 1] * len(rows))
        title = " ".join(self._title.split())
        title = title if len(title) <= _TITLE else title[:_TITLE] + "\N{HORIZONTAL ELLIPSIS}"
        # matplotlib logs a warning for each font that is not installed.
        installed = set(fontManager.get_font_names())
        fonts = ["DejaVu Sans", *(name for name in _OTHER_FONTS if name in installed)]
        # Do not parse names such as "$ong" as mathematics.
        figure.suptitle(title, fontfamily=fonts, parse_math=False)
        for index, (name, (decibels, peaks)) in enumerate(rows.items()):
            row, (sound, wave) = self._rows[name], grid[2 * index : 2 * index + 2]
            times = np.linspace(0, row.seconds, decibels.shape[1] + 1)
            limits = {"vmin": loudest - _RANGE, "vmax": loudest}
            image = sound.pcolormesh(
                times, row.edges, decibels, cmap="magma", rasterized=True, **limits
            )
            sound.set_yscale("function", functions=(_mel, _hertz))
            sound.set_yticks([f for f in (100, 1000, 3000, 10000) if f <= row.edges[-1]])
            sound.yaxis.set_major_formatter(EngFormatter("Hz"))
            sound.set_ylabel(name, fontweight="bold")
            wave.fill_between((times[:-1] + times[1:]) / 2, -peaks, peaks, linewidth=0)
            wave.set(ylim=(-highest, highest), yticks=[0], ylabel="peaks")
            wave.set_xlim(0, max(row.seconds, 1e-3))
        step = next((step for step in _STEPS if row.seconds <= 9 * step), _STEPS[-1])
        grid[-1].xaxis.set_major_locator(MultipleLocator(step))
        grid[-1].xaxis.set_major_formatter(FuncFormatter(lambda s, _: _clock(s, step)))
        grid[-1].set_xlabel("time (minutes:seconds)")
        label = "level (dB, full scale = 0)"
        figure.colorbar(image, ax=list(grid), label=label, aspect=40, pad=0.01)
        content = io.BytesIO()
        # Leave out matplotlib's version, so that equal pictures give equal files.
        figure.savefig(content, format="png", metadata={"Software": None})
        return content.getvalue()


class Overview:
    """Spectrogram and waveform, in up to 2000 columns, of audio that arrives in blocks.

    Memory does not grow with the length: when all columns are full, pairs of columns are merged.
    `edges` are the band edges in Hz, and `seconds` is the duration so far.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate, self.seconds = sample_rate, 0.0
        self._frame = max(16, 2 ** round(np.log2(_FRAME_SECONDS * sample_rate)))
        self._window = np.hanning(self._frame).astype(np.float32)
        highest = min(_HIGHEST, sample_rate / 2)
        mels = np.linspace(_mel(min(_LOWEST, highest / 2)), _mel(highest), _BANDS + 1)
        # Bands that are too narrow to hold a bin are dropped.
        self._bins = np.unique(np.round(_hertz(mels) * self._frame / sample_rate).astype(np.intp))
        self.edges = self._bins * (sample_rate / self._frame)
        self._held = np.zeros((1, 0), np.float32)  # samples of an incomplete frame
        self._powers = np.zeros((2 * _COLUMNS, len(self._bins) - 1))  # sums over frames
        self._peaks = np.zeros(2 * _COLUMNS)
        self._frames, self._merged = 0, 1  # frames in total and per column

    def add(self, block: FloatArray) -> None:
        """Add a float32 ``(channels, n)`` block."""
        self.seconds += block.shape[1] / self._rate
        held = np.concatenate([self._held, block], axis=1) if self._held.size else block
        while held.shape[1] >= self._frame:
            self._add_frame(held[:, : self._frame])
            held = held[:, self._frame // 2 :]
        self._held = held

    def finished(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return powers in dB, shape (bands, columns), and the peak of each column."""
        missing = self._frame - self._held.shape[1]
        if missing < self._frame // 2 or not self._frames:
            self._add_frame(np.pad(self._held, ((0, 0), (0, missing))))
        frames = np.bincount(np.arange(self._frames) // self._merged)
        powers = self._powers[: len(frames)].T / frames
        full_scale = (self._window.sum() / 2) ** 2
        return 10 * np.log10(powers / full_scale + 1e-12), self._peaks[: len(frames)]

    def _add_frame(self, frame: FloatArray) -> None:
        # Average powers, because channels of opposite polarity would cancel.
        spectrum = (np.abs(np.fft.rfft(frame * self._window)) ** 2).mean(axis=0)
        powers = np.add.reduceat(spectrum[: self._bins[-1]], self._bins[:-1]) / np.diff(self._bins)
        if self._frames == len(self._peaks) * self._merged:
            half = len(self._peaks) // 2
            self._powers[:half] = self._powers[::2] + self._powers[1::2]
            self._peaks[:half] = np.maximum(self._peaks[::2], self._peaks[1::2])
            self._powers[half:], self._peaks[half:] = 0, 0
            self._merged *= 2
        column = self._frames // self._merged
        self._powers[column] += powers
        self._peaks[column] = max(self._peaks[column], np.abs(frame).max())
        self._frames += 1


def _mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 2595 * np.log10(1 + np.maximum(hertz, 0) / 700)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)


def _clock(seconds: float, step: float) -> str:
    if step >= 1:
        return clock(seconds)
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"
