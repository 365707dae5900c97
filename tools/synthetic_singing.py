"""Makes singing out of speech synthesis: training data that belongs to nobody.

``python tools/synthetic_singing.py OUT --minutes 30`` lets Flite (``flite``) and eSpeak NG
(``espeak-ng``) speak made-up lines, and the WORLD vocoder (``pip install pyworld``) turns them
into singing: vowels are held, pitch follows a melody with glides and vibrato, formants are moved
to make other singers. The results are FLAC files at the voices' own rates and a list of them,
``manifest.csv``, as ``kind: manifest`` sources of training take it.

The lines are drawn from a list of common words, and the output of both programs is free of any
licence of theirs, so the singing may be used for anything. WORLD: Morise, Yokomori and Ozawa
(2016), "WORLD: a vocoder-based high-quality speech synthesis system for real-time applications".
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyworld
import soundfile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Floats = NDArray[np.float64]

FRAME_SECONDS = 0.005
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
# Lowest notes of a bass to those of a soprano, in Hz; each melody spans an octave and a half.
LOWEST = (80.0, 350.0)
FLITE = ("slt", "rms", "awb", "kal16")
ESPEAK = ("en-us", "en-gb", "de", "es", "fr-fr", "it", "pt-br", "nl", "sv", "pl", "ro", "fi")
VARIANTS = ("", "+f2", "+f3", "+f4", "+m3", "+m5", "+m7", "+whisper")
WORDS = """
a about above again all alone always and angel arms around away baby be beautiful because before
believe below better between blue born break breathe bring broken burn but by call can change
city close cold come could cry dance dark day dear deep do dream drive easy end ever every eyes
face fall far feel feet fire first fly follow for forever found free from get girl give go gold
gone good goodbye ground hand hard have hear heart heaven hello here high hold home hope how hurt
I if in into is it just keep kiss know last late laugh learn leave let life light like line
little live lonely long look lose lost love make man many maybe me mean mind mine moment moon
more morning mother move music my name near need never new night no nobody nothing now ocean of
oh old on one only open or our out over own pain people play please rain reach ready remember
ride right river road rock roll run sad same save say sea see send set shadow shake shine shore
should show side silence sing sister sky sleep slow small smile so soft some something sometimes
song soon soul sound stand star stay step still stop storm story street strong summer sun sure
sweet take talk tears tell than that the then there these they thing think this those thousand
through time to together tomorrow tonight too touch town true try turn under until up wait wake
walk wall want war warm watch water way we well what when where while whisper white who why wild
will wind window wine winter wish with without woman wonder word world would year yes yesterday
you young your
"""


class Voice(NamedTuple):
    """A speech synthesiser with one of its voices."""

    program: str
    name: str


def main() -> None:
    """Make as much singing as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    seconds = 0.0
    for number, (voice, audio, rate) in enumerate(clips(options.seed)):
        path = options.out / f"{number:04}-{voice.program}-{voice.name}.flac"
        soundfile.write(path, audio, rate, subtype="PCM_16")
        seconds += len(audio) / rate
        rows.append((path.name, "vocals", "synthetic", path.stem, "CC0-1.0", rate, "train"))
        if seconds >= 60 * options.minutes:
            break
    with (options.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "kind", "source", "title", "licence", "sample_rate", "split"))
        table.writerows(rows)


def clips(seed: int) -> Iterator[tuple[Voice, Floats, int]]:
    """Give clips of some ten seconds, each by another singer."""
    rng = np.random.default_rng(seed)
    while True:
        if rng.random() < 0.5:
            voice = Voice("flite", str(rng.choice(FLITE)))
        else:
            voice = Voice("espeak-ng", str(rng.choice(ESPEAK)) + str(rng.choice(VARIANTS)))
        lines = [" ".join(rng.choice(WORDS.split(), rng.integers(4, 9))) for _ in range(3)]
        speech, rate = speak(voice, ",\n".join(lines) + ".")
        yield voice, sing(speech, rate, rng), rate


