"""Draw the spectrograms of the documents (needs the extras plots and eval).

``python docs/figures.py`` draws those of the example. ``python docs/figures.py MUSDB``, with the
folder of MUSDB18, also draws those of two clips on which the default model fails.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import librosa
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray
from PIL import Image

import songsplit
from songsplit.evaluation.references import musdb_songs

IMAGES = Path(__file__).parent / "images"
EXAMPLE = Path(__file__).parents[1] / "examples" / "lithium.ogg"
START, STOP = 10.0, 18.0  # seconds of the example in which the voice starts and stops
FAILURES = {
    "A voice is missing\n(A Reason To Leave)": "Patrick Talbot - A Reason To Leave",
    "An instrument is taken for a voice\n(Rockshow)": "ANiMAL - Rockshow",
}
LIMITS = {"vmin": -70.0, "vmax": -8.0}  # dB, where 0 is the loudest of a song
HOP, LOWEST, HIGHEST = 512, 60.0, 12_000.0  # samples, Hz
Audio = NDArray[np.float32]


def draw(name: str, columns: Mapping[str, Mapping[str, Audio]], rate: int, start: float) -> None:
    """Draw spectrograms of (channels, samples): a column for each song, a row for each stem."""
    songs = list(columns.values())
    size = (7.0, 1.25 * len(songs[0]) + 0.7)
    options: Any = {"figsize": size, "dpi": 180, "squeeze": False, "layout": "constrained"}
    figure, grid = plt.subplots(len(songs[0]), len(songs), sharex=True, sharey=True, **options)
    for title, song, axes in zip(columns, songs, grid.T, strict=True):
        axes[0].set_title(title, fontsize=10, fontweight="bold")
        power = {
            stem: librosa.feature.melspectrogram(
                y=audio.mean(axis=0), sr=rate, n_fft=4096, hop_length=HOP, n_mels=256, fmax=HIGHEST
            )
            for stem, audio in song.items()
        }
        # The same reference for all stems of a song, so that their colours are comparable.
        loudest = max(part.max() for part in power.values())
        for axis, (stem, part) in zip(axes, power.items(), strict=True):
            hertz = librosa.mel_frequencies(len(part), fmax=HIGHEST)
            times = start + np.arange(part.shape[1]) * HOP / rate
            level = 10 * np.log10(part / loudest + 1e-10)
            image = axis.pcolormesh(times, hertz, level, cmap="magma", **LIMITS)
            axis.set_yscale("symlog", linthresh=300, linscale=0.5)
            axis.set(ylim=(LOWEST, HIGHEST), xlim=(times[0], times[-1]))
            axis.set_yticks([100, 300, 1000, 3000, 10_000], ["0.1", "0.3", "1", "3", "10"])
            axis.minorticks_off()
            axis.xaxis.set_major_locator(MultipleLocator(2 if len(songs) > 1 else 1))
            axis.xaxis.set_major_formatter(lambda s, _: f"{s // 60:.0f}:{s % 60:02.0f}")
            if axis in grid[:, 0]:
                axis.set_ylabel(stem, fontsize=10, fontweight="bold")
    figure.supxlabel("time (minutes:seconds)", fontsize=10)
    figure.supylabel("frequency (kHz)", fontsize=10)
    figure.colorbar(image, ax=grid, label="level (dB, loudest = 0)", extend="max", pad=0.01)
    figure.savefig(IMAGES / name)
    small = Image.open(IMAGES / name).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
    small.save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    stems = songsplit.separate(EXAMPLE, device="cpu")
    excerpt = slice(round(START * stems.sample_rate), round(STOP * stems.sample_rate))
    sounds = {"mixture": stems.remix(), **stems}
    pictures = {name: audio[:, excerpt] for name, audio in sounds.items()}
    draw("before-after.png", {"": pictures}, stems.sample_rate, START)
    for folder in sys.argv[1:]:
        columns = {}
        songs = {song.name: song for song in musdb_songs(Path(folder), "train", "valid")}
        for title, name in FAILURES.items():
            audio = songs[name].read()
            found = songsplit.separate(audio.mixture, audio.sample_rate, device="cpu").vocals
            true = audio.references["vocals"]
            columns[title] = {"mixture": audio.mixture, "true vocals": true, "estimate": found}
        draw("failures.png", columns, audio.sample_rate, 0.0)
