"""Samples, channels and rates that few songs have: every value that a format can hold."""

from __future__ import annotations

import io
import struct
from functools import partial

import numpy as np
import soundfile

from tests.audio.zoo import RATE, song

from .encoding import ffmpeg, libsndfile, silence
from .entries import SONG, Entry, Refused, Samples, Stems, holds
from .headers import FLOAT, extended, wav, wav_format, with_streaminfo

FRAMES = SONG.shape[1]


def floats(samples: Samples, rate: int = RATE) -> bytes:
    """A WAV of 32-bit floating point, of any channels and rate."""
    channels = len(samples)
    form = wav_format(FLOAT, channels, rate, 32, more=b"\0\0")
    return wav(form, samples.T.astype("<f4").tobytes())


def _one_is(value: float, place: int = 5000) -> Samples:
    samples = SONG.copy()
    samples[1, place] = value
    return samples


def _square() -> Samples:
    wave = np.where(np.arange(FRAMES) // 50 % 2, 1.0, -1.0)
    return np.stack([wave, np.roll(wave, 20)]).astype(np.float32)


def _opposite() -> Samples:
    return np.stack([SONG[0], -SONG[0]])


def _one_sided() -> Samples:
    return np.stack([SONG[0], np.zeros_like(SONG[0])])


def _impulse() -> Samples:
    samples = silence(FRAMES)
    samples[:, FRAMES // 2] = 1
    return samples


_FLOAT32 = np.finfo(np.float32)
_SIGNALS: dict[str, Samples] = {
    "silence": silence(FRAMES),
    "negative-zero": -silence(FRAMES),
    "denormals": SONG * np.float32(1e-39),
    "smallest-normal": SONG * _FLOAT32.tiny,
    "very-quiet": SONG * np.float32(1e-20),
    "constant": np.full((2, FRAMES), 0.5, np.float32),
    "full-scale-constant": np.full((2, FRAMES), -1.0, np.float32),
    "square": _square(),
    "30-db-too-loud": SONG * np.float32(10**1.5),
    "120-db-too-loud": SONG * np.float32(1e6),
    "anti-phase": _opposite(),
    "left-only": _one_sided(),
    "impulse": _impulse(),
    "white-noise": np.random.default_rng(1).uniform(-1, 1, (2, FRAMES)).astype(np.float32),
    "highest-frequency": np.tile(np.array([1, -1], np.float32), (2, FRAMES // 2)),
}


def _flac_of_nothing() -> bytes:
    return with_streaminfo(libsndfile("FLAC", "PCM_16", SONG), frames=0)[:42]


def _half_floats() -> bytes:
    return wav(wav_format(FLOAT, bits=16), SONG.T.astype("<f2").tobytes())


def _float64(value: float) -> bytes:
    data = SONG.T.astype("<f8")
    data[100, 0] = value
    return wav(wav_format(FLOAT, bits=64), data.tobytes())


def _with_rate(rate: int, seconds: float = 0.1, channels: int = 2) -> Samples:
    return song(max(4, round(rate * seconds)), channels)


def _flac_rate(rate: int) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, _with_rate(rate).T, rate, format="FLAC", subtype="PCM_24")
    return target.getvalue()


def _aiff_rate(rate: float, frames: int = FRAMES) -> bytes:
    content = libsndfile("AIFF", "PCM_16", SONG[:, :frames])
    at = content.index(b"COMM") + 16
    return content[:at] + extended(rate) + content[at + 10 :]


def _caf_rate(rate: bytes) -> bytes:
    content = libsndfile("CAF", "PCM_16", SONG)
    at = content.index(b"desc") + 12
    return content[:at] + rate + content[at + 8 :]


_RATES = (1, 2, 7, 50, 1000, 4000, 7999, 8000, 11_025, 22_050, 32_000, 37_800, 44_056, 48_000)
_HIGH_RATES = (88_200, 96_000, 176_400, 192_000, 352_800, 384_000, 705_600, 768_000)
_BAD_RATES = {
    0: "not an audio file",
    768_001: "the sample rate of 768001 Hz",
    4_000_000: "the sample rate of 4000000 Hz",
    2**31 - 1: "the sample rate of 2147483647 Hz",
    2**31: "not an audio file",
    2**32 - 1: "not an audio file",
}
DAMAGED = Refused("cut off or damaged")
NOT_A_NUMBER = Refused("is not a number, infinite or beyond 1e37")

ENTRIES = [
    *(Entry(f"{name}.wav", partial(floats, x), holds(x)) for name, x in _SIGNALS.items()),
    *(
        Entry(f"{name}-{place}.wav", partial(floats, _one_is(value, place)), NOT_A_NUMBER)
        for name, value in (("nan", np.nan), ("infinity", np.inf), ("minus-infinity", -np.inf))
        for place in (0, 5000, FRAMES - 1)
    ),
    Entry("all-nan.wav", partial(floats, SONG * np.float32(np.nan)), NOT_A_NUMBER),
    Entry("nan-in-64-bits.wav", partial(_float64, np.nan), NOT_A_NUMBER),
    Entry("beyond-float32.wav", partial(_float64, 1e300), NOT_A_NUMBER),
    Entry("nan.mka", partial(ffmpeg, "matroska", "pcm_f32le", [_one_is(np.nan)]), NOT_A_NUMBER),
    Entry("nan.caf", partial(libsndfile, "CAF", "FLOAT", _one_is(np.nan)), NOT_A_NUMBER),
    Entry(
        "largest-float.wav",
        partial(floats, _one_is(float(_FLOAT32.max))),
        NOT_A_NUMBER,
    ),
    Entry("half-precision.wav", _half_floats, Refused("there is no decoder here")),
    *(
        Entry(f"{frames}-frames.wav", partial(floats, song(frames)), holds(song(frames)))
        for frames in (1, 2, 3, 1023)
    ),
    Entry("1-frame.flac", partial(libsndfile, "FLAC", "PCM_16", song(1)), Stems(frames=1)),
    Entry("1-frame.ogg", partial(libsndfile, "OGG", "VORBIS", song(1)), Stems(frames=1)),
    Entry("1-frame.mp3", partial(ffmpeg, "mp3", "libmp3lame", [song(1)]), Stems()),
    # Less than the units in which the file tells how long it is.
    Entry("1-frame.m4a", partial(ffmpeg, "ipod", "aac", [song(1)]), Refused("no samples")),
    *(
        Entry(f"no-frames.{kind.lower()}", partial(libsndfile, kind, codec, song(0)), refused)
        for kind, codec, refused in (
            ("WAV", "PCM_16", Refused("no samples")),
            ("AIFF", "PCM_16", Refused("no samples")),
            ("AU", "PCM_16", Refused("no samples")),
            ("CAF", "PCM_16", Refused("no samples")),
            ("W64", "PCM_16", Refused("no samples")),
            ("OGG", "VORBIS", Refused("no samples")),
        )
    ),
    Entry("no-frames.flac", _flac_of_nothing, Refused("not an audio file")),
    *(
        Entry(f"{n}-channels.wav", partial(floats, song(5000, n)), holds(song(5000, n)))
        for n in range(1, 9)
    ),
    Entry("9-channels.wav", partial(floats, song(5000, 9)), Refused("9 channels, more than")),
    Entry(
        "6-channels.m4a",
        partial(ffmpeg, "ipod", "alac", [song(5000, 6)]),
        holds(song(5000, 6), 2.0**-15),
    ),
    Entry(
        "8-channels.flac",
        partial(libsndfile, "FLAC", "PCM_16", song(5000, 8)),
        holds(song(5000, 8), 2.0**-15),
    ),
    *(
        Entry(
            f"{rate}-hz.wav",
            partial(floats, _with_rate(rate), rate),
            holds(_with_rate(rate), rate=rate),
        )
        for rate in (*_RATES, *_HIGH_RATES)
    ),
    *(
        Entry(f"{rate}-hz.wav", partial(floats, SONG, rate), Refused(words))
        for rate, words in _BAD_RATES.items()
    ),
    Entry("655350-hz.flac", partial(_flac_rate, 655_350), Stems(2, 655_350, 65_535)),
    Entry("44100.5-hz.aiff", partial(_aiff_rate, 44100.5), Stems(2, 44100, FRAMES)),
    Entry("0.25-hz.aiff", partial(_aiff_rate, 0.25, 4), Stems(2, 1, 4)),
    Entry("nan-hz.caf", partial(_caf_rate, struct.pack(">d", np.nan)), DAMAGED),
    Entry("negative-hz.caf", partial(_caf_rate, struct.pack(">d", -44100.0)), DAMAGED),
]
