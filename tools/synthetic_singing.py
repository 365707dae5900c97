"""Create singing from speech synthesis, as training data without rights of third parties.

``python tools/synthetic_singing.py OUT --minutes 30`` speaks random lines with Flite (``flite``)
and eSpeak NG (``espeak-ng``), and turns them into singing with the WORLD vocoder (``pip install
pyworld``): vowels are held, the pitch follows a melody with glides and vibrato, and shifted
formants give other singers. Some singers record two takes, one per channel, in unison or in
harmony. The synthesisers reach only 8 or 11 kHz; higher frequencies are extrapolated. The results
are FLAC files at 44.1 kHz for a training source of the kind ``vocals``.

The lines consist of common words, and the licences of both programs do not cover their output, so
the singing may be used for any purpose. WORLD: Morise, Yokomori and Ozawa (2016), "WORLD: a
vocoder-based high-quality speech synthesis system for real-time applications".
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyworld
import soundfile
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter1d, label

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

RATE = 44100
BINS = 1025  # of a spectral envelope at RATE
FRAME_SECONDS = 0.005
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
# Lowest notes, from bass to soprano, in Hz; each melody spans an octave and a half.
LOWEST = (75.0, 350.0)
FLITE = ("slt", "slt", "rms", "rms", "awb", "kal16")
ESPEAK = (
    *("en-us", "en-gb", "en-gb-scotland", "de", "es", "fr-fr", "it", "pt-br", "nl", "sv", "pl"),
    *("ro", "fi", "cs", "da", "el", "hu", "id", "tr"),
)
VARIANTS = (
    *("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7"),
    *("+m8", "+klatt2", "+klatt4", "+croak", "+whisper"),
)
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


class Singer:
    """Random properties that are constant in a clip."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.scale = SCALES[rng.integers(len(SCALES))]
        self.lowest = float(np.exp(rng.uniform(*np.log(LOWEST))))  # Hz
        self.formants = rng.uniform(0.85, 1.2)  # factor of the frequencies
        self.breath = rng.uniform(0.6, 1.8)  # exponent of the share of noise
        self.brightness = rng.uniform(0, 7)  # dB per octave above 500 Hz, in voiced frames
        self.highs = rng.uniform(-24, -10)  # dB per octave above the synthesiser's band
        self.consonants = rng.uniform(-6, 3)  # dB
        self.note = rng.uniform(0.25, 0.6)  # mean length in seconds
        self.glide = rng.uniform(0.01, 0.06)  # seconds
        self.vibrato = rng.uniform(0, 0.7), rng.uniform(4.5, 6.5)  # semitones and Hz
        self.unsteady = rng.uniform(0.1, 0.6)  # semitones
        # Depth of the modulation at half the pitch.
        self.growl = rng.uniform(0.2, 0.8) if rng.random() < 0.15 else 0.0


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seconds = 0.0
    for number, (voice, audio) in enumerate(clips(options.seed)):
        path = options.out / f"{number:04}-{'-'.join(voice)}.flac"
        soundfile.write(path, audio, RATE, subtype="PCM_16")
        seconds += len(audio) / RATE
        if seconds >= 60 * options.minutes:
            break


def clips(seed: int) -> Iterator[tuple[tuple[str, str], Floats]]:
    """Yield clips of about ten seconds (samples, 1 or 2 channels), each by another singer."""
    rng = np.random.default_rng(seed)
    while True:
        if rng.random() < 0.5:
            voice = "flite", str(rng.choice(FLITE))
        else:
            voice = "espeak-ng", str(rng.choice(ESPEAK)) + str(rng.choice(VARIANTS))
        singer = Singer(rng)
        # Parts in steps of the scale: one voice, two in unison, two in harmony.
        parts = ((0,), (0, 0), (0, 2), (0, -3))[rng.choice(4, p=(0.65, 0.2, 0.1, 0.05))]
        phrases = []
        for _ in range(3):
            speech, rate = speak(voice, " ".join(rng.choice(WORDS.split(), rng.integers(4, 9))))
            phrases.append(sing(speech, rate, singer, parts, rng) * rng.uniform(0.6, 1))
            phrases.append(np.zeros((int(rng.exponential(0.5) * RATE), len(parts))))
        audio = np.concatenate(phrases)
        if len(parts) > 1:
            audio += rng.uniform(0, 1) * audio[:, ::-1]
        yield voice, audio / max(float(np.abs(audio).max()), 1e-6) * 0.7


def speak(voice: tuple[str, str], text: str) -> tuple[Floats, int]:
    """Speak a text with a synthesiser."""
    program, name = voice
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if program == "flite":
            command = ["flite", "-voice", name, "-t", text, "-o", file.name]
        else:
            command = ["espeak-ng", "-v", name, "-s", "150", "-w", file.name, text]
        subprocess.run(command, check=True, capture_output=True)
        audio, rate = soundfile.read(file.name)
    return audio, rate


