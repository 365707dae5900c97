"""Draw the spectrograms of the documents: ``python docs/figures.py`` (needs the plots extra).

With ``--musdb FOLDER``, also draw those of two MUSDB18 clips on which the default model fails
(needs the eval extra).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import librosa
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray
from PIL import Image

import songsplit

IMAGES = Path(__file__).parent / "images"
EXAMPLE = Path(__file__).parents[1] / "examples" / "lithium.ogg"
START, STOP = 10.0, 18.0  # seconds of the example in which the voice starts and stops
FAILURES = {
    "A voice is missing\n(A Reason To Leave)": "Patrick Talbot - A Reason To Leave",
    "An instrument is taken for a voice\n(Rockshow)": "ANiMAL - Rockshow",
}
HOP = 512  # samples
DARKEST, BRIGHTEST = -70.0, -8.0  # dB, where 0 is the loudest of a song
BAR = {"pad": 0.01, "aspect": 30}
LOWEST, HIGHEST = 60.0, 12_000.0  # Hz
GREYS = np.linspace(0, 1, 40)[:, np.newaxis].repeat(3, axis=1)
Audio = NDArray[np.float32]


def draw(name: str, columns: Mapping[str, Mapping[str, Audio]], rate: int, start: float) -> None:
    """Draw spectrograms of (channels, samples): a column for each song, a row for each stem."""
    songs = list(columns.values())
    size = (7.0, 1.25 * len(songs[0]) + 0.7)
    shape = (len(songs[0]), len(songs))
    options: Any = {"sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    figure, grid = plt.subplots(*shape, figsize=size, dpi=180, **options)
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
            limits = {"vmin": DARKEST, "vmax": BRIGHTEST}
            level = 10 * np.log10(part / loudest + 1e-10)
            image = axis.pcolormesh(times, hertz, level, cmap="magma", **limits)
            axis.set_yscale("symlog", linthresh=300, linscale=0.5)
            axis.set(ylim=(LOWEST, HIGHEST), xlim=(times[0], times[-1]))
            axis.set_yticks([100, 300, 1000, 3000, 10_000], ["0.1", "0.3", "1", "3", "10"])
            axis.minorticks_off()
            axis.xaxis.set_major_locator(MultipleLocator(2 if len(songs) > 1 else 1))
            axis.xaxis.set_major_formatter(
                FuncFormatter(lambda s, _: f"{s // 60:.0f}:{s % 60:02.0f}")
            )
            if axis in grid[:, 0]:
                axis.set_ylabel(stem, fontsize=10, fontweight="bold")
    figure.supxlabel("time (minutes:seconds)", fontsize=10)
    figure.supylabel("frequency (kHz)", fontsize=10)
    figure.colorbar(image, ax=grid, label="level (dB, loudest = 0)", extend="max", **BAR)
    figure.savefig(IMAGES / name)
    # A small file has few colours: those of the spectrogram, and greys for the letters.
    colours = np.concatenate([plt.get_cmap("magma")(np.linspace(0, 1, 216))[:, :3], GREYS])
    palette = Image.new("P", (1, 1))
    palette.putpalette((255 * colours).astype(np.uint8).tobytes())
    small = (
        Image.open(IMAGES / name).convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    )
    small.save(IMAGES / name, optimize=True)


def main() -> None:
    """Draw all pictures whose songs are available."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--musdb", type=Path, help="folder with train and test of MUSDB18")
    folder = parser.parse_args().musdb
    stems = songsplit.separate(EXAMPLE, device="cpu")
    sounds = {"mixture": stems.remix(), **stems}
    excerpt = slice(round(START * stems.sample_rate), round(STOP * stems.sample_rate))
    pictures = {name: audio[:, excerpt] for name, audio in sounds.items()}
    draw("before-after.png", {"": pictures}, stems.sample_rate, START)
    if folder:
        from songsplit.evaluation.references import musdb_songs

        songs = {song.name: song for song in musdb_songs(folder, "train", "valid")}
        columns = {}
        for title, name in FAILURES.items():
            song = songs[name].read()
            found = songsplit.separate(song.mixture, song.sample_rate, device="cpu")
            columns[title] = {
                "mixture": song.mixture,
                "true vocals": song.references["vocals"],
                "estimate": found.vocals,
            }
        draw("failures.png", columns, song.sample_rate, 0.0)


if __name__ == "__main__":
    main()
