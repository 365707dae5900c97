"""A small spectrogram and waveform in letters, for terminals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from songsplit.dsp.overview import Overview

_ROWS = 8
_RANGE = 45.0  # dB from the loudest to empty
_SHADES, _PLAIN_SHADES = " ░▒▓█", " .:*#"
_BARS, _PLAIN_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*#%"


def sketch(overview: Overview, *, unicode: bool = True) -> list[str]:
    """Draw an overview.

    Parameters
    ----------
    overview : Overview
        Finished.
    unicode : bool, optional
        Whether the terminal has more than ASCII.

    Returns
    -------
    list of str
        Lines: the spectrogram, high tones first, then the waveform's peaks.
    """
    powers = 10 ** (overview.decibels / 10)
    rows = np.array_split(np.arange(len(powers)), min(_ROWS, len(powers)))
    levels = 10 * np.log10(np.array([powers[row].mean(axis=0) for row in rows]) + 1e-12)
    # Highs are weak in all music: as a picture they show as well as lows 15 dB above.
    levels += np.linspace(0, 15, len(levels))[:, np.newaxis]
    shade = (levels - levels.max()) / _RANGE + 1 if levels.max() > -100 else np.zeros_like(levels)
    lines = []
    for index in range(len(rows) - 1, -1, -1):
        low, high = overview.edges[rows[index][0]], overview.edges[rows[index][-1] + 1]
        middle = (low * high) ** 0.5 if low else high / 2
        letters = _letters(shade[index], _SHADES if unicode else _PLAIN_SHADES)
        lines.append(f"{_hertz(middle):>8} {letters}")
    peaks = overview.peaks / max(float(overview.peaks.max()), 1e-6)
    lines.append(f"{'level':>8} {_letters(peaks, _BARS if unicode else _PLAIN_BARS)}")
    return lines


def _letters(shares: NDArray[np.float32], letters: str) -> str:
    """Turn numbers from 0 to 1 into letters."""
    indices = np.clip(np.ceil(shares * (len(letters) - 1)), 0, len(letters) - 1).astype(int)
    return "".join(letters[index] for index in indices)


def _hertz(frequency: float) -> str:
    return f"{frequency / 1000:.1f} kHz" if frequency >= 1000 else f"{frequency:.0f} Hz"
