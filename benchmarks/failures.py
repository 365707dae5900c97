"""Why the worst songs are bad: pictures of the errors, what they consist of, what oracles gain.

``python benchmarks/failures.py --musdb PATH --output DIR`` separates the validation songs of
MUSDB18 and takes the worst ten by SDR of vocals. For each it draws mixture, vocals, estimate
and the two kinds of error, missing voice and leaked music, to ``DIR/NAME.png``.
``DIR/songs.csv`` and the first table tell what the errors consist of; the second table tells by
how much the mean SDR of the ten would rise if a part of the error was mended: an ideal mask in
a part of the spectrogram, stems that do not leak, the right gain for each frame, and so on.
``--model`` takes the name or file of a model; ``--before`` takes another, and what changed since
then is drawn for the two songs that gained most and printed for all.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path

import librosa
import matplotlib as mpl
import numpy as np
import torch
from measures import TINY, decibels, song_sdr, vocals_mask
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from songsplit.data.songs import VOCALS
from songsplit.evaluation.scores import ACCOMPANIMENT
from songsplit.evaluation.songs import SongAudio, musdb_songs
from songsplit.models.registry import load_model
from songsplit.models.separation import SeparationModel

mpl.use("agg")
from matplotlib import pyplot as plt

BACKING = ("drums", "bass", "other")
EDGES = (0, 300, 1000, 4000, 10_000, 22_050)  # Hz
PAUSE_DB, SOFT_DB = -40.0, -15.0  # of the voice in a frame, below its loudest frame


def power(spectrum: Tensor) -> Tensor:
    """Mean of the squared magnitudes over channels, shape (bins, frames)."""
    return spectrum.abs().square().mean(dim=0)


@dataclass
class Clip:
    """A song, the mask that the model makes for it, and its spectrograms.

    Attributes
    ----------
    name : str
    audio : SongAudio
    mask : Tensor, shape (2, bins, frames)
        Of the vocals.
    model : SeparationModel
        For its transform.
    """

    name: str
    audio: SongAudio
    mask: Tensor
    model: SeparationModel

    @cached_property
    def spectra(self) -> dict[str, Tensor]:
        """Complex spectrograms (2, bins, frames) of mixture and stems."""
        audio = {"mixture": self.audio.mixture, **self.audio.references}
        return {name: self.model.stft(torch.from_numpy(a)[None])[0] for name, a in audio.items()}

    @cached_property
    def ideal(self) -> Tensor:
        """Ideal ratio mask of powers."""
        voice, music = (self.spectra[name].abs().square() for name in (VOCALS, ACCOMPANIMENT))
        return voice / (voice + music + TINY)

    @cached_property
    def voice_db(self) -> Tensor:
        """Level of the voice in each frame below its loudest frame, shape (frames,)."""
        level = power(self.spectra[VOCALS]).sum(dim=0)
        return 10 * torch.log10(level / level.max() + TINY)

    @cached_property
    def hertz(self) -> Tensor:
        """Frequency of each bin, shape (bins, 1)."""
        count = self.model.stft.bins
        return torch.linspace(0, self.audio.sample_rate / 2, count)[:, None]

    def masked(self, mask: Tensor) -> Tensor:
        """Apply a mask to the mixture."""
        return mask * self.spectra["mixture"]

    def bands(self) -> Iterator[tuple[str, Tensor]]:
        """Give names of bands and which bins, shape (bins, 1), belong to them."""
        for low, high in pairwise(EDGES):
            yield f"{low}-{high} Hz", (self.hertz >= low) & (self.hertz < high)

    def sdr(self, spectrum: Tensor) -> NDArray[np.float64]:
        """Median over seconds of the SDR of vocals and accompaniment."""
        length = self.audio.mixture.shape[-1]
        return song_sdr(self.model.stft.inverse(spectrum[None], length)[0].numpy(), self.audio)


def clip_of(name: str, audio: SongAudio, model: SeparationModel) -> Clip:
    """Let the model make its mask."""
    mask = vocals_mask(model, torch.from_numpy(audio.mixture))
    return Clip(name, audio, mask, model)


def missing_alone(clip: Clip) -> float:
    """Power of what the model does not take for a voice in the voice by itself, in dB."""
    voice = clip.audio.references[VOCALS]
    alone = SongAudio(voice, clip.audio.references, clip.audio.sample_rate)
    mask = clip_of(clip.name, alone, clip.model).mask
    true = clip.spectra[VOCALS]
    return decibels(power((1 - mask) * true).sum() / power(true).sum())


def best_gain(found: Tensor, true: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Give the gain from 0 up that brings `found` closest to `true`, one for all of `dims`."""
    common = (found.conj() * true).real.sum(dim=dims, keepdim=True)
    return (common / (found.abs().square().sum(dim=dims, keepdim=True) + TINY)).clamp_min(0)


