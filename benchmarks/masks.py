"""What can still be done with masks once the network has made them.

``python benchmarks/masks.py --musdb PATH`` separates the validation songs of MUSDB18 and changes
the masks in the ways that the literature and rivals do: other sharpness, averages over swapped
channels, shifted frames and other speeds, several networks (``--model A --model B``), and a
two-channel Wiener step with spatial statistics over a moving window. ``--singing FILE ...
--backing FILE ...`` does so with ten seconds of every singer over every backing, equally loud.
Printed are the SDR in windows of a second, median over windows, then median and mean over songs,
and the mean change from the first row with its standard error, as if songs were independent,
which combinations of the same voices and backings are not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from measures import TINY, song_sdr, vocals_mask
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from songsplit.audio import read_audio, resample
from songsplit.evaluation.scores import TWO_TARGETS
from songsplit.evaluation.songs import SongAudio, musdb_songs
from songsplit.inference.devices import precision
from songsplit.models.registry import load_model
from songsplit.models.separation import SeparationModel
from songsplit.models.speeds import SpeedAverage

SHARPNESS = (0.8, 0.7, 0.6, 0.5, 0.4)
WINDOWS = (None, 4.0, 1.0)  # seconds; None: the whole song
NOISE = 1e-3  # share of the spatial covariance that is the same in all directions
RATE = 44100


def logits(model: SeparationModel, mixture: Tensor) -> Tensor:
    """Give the logarithm of the odds of vocals, shape (2, bins, frames)."""
    return torch.logit(vocals_mask(model, mixture).clamp(1e-6, 1 - 1e-6))


def average(values: Tensor, frames: int | None) -> Tensor:
    """Average (rows, bins, frames) over a moving window, or over everything."""
    if frames is None:
        return values.mean(dim=-1, keepdim=True).expand_as(values)
    half = frames // 2
    padded = functional.pad(values, (half, half), mode="replicate")
    return functional.avg_pool1d(padded, 2 * half + 1, stride=1)


def wiener(spectrogram: Tensor, mask: Tensor, frames: int | None) -> Tensor:
    """Filter a stereo mixture with the Wiener filter that a mask describes.

    As :func:`songsplit.evaluation.oracles.wiener_filter`, but with the two sources as the
    mask has them, and with spatial covariances of a moving window.
    """
    covariances = []
    for source in (mask * spectrogram, (1 - mask) * spectrogram):
        left, right = source
        level = source.abs().square().mean(dim=0)
        cross = left * right.conj()
        moments = torch.stack([left.abs().square(), right.abs().square(), cross.real, cross.imag])
        moments = average(moments, frames) / (average(level[None], frames) + TINY)
        powers = (moments[:2] + NOISE) * level
        covariances.append((powers[0], powers[1], torch.complex(*moments[2:]) * level))
    a, d, b = (sum(parts) for parts in zip(*covariances, strict=True))
    assert isinstance(b, Tensor)
    determinant = a * d - b.abs().square() + TINY**2
    left, right = spectrogram
    first = (d * left - b * right) / determinant
    second = (a * right - b.conj() * left) / determinant
    power_left, power_right, cross = covariances[0]
    return torch.stack(
        [power_left * first + cross * second, cross.conj() * first + power_right * second]
    )


def variants(models: list[SeparationModel], mixture: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Give vocals, shape (2, samples), by what was done to the masks of the first model."""
    first, samples = models[0], mixture.shape[-1]
    stft = first.stft
    spectrogram = stft(mixture[None])[0]

    def heard(spectrum: Tensor) -> Tensor:
        vocals: Tensor = stft.inverse(spectrum[None], samples)[0]
        return vocals

    plain = logits(first, mixture)
    yield "as it is", heard(plain.sigmoid() * spectrogram)
    for sharpness in SHARPNESS:
        yield f"sharpness {sharpness}", heard((sharpness * plain).sigmoid() * spectrogram)
    swapped = (plain + logits(first, mixture.flip(0)).flip(0)) / 2
    yield "channels swapped", heard(swapped.sigmoid() * spectrogram)
    half = stft.hop_length // 2
    late = functional.pad(mixture, (half, 0))
    shifted = stft.inverse(logits(first, late).sigmoid()[None] * stft(late[None]), samples + half)
    whole = heard(plain.sigmoid() * spectrogram)
    yield "shifted by half a hop", (whole + shifted[0, :, half:]) / 2
    with torch.inference_mode(), precision(torch.device("cpu")):
        yield "at three speeds", SpeedAverage(first).foreground(mixture[None]).stems[0, 0]
    if len(models) > 1:
        together = sum((logits(model, mixture) for model in models[1:]), plain) / len(models)
        yield f"{len(models)} networks", heard(together.sigmoid() * spectrogram)
    for seconds in WINDOWS:
        rate = first.config.sample_rate / stft.hop_length
        frames = None if seconds is None else round(seconds * rate)
        label = "the whole song" if seconds is None else f"{seconds:g} s"
        yield f"Wiener step over {label}", heard(wiener(spectrogram, plain.sigmoid(), frames))


