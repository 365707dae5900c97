"""How far museval's own scores are fixed, and how close those of songsplit come to them.

``python benchmarks/museval_rounding.py --musdb PATH`` scores validation songs of MUSDB18 with
museval, with museval again after silence was appended (which changes no window, but the order
of its sums), and with songsplit. It prints the largest changes in a window below 80 dB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from songsplit.data.musdb import SAMPLE_RATE, MusdbTrack, musdb_tracks
from songsplit.evaluation import ReferenceStatistics
from songsplit.evaluation.museval_backend import museval_scores
from songsplit.evaluation.scores import METRICS
from songsplit.evaluation.songs import SongAudio, musdb_songs

PARTS = ("vocals", "drums", "bass", "other")
SILENCE = 7 * SAMPLE_RATE
CEILING = 80.0


def largest(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the largest difference of each measure."""
    compared = np.isfinite(first) & np.isfinite(second) & ~((first > CEILING) & (second > CEILING))
    difference = np.abs(np.where(compared, first, 0) - np.where(compared, second, 0))
    return np.asarray(difference.max(axis=(1, 2)))


def differences(audio: SongAudio, targets: tuple[str, ...]) -> NDArray[np.float64]:
    """Give, for museval with silence and for songsplit, the change from museval."""
    references = np.stack([audio.references[name] for name in targets]).astype(np.float64)
    # A separation with leaks, and some noise that rises with the level.
    estimates = 0.5 * references + 0.3 * audio.mixture / len(targets)
    noise = np.random.default_rng(0).standard_normal(estimates.shape)
    estimates += 1e-3 * noise * np.abs(estimates)
    museval = museval_scores(references, estimates, SAMPLE_RATE, SAMPLE_RATE)
    silence = ((0, 0), (0, 0), (0, SILENCE))
    longer = museval_scores(
        np.pad(references, silence), np.pad(estimates, silence), SAMPLE_RATE, SAMPLE_RATE
    )
    ours = ReferenceStatistics(references, SAMPLE_RATE, SAMPLE_RATE).score(estimates)
    # What is appended makes windows of its own, which are silent.
    shared = longer[:, :, : museval.shape[2]]
    return np.stack([largest(museval, shared), largest(museval, ours)])


def in_floating_point(track: MusdbTrack) -> SongAudio:
    """Read a song without rounding it to 16 bits."""
    mixture, stems = track.audio()
    accompaniment = stems["drums"] + stems["bass"] + stems["other"]
    return SongAudio(mixture, {**stems, "accompaniment": accompaniment}, SAMPLE_RATE)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--musdb", type=Path, required=True, help="folder of MUSDB18")
    parser.add_argument("--songs", type=int, default=5, help="how many songs (default: 5)")
    options = parser.parse_args()

    rounded = musdb_songs(options.musdb, "train", "valid")[: options.songs]
    tracks = musdb_tracks(options.musdb, "train", "valid")[: options.songs]
    rows: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
    for song, item in track(list(zip(rounded, tracks, strict=True))):
        for kind, audio in (("16 bits", song.read()), ("floating point", in_floating_point(item))):
            for targets in (("vocals", "accompaniment"), PARTS):
                rows.setdefault((kind, len(targets)), []).append(differences(audio, targets))

    table = Table(title=f"largest change from museval over {len(tracks)} songs, in dB")
    for column in ("audio", "targets", "scored by", *METRICS):
        table.add_column(column)
    for (kind, count), measured in rows.items():
        for name, worst in zip(
            ("museval, silence appended", "songsplit"), np.max(measured, axis=0), strict=True
        ):
            table.add_row(kind, str(count), name, *(f"{value:.0e}" for value in worst))
    Console().print(table)


if __name__ == "__main__":
    main()