def oracles(clip: Clip) -> Iterator[tuple[str, Tensor]]:
    """Give vocals as they would be if a part of the error was mended, by its name."""
    mask, ideal, spectra = clip.mask, clip.ideal, clip.spectra
    voice, found = spectra[VOCALS], clip.masked(mask)
    yield "as it is", found
    yield "ideal mask everywhere: the ceiling", clip.masked(ideal)
    for name, band in clip.bands():
        yield f"ideal mask, {name}", clip.masked(torch.where(band, ideal, mask))
    pause, soft = clip.voice_db < PAUSE_DB, clip.voice_db < SOFT_DB
    parts = {"pauses of the voice": pause, "soft voice": soft & ~pause, "loud voice": ~soft}
    for name, frames in parts.items():
        yield f"ideal mask, {name}", clip.masked(torch.where(frames, ideal, mask))
    yield "no mask above the ideal one (leaks)", clip.masked(torch.minimum(mask, ideal))
    yield "no mask below the ideal one (missing)", clip.masked(torch.maximum(mask, ideal))
    loudest = torch.stack([spectra[name].abs() for name in BACKING]).argmax(dim=0)
    for index, name in enumerate(BACKING):
        where = torch.where(loudest.eq(index), ideal, mask)
        yield f"ideal mask where {name} is the loudest backing", clip.masked(where)
    for name in BACKING:
        yield f"{name} does not leak", found - mask * spectra[name]
    harmonic, percussive = librosa.decompose.hpss(spectra["other"].numpy(), margin=1.0)
    for name, part in (("sustained", harmonic), ("percussive", percussive)):
        yield f"{name} part of other does not leak", found - mask * torch.from_numpy(part)
    yield "no voice is missing", found + (1 - mask) * voice
    yield "right gain for the clip", best_gain(found, voice, (0, 1, 2)) * found
    yield "right gain for each frame", best_gain(found, voice, (0, 1)) * found
    gained = sum(best_gain(found * b, voice * b, (0, 1)) * b for _, b in clip.bands()) * found
    yield "right gain for each frame and band", torch.as_tensor(gained)
    pairs = [((found[0] + s * found[1]) / 2, (voice[0] + s * voice[1]) / 2) for s in (1, -1)]
    middle, side = (best_gain(part, true, (0, 1)) * part for part, true in pairs)
    yield "right gains for middle and side", torch.stack([middle + side, middle - side])
    logits = torch.logit(mask.clamp(1e-5, 1 - 1e-5))
    grid = product((0.5, 0.7, 1, 1.4), (-1, -0.5, 0, 0.5, 1))
    bent = [clip.masked((scale * logits + bias).sigmoid()) for scale, bias in grid]
    errors = [float(power(choice - voice).sum()) for choice in bent]
    yield "right sharpness and bias for the clip", bent[int(np.argmin(errors))]
    yield "magnitudes as they are, true phases", torch.polar(found.abs(), voice.angle())