def speak(voice: Voice, text: str) -> tuple[Floats, int]:
    """Let a synthesiser speak."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "speech.wav"))
        if voice.program == "flite":
            command = ["flite", "-voice", voice.name, "-t", text, "-o", path]
        else:
            command = ["espeak-ng", "-v", voice.name, "-s", "150", "-w", path, text]
        subprocess.run(command, check=True, capture_output=True)
        audio, rate = soundfile.read(path)
    return audio, rate


def sing(speech: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """Turn speech into singing, with a melody and a timbre drawn at random."""
    pitch, times = pyworld.dio(speech, rate, frame_period=1000 * FRAME_SECONDS)
    pitch = pyworld.stonemask(speech, pitch, times, rate)
    envelope = pyworld.cheaptrick(speech, pitch, times, rate)
    noise = pyworld.d4c(speech, pitch, times, rate)
    voiced = pitch > 0
    frames = held(voiced, rng)
    sung = melody(voiced[frames], rng)
    envelope = with_formants_moved(envelope[frames], float(rng.uniform(0.85, 1.2)))
    # Breathy to clear: the share of noise is raised to a power.
    noise = noise[frames] ** float(rng.uniform(0.6, 1.8))
    audio: Floats = pyworld.synthesize(
        sung,
        np.ascontiguousarray(envelope),
        np.ascontiguousarray(noise),
        rate,
        1000 * FRAME_SECONDS,
    )
    return audio / max(float(np.abs(audio).max()), 1e-6) * 0.7


def held(voiced: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Say which frame of the speech each frame of the song takes: vowels are held."""
    step = np.ones(len(voiced))
    for start, stop in runs(voiced):
        # Consonants stay as short as they are, and so do the ends of vowels.
        inner = slice(start + 4, max(start + 4, stop - 4))
        step[inner] = 1 / rng.choice((1.0, 1.5, 2.0, 3.0, 5.0), p=(0.2, 0.25, 0.25, 0.2, 0.1))
    ends = np.cumsum(1 / step)
    frames = np.searchsorted(ends, np.arange(int(ends[-1])))
    return np.minimum(frames, len(voiced) - 1)


def melody(voiced: NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Give the pitch of every frame in Hz, 0 where there is none."""
    scale = np.array(SCALES[rng.integers(len(SCALES))])
    notes = np.concatenate([scale, scale[: len(scale) // 2] + 12])
    lowest = np.exp(rng.uniform(*np.log(LOWEST)))
    at = int(rng.integers(len(notes)))
    semitones = np.zeros(len(voiced))
    age = np.zeros(len(voiced))  # seconds since the note began
    length = rng.uniform(0.25, 0.6)
    for start, stop in runs(voiced):
        first = start
        while first < stop:
            last = min(stop, first + int(rng.exponential(length) / FRAME_SECONDS) + 20)
            at = int(np.clip(at + rng.integers(-2, 3), 0, len(notes) - 1))
            semitones[first:last] = notes[at]
            age[first:last] = np.arange(last - first) * FRAME_SECONDS
            first = last
    glided = gaussian_filter1d(semitones, rng.uniform(0.01, 0.06) / FRAME_SECONDS)
    time = np.arange(len(voiced)) * FRAME_SECONDS
    depth = rng.uniform(0, 0.7) * np.clip((age - 0.2) / 0.3, 0, 1)
    vibrato = depth * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * time)
    unsteady = gaussian_filter1d(rng.normal(size=len(voiced)), 6) * rng.uniform(0.1, 0.6)
    pitch: Floats = lowest * 2 ** ((glided + vibrato + unsteady) / 12)
    return np.where(voiced, pitch, 0.0)


def with_formants_moved(envelope: Floats, factor: float) -> Floats:
    """Stretch the frequency axis of spectral envelopes, shape (frames, bins)."""
    bins = np.arange(envelope.shape[1])
    position = np.minimum(bins / factor, bins[-1])
    low = position.astype(int)
    high = np.minimum(low + 1, bins[-1])
    weight = position - low
    logarithm = np.log(envelope)
    return np.exp(logarithm[:, low] * (1 - weight) + logarithm[:, high] * weight)


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Give start and stop of each stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


if __name__ == "__main__":
    main()