def sing(
    speech: Floats, rate: int, singer: Singer, parts: tuple[int, ...], rng: np.random.Generator
) -> Floats:
    """Convert speech to singing with a random melody, with one channel for each part."""
    pitch, times = pyworld.dio(speech, rate, frame_period=1000 * FRAME_SECONDS)
    pitch = pyworld.stonemask(speech, pitch, times, rate)
    envelope = pyworld.cheaptrick(speech, pitch, times, rate)
    noise = pyworld.d4c(speech, pitch, times, rate)
    voiced = pitch > 0
    frames = held(voiced, rng)
    envelope = with_timbre(envelope, voiced, rate, singer)[frames]
    # Change between breathy and clear by an exponent of the share of noise.
    noise = widened(np.log(noise), rate, singer, fall=0.0)[frames] * singer.breath
    degrees, ages = melody(voiced[frames], singer, rng)
    audio = np.zeros((int((len(frames) + 20) * FRAME_SECONDS * RATE), len(parts)))
    for channel, part in enumerate(parts):
        pitch = np.where(voiced[frames], intoned(degrees + part, ages, singer, rng), 0.0)
        take = pyworld.synthesize(
            pitch, np.exp(envelope), np.exp(noise), RATE, 1000 * FRAME_SECONDS
        )
        phase = np.pi * np.cumsum(np.repeat(pitch, int(FRAME_SECONDS * RATE) + 1)[: len(take)])
        take *= 1 + singer.growl * np.sin(phase / RATE)
        late = int(rng.uniform(0, 0.03) * RATE) if channel else 0
        audio[late : late + len(take), channel] = take
    return audio / max(float(np.abs(audio).max()), 1e-6)


def held(voiced: NDArray[np.bool_], rng: np.random.Generator) -> Integers:
    """Return the frame of the speech for each frame of the song, in which vowels are held."""
    step = np.ones(len(voiced))
    for (vowel,) in find_objects(label(voiced)[0]):
        # Consonants and the ends of vowels keep their length.
        inner = slice(vowel.start + 4, max(vowel.start + 4, vowel.stop - 4))
        step[inner] = 1 / rng.choice((1.0, 1.5, 2.0, 3.0, 5.0), p=(0.2, 0.25, 0.25, 0.2, 0.1))
    ends = np.cumsum(1 / step)
    frames = np.searchsorted(ends, np.arange(int(ends[-1])))
    return np.minimum(frames, len(voiced) - 1)


def melody(
    voiced: NDArray[np.bool_], singer: Singer, rng: np.random.Generator
) -> tuple[Integers, Floats]:
    """Return the step of the scale and the age of its note in seconds for every frame."""
    highest = len(singer.scale) * 3 // 2 - 1
    at = int(rng.integers(highest + 1))
    degrees = np.zeros(len(voiced), dtype=np.intp)
    ages = np.zeros(len(voiced))
    for (vowel,) in find_objects(label(voiced)[0]):
        first = vowel.start
        while first < vowel.stop:
            last = min(vowel.stop, first + int(rng.exponential(singer.note) / FRAME_SECONDS) + 20)
            leap = 5 if rng.random() < 0.15 else 2
            at = int(np.clip(at + rng.integers(-leap, leap + 1), 0, highest))
            degrees[first:last] = at
            ages[first:last] = np.arange(last - first) * FRAME_SECONDS
            first = last
    return degrees, ages


def intoned(degrees: Integers, ages: Floats, singer: Singer, rng: np.random.Generator) -> Floats:
    """Return the pitch of every frame in Hz, with random variations."""
    octaves, steps = np.divmod(degrees, len(singer.scale))
    semitones = 12.0 * octaves + np.array(singer.scale)[steps]
    glided = gaussian_filter1d(semitones, singer.glide / FRAME_SECONDS)
    extent, speed = singer.vibrato
    time = np.arange(len(degrees)) * FRAME_SECONDS + rng.uniform(0, 1)
    vibrato = extent * np.clip((ages - 0.2) / 0.3, 0, 1) * np.sin(2 * np.pi * speed * time)
    unsteady = gaussian_filter1d(rng.normal(size=len(degrees)), 6) * singer.unsteady
    pitch: Floats = singer.lowest * 2 ** ((glided + vibrato + unsteady) / 12)
    return pitch


def with_timbre(envelope: Floats, voiced: NDArray[np.bool_], rate: int, singer: Singer) -> Floats:
    """Return the logarithm of the singer's spectral envelopes (frames, BINS)."""
    logarithm = widened(np.log(envelope), rate, singer, fall=singer.highs)
    octaves = np.log2(np.clip(np.arange(BINS) * RATE / 2 / (BINS - 1), 500, 5000) / 500)
    shaped = np.where(voiced[:, np.newaxis], singer.brightness * octaves, singer.consonants)
    timbre: Floats = logarithm + shaped * np.log(10) / 10
    return timbre


def widened(logarithm: Floats, rate: int, singer: Singer, fall: float) -> Floats:
    """Shift formants and extrapolate by ``fall`` dB per octave; return (frames, BINS)."""
    bins = logarithm.shape[1] - 1
    top = 0.9 * bins
    position = np.arange(BINS) / (BINS - 1) * RATE / rate * bins / singer.formants
    inside = np.minimum(position, top)
    low = inside.astype(int)
    weight = inside - low
    result = logarithm[:, low] * (1 - weight) + logarithm[:, low + 1] * weight
    above = position > top
    edge = logarithm[:, int(0.75 * bins) : int(top)].mean(axis=1, keepdims=True)
    result[:, above] = edge + fall * np.log2(position[above] / top) * np.log(10) / 10
    return np.ascontiguousarray(result)


if __name__ == "__main__":
    main()