def facts(clip: Clip) -> dict[str, float]:
    """Measure what the errors of a clip consist of; shares are of all of their power."""
    spectra, mask = clip.spectra, clip.mask
    voice = spectra[VOCALS]
    error = power(clip.masked(mask) - voice)
    sung, total = power(voice).sum(), error.sum()
    result = {
        "voice / backing dB": decibels(sung / power(spectra[ACCOMPANIMENT]).sum()),
        "voice side / mid dB": side_to_middle(voice),
        "backing side / mid dB": side_to_middle(spectra[ACCOMPANIMENT]),
        "missing dB": decibels(power((1 - mask) * voice).sum() / sung),
        "missing of the voice alone dB": missing_alone(clip),
    }
    for name in BACKING:
        result[f"{name} leak dB"] = decibels(power(mask * spectra[name]).sum() / sung)
    for name, band in clip.bands():
        result[f"voice {name} %"] = 100 * float((power(voice) * band).sum() / sung)
        result[f"error {name} %"] = 100 * float((error * band).sum() / total)
    per_frame = error.sum(dim=0)
    worst = per_frame.sort(descending=True).values[: len(per_frame) // 10]
    result["error in worst tenth of frames %"] = 100 * float(worst.sum() / total)
    rate = clip.audio.sample_rate / clip.model.stft.hop_length
    edge = round(0.7 * rate)
    relative = per_frame / power(voice).sum(dim=0).clamp_min(float(sung) / len(per_frame) * 0.1)
    ends = torch.cat([relative[1:edge], relative[-edge:-1]])
    result["edge / inner error dB"] = decibels(ends.mean() / relative[edge:-edge].mean())
    pitch, voiced, _ = librosa.pyin(
        clip.audio.references[VOCALS].mean(axis=0), fmin=65, fmax=1200, sr=clip.audio.sample_rate,
        frame_length=4096, hop_length=2048,
    )  # fmt: skip
    sure = pitch[voiced] if voiced.any() else np.array([np.nan])
    result["voiced %"] = 100 * float(voiced.mean())
    for percent in (5, 50, 95):
        result[f"pitch {percent} % Hz"] = float(np.percentile(sure, percent))
    return result


def side_to_middle(spectrum: Tensor) -> float:
    """Power of the side relative to that of the middle, in dB."""
    parts = [(spectrum[0] + sign * spectrum[1]).abs().square().sum() for sign in (-1, 1)]
    return decibels(parts[0] / (parts[1] + TINY))


def draw(clip: Clip, path: Path) -> None:
    """Draw spectrograms, the two kinds of error, and where the error lies."""
    voice, mask = clip.spectra[VOCALS], clip.mask
    panels = {
        "mixture": clip.spectra["mixture"],
        "true vocals": voice,
        "estimated vocals": clip.masked(mask),
        "missing voice": (1 - mask) * voice,
        "leaked music": mask * clip.spectra[ACCOMPANIMENT],
    }
    leaks = [power(mask * clip.spectra[name]) for name in BACKING]
    figure, axes = plt.subplots(3, 2, figsize=(17, 15), layout="constrained")
    top = decibels(power(clip.spectra["mixture"]).max())
    seconds = torch.arange(mask.shape[-1]) * clip.model.stft.hop_length / clip.audio.sample_rate
    hertz = clip.hertz[2:, 0]
    for axis, (title, spectrum) in zip(axes.flat, panels.items(), strict=False):
        image = 10 * torch.log10(power(spectrum)[2:] + TINY)
        limits = {"vmin": top - 65, "vmax": top - 5, "cmap": "magma"}
        axis.pcolormesh(seconds, hertz, image, rasterized=True, **limits)
        axis.set(title=f"{clip.name}: {title}", yscale="log", ylim=(60, 18_000), ylabel="Hz")
    axis = axes.flat[-1]
    curves = {"voice": power(voice), "missing": power((1 - mask) * voice)}
    curves |= {f"leak of {n}": leak for n, leak in zip(BACKING, leaks, strict=True)}
    for name, values in curves.items():
        level = 10 * torch.log10(values.sum(dim=0) + TINY)
        axis.plot(seconds, level, label=name, color="0.6" if name == "voice" else None)
    axis.set(title="level of voice and of its errors, dB", ylim=(-10, None))
    axis.legend()
    figure.savefig(path, dpi=60)
    plt.close(figure)


def draw_changes(changes: list[tuple[Clip, Clip]], path: Path) -> None:
    """Draw true vocals, those of an earlier model and those of this one, a song in each row."""
    size = 15, 4.2 * len(changes)
    figure, axes = plt.subplots(len(changes), 3, squeeze=False, figsize=size, layout="constrained")
    for row, (before, after) in zip(axes, changes, strict=True):
        voice = before.spectra[VOCALS]
        top = decibels(power(voice).max())
        panels = [("true vocals", voice)]
        for when, clip in (("before", before), ("after", after)):
            found = clip.masked(clip.mask)
            panels.append((f"{when}, {clip.sdr(found)[0]:.1f} dB", found))
        seconds = torch.arange(voice.shape[-1]) * before.model.stft.hop_length
        for axis, (title, spectrum) in zip(row, panels, strict=True):
            image = 10 * torch.log10(power(spectrum)[2:] + TINY)
            limits = {"vmin": top - 60, "vmax": top - 5, "cmap": "magma"}
            where = seconds / before.audio.sample_rate, before.hertz[2:, 0]
            axis.pcolormesh(*where, image, rasterized=True, **limits)
            axis.set(title=f"{before.name}: {title}", yscale="log", ylim=(80, 8000), ylabel="Hz")
    figure.savefig(path, dpi=70)
    plt.close(figure)


def compare(old: SeparationModel, clips: list[Clip], folder: Path, console: Console) -> None:
    """Print what changed since an earlier model, and draw where it changed most."""
    pairs = [(clip_of(clip.name, clip.audio, old), clip) for clip in clips]
    scores = [[clip.sdr(clip.masked(clip.mask)) for clip in pair] for pair in pairs]
    table = Table("song", "vocals before", "after", "missing alone, before", "after")
    for (before, after), (first, second) in zip(pairs, scores, strict=True):
        alone = [f"{missing_alone(clip):.1f}" for clip in (before, after)]
        table.add_row(after.name, f"{first[0]:.2f}", f"{second[0]:.2f}", *alone)
    console.print(table)
    gains = np.array([second[0] - first[0] for first, second in scores])
    draw_changes([pairs[index] for index in np.argsort(-gains)[:2]], folder / "changes.png")


def main() -> None:
    """Draw, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--musdb", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--before", help="an earlier model to compare with")
    parser.add_argument("--worst", type=int, default=10)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    console, model = Console(width=150), load_model(options.model).model
    songs = musdb_songs(options.musdb, "train", "valid")
    clips = [clip_of(s.name, s.read(), model) for s in track(songs, "songs", console=console)]
    clips.sort(key=lambda clip: clip.sdr(clip.masked(clip.mask))[0])
    if options.before is not None:
        compare(load_model(options.before).model, clips, options.output, console)
    gains: dict[str, list[NDArray[np.float64]]] = {}
    rows = []
    for clip in track(clips[: options.worst], "worst", console=console):
        draw(clip, options.output / f"{'-'.join(clip.name.split())}.png")
        found = {name: clip.sdr(spectrum) for name, spectrum in oracles(clip)}
        own, ceiling = list(found.values())[:2]
        for name, sdr in found.items():
            gains.setdefault(name, []).append(sdr - own)
        scores = {VOCALS: own[0], ACCOMPANIMENT: own[1], "ceiling": ceiling[0]}
        rows.append({"song": clip.name, **scores, **facts(clip)})
        del clip.spectra
    with (options.output / "songs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    names = [str(row["song"])[:8] for row in rows]
    table = Table("", *names, title="What the errors consist of")
    for key in list(rows[0])[1:]:
        table.add_row(key, *(f"{row[key]:.1f}" for row in rows))
    console.print(table)
    table = Table("mended: gain of", VOCALS, ACCOMPANIMENT, *names)
    for name, changes in gains.items():
        mean = np.mean(changes, axis=0)
        table.add_row(name, *(f"{m:+.2f}" for m in mean), *(f"{c[0]:+.1f}" for c in changes))
    console.print(table)


if __name__ == "__main__":
    main()