def musdb(root: Path) -> Iterator[SongAudio]:
    """Read the validation songs."""
    for song in musdb_songs(root, "train", "valid"):
        yield song.read()


def combinations(singing: Sequence[Path], backing: Sequence[Path]) -> Iterator[SongAudio]:
    """Mix the middle of every voice with the middle of every backing."""
    voices, backings = ([middle(file) for file in files] for files in (singing, backing))
    for voice in voices:
        for music in backings:
            samples = min(voice.shape[-1], music.shape[-1])
            parts = [audio[:, :samples] for audio in (voice, music)]
            parts = [audio / max(float(audio.std()), TINY) for audio in parts]
            peak = float(np.abs(parts[0] + parts[1]).max())
            stems = dict(zip(TWO_TARGETS, (part / peak for part in parts), strict=True))
            yield SongAudio((parts[0] + parts[1]) / peak, stems, RATE)


def middle(file: Path) -> NDArray[np.float32]:
    """Read ten seconds from the middle of a file as stereo at 44.1 kHz."""
    audio, rate = read_audio(file)
    start = max(0, audio.shape[-1] // 2 - 5 * rate)
    return resample(
        np.broadcast_to(audio[:2], (2, audio.shape[-1]))[:, start : start + 10 * rate], rate, RATE
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--musdb", type=Path)
    parser.add_argument("--singing", type=Path, nargs="+", default=[])
    parser.add_argument("--backing", type=Path, nargs="+", default=[])
    parser.add_argument("--model", action="append", help="name or file; more are averaged")
    options = parser.parse_args()
    console = Console(width=100)
    models = [load_model(name).model for name in options.model or [None]]
    scores: dict[str, list[NDArray[np.float64]]] = {}
    songs = combinations(options.singing, options.backing)
    if options.musdb:
        songs = chain(musdb(options.musdb), songs)
    for audio in track(songs, "songs", total=None, console=console):
        mixture = torch.from_numpy(audio.mixture)
        for name, vocals in variants(models, mixture):
            found = song_sdr(vocals.numpy(), audio)
            scores.setdefault(name, []).append(found)
    table = Table("masks", "vocals", "accompaniment", "change")
    reference = np.array(next(iter(scores.values())))
    for name, rows in scores.items():
        values = np.array(rows)
        medians, means = np.median(values, axis=0), values.mean(axis=0)
        cells = [f"{m:.2f} ({mean:.2f})" for m, mean in zip(medians, means, strict=True)]
        changes = values - reference
        errors = changes.std(axis=0, ddof=1) / len(changes) ** 0.5
        table.add_row(
            name,
            *cells,
            " / ".join(
                f"{change:+.2f} ± {error:.2f}"
                for change, error in zip(changes.mean(axis=0), errors, strict=True)
            ),
        )
    console.print(table)


if __name__ == "__main__":
    main()
