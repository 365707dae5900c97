"""Measure faults that SDR does not show: bleed, lost consonants and tails, and musical noise.

``python benchmarks/faults.py --musdb PATH`` measures the validation songs of MUSDB18. Options
``--instrumentals FILE ...`` and ``--singing FILE ...`` measure the level of the vocals of music
without a voice, and of the instrumental of unaccompanied voices. They can be combined.
``--model`` takes the name or file of a model. ``--estimates FOLDER`` measures another program's
stems: a folder for each song or file, with its name, holds ``vocals.wav`` and
``accompaniment.wav``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Column, Table
from scipy.signal import stft

import songsplit
from songsplit.audio import read_audio
from songsplit.evaluation.references import musdb_songs
from songsplit.progress import track

Samples = NDArray[np.float32]
Power = NDArray[np.float64]  # shape (bins, frames), mean over channels
Separate: TypeAlias = Callable[[str, Samples, int], Mapping[str, Samples]]  # name, audio, rate

TINY = 1e-12
WINDOW = 2048
SILENT_DB = -45.0  # level of pauses of the voice, relative to its loudest frame
SOFT_DB = -15.0  # between this and SILENT_DB are ends of notes, breath and reverberation
HIGHS = 5000.0  # Hz; consonants have most of their power above


def decibels(ratio: float) -> float:
    """Convert a ratio of powers to decibels."""
    return float(10 * np.log10(ratio + TINY))


def power(spectrum: NDArray[np.complex64]) -> Power:
    """Return the mean over channels of the squared magnitudes."""
    return np.asarray(np.square(np.abs(spectrum), dtype=np.float64).mean(axis=0))


def kurtosis(values: Power) -> float:
    """Return the kurtosis of powers, which isolated peaks (musical noise) raise.

    From Y. Uemura et al. (2008), "Automatic optimization scheme of spectral subtraction based on
    musical noise assessment via higher-order statistics".
    """
    return float(np.mean(values**4) / np.mean(values**2) ** 2)


def faults(mixture: Samples, voice: Samples, estimate: Samples, sample_rate: int) -> list[float]:
    """Measure the estimate of a voice; NaN if the song has no suitable frames.

    In dB: power of the estimate relative to the mixture in pauses of the voice; SDR above `HIGHS`,
    and the share of the voice's power kept there; the same for soft frames. The last value is the
    logarithm of the ratio of the :func:`kurtosis` of estimate and mixture in pauses.
    """
    mixed, true, found = (
        stft(x, sample_rate, nperseg=WINDOW)[2] for x in (mixture, voice, estimate)
    )
    level = power(true).sum(axis=0)
    level_db = 10 * np.log10(level / level.max() + TINY)
    pause, soft = level_db < SILENT_DB, (level_db >= SILENT_DB) & (level_db < SOFT_DB)
    high = slice(int(HIGHS / sample_rate * WINDOW), None)
    result = [np.nan] * 6
    if pause.mean() > 0.02:
        residue, around = power(found)[:, pause], power(mixed)[:, pause]
        result[0] = decibels(residue.sum() / (around.sum() + TINY))
        result[5] = float(np.log(kurtosis(residue + TINY) / kurtosis(around + TINY)))
    for column, part in ((1, (slice(None), high)), (3, (slice(None), slice(None), soft))):
        wanted, got = true[part], found[part]
        if wanted.size and np.abs(wanted).max() > 0:
            energy = float(np.square(np.abs(wanted)).sum())
            error = float(np.square(np.abs(got - wanted)).sum())
            kept = float(np.real(np.vdot(wanted, got))) / energy
            result[column : column + 2] = (
                decibels(energy / (error + TINY)),
                decibels(max(kept, 0.0) ** 2),
            )
    return result


def separation(model: str | None, folder: Path | None) -> Separate:
    """Return a function that separates with a model or reads another program's stems."""
    if folder is None:
        separator = songsplit.Separator(model)
        return lambda _, audio, sample_rate: separator.separate(audio, sample_rate)

    def read(name: str, audio: Samples, sample_rate: int) -> Mapping[str, Samples]:
        stems = {}
        for stem, file in (("vocals", "vocals.wav"), ("instrumental", "accompaniment.wav")):
            stems[stem], rate = read_audio(path := folder / name / file)
            if (stems[stem].shape, rate) != (audio.shape, sample_rate):
                raise SystemExit(f"{path}: shape or rate differ from the mixture")
        return stems

    return read


def print_table(title: str, heads: Sequence[str], rows: Mapping[str, Sequence[float]]) -> None:
    """Print a row for each song, and rows of medians and largest values."""
    table = Table("song", *(Column(head, justify="right") for head in heads), title=title)
    values = [*rows.values()]
    ends = {"median": np.nanmedian(values, axis=0), "largest": np.nanmax(values, axis=0)}
    for name, row in {**rows, **ends}.items():
        table.add_row(
            name, *(f"{value:.2f}" for value in row), end_section=len(table.rows) == len(rows) - 1
        )
    Console(width=120).print(table)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--musdb", type=Path)
    parser.add_argument("--instrumentals", type=Path, nargs="+", default=[])
    parser.add_argument("--singing", type=Path, nargs="+", default=[])
    parser.add_argument("--model")
    parser.add_argument("--estimates", type=Path, help="folder of another program's stems")
    options = parser.parse_args()
    separate = separation(options.model, options.estimates)
    if options.musdb:
        rows = {}
        for song in track(musdb_songs(options.musdb, "train", "valid"), "songs"):
            audio = song.read()
            rate = audio.sample_rate
            vocals = separate(song.name, audio.mixture, rate)["vocals"]
            rows[song.name] = faults(audio.mixture, audio.references["vocals"], vocals, rate)
        heads = ("bleed in pauses", "SDR > 5 kHz", "kept > 5 kHz", "SDR soft", "kept soft")
        print_table("Vocals of validation songs, dB", (*heads, "kurtosis"), rows)
    for title, files, silent in (
        ("Vocals of music without a voice", options.instrumentals, "vocals"),
        ("Instrumental of voices alone", options.singing, "instrumental"),
    ):
        if files:
            rows = {}
            for file in track(files, "files"):
                samples, rate = read_audio(file)
                stem = separate(file.stem, samples, rate)[silent]
                rows[file.name] = [decibels(np.square(stem).mean() / np.square(samples).mean())]
            print_table(title, ["dB of the mixture"], rows)


if __name__ == "__main__":
    main()
