"""Every container and codec that there is an encoder for."""

from __future__ import annotations

import shutil
import struct
from functools import partial

import numpy as np

from .encoding import by_program, ffmpeg, libsndfile
from .entries import MONO, SONG, Entry, Refused, Stems, holds
from .headers import EXTENSIBLE, aiff, chunk, extension, pcm_16, stepped, wav, wav_format

STEP_8 = 2.0**-7
NOT_AUDIO = Refused("not an audio file")

# Extension, what libsndfile calls the container and the codec, and the largest error; None
# where the codec changes the sound.
_BY_LIBSNDFILE: tuple[tuple[str, str, str, float | None], ...] = (
    ("wav", "WAV", "PCM_U8", STEP_8),
    ("wav", "WAV", "PCM_24", 2.0**-23),
    ("wav", "WAV", "PCM_32", 1e-7),
    ("wav", "WAV", "DOUBLE", 0.0),
    ("wav", "WAV", "ULAW", None),
    ("wav", "WAV", "ALAW", None),
    ("wav", "WAV", "IMA_ADPCM", None),
    ("wav", "WAV", "MS_ADPCM", None),
    ("wav", "WAVEX", "PCM_24", 2.0**-23),
    ("rf64", "RF64", "FLOAT", 0.0),
    ("w64", "W64", "PCM_24", 2.0**-23),
    ("w64", "W64", "MS_ADPCM", None),
    ("aiff", "AIFF", "PCM_S8", STEP_8),
    ("aiff", "AIFF", "PCM_24", 2.0**-23),
    ("aifc", "AIFF", "DOUBLE", 0.0),
    ("aifc", "AIFF", "IMA_ADPCM", None),
    ("au", "AU", "FLOAT", 0.0),
    ("au", "AU", "ULAW", None),
    ("caf", "CAF", "PCM_24", 2.0**-23),
    ("caf", "CAF", "DOUBLE", 0.0),
    ("caf", "CAF", "ALAC_16", 2.0**-15),
    ("caf", "CAF", "ALAC_32", 1e-7),
    ("flac", "FLAC", "PCM_S8", STEP_8),
    ("flac", "FLAC", "PCM_16", 2.0**-15),
    ("flac", "FLAC", "PCM_24", 2.0**-23),
    ("ogg", "OGG", "VORBIS", None),
    ("voc", "VOC", "PCM_16", 2.0**-15),
    ("nist", "NIST", "PCM_16", 2.0**-15),
    ("sf", "IRCAM", "FLOAT", 0.0),
    ("avr", "AVR", "PCM_16", 2.0**-15),
    ("paf", "PAF", "PCM_16", 2.0**-15),
    ("pvf", "PVF", "PCM_32", 1e-7),
    ("snd", "MPC2K", "PCM_16", 2.0**-15),
    ("mat", "MAT5", "DOUBLE", 0.0),
)
_MONO_BY_LIBSNDFILE: tuple[tuple[str, str, str, float | None], ...] = (
    ("wav", "WAV", "GSM610", None),
    ("wav", "WAV", "G721_32", None),
    ("wav", "WAV", "NMS_ADPCM_32", None),
    ("au", "AU", "G723_40", None),
    ("iff", "SVX", "PCM_16", 2.0**-15),
    ("xi", "XI", "DPCM_16", 2.0**-15),
)
# Extension, what FFmpeg calls the container and the codec, and the largest error.
_BY_FFMPEG: tuple[tuple[str, str, str, float | None], ...] = (
    ("mp3", "mp3", "libmp3lame", None),
    ("mp2", "mp2", "mp2", None),
    ("m4a", "ipod", "aac", None),
    ("aac", "adts", "aac", None),
    ("latm", "latm", "aac", None),
    ("m4a", "ipod", "alac", 2.0**-15),
    ("mov", "mov", "pcm_s24le", 2.0**-23),
    ("mov", "mov", "adpcm_ima_qt", None),
    ("mp4", "mp4", "flac", 2.0**-15),
    ("mp4", "mp4", "libmp3lame", None),
    ("mp4", "mp4", "ac3", None),
    ("mp4", "mp4", "eac3", None),
    ("mp4", "mp4", "libopus", None),
    ("3g2", "3g2", "aac", None),
    ("ismv", "ismv", "aac", None),
    ("mka", "matroska", "flac", 2.0**-15),
    ("mka", "matroska", "pcm_f64le", 0.0),
    ("mka", "matroska", "tta", STEP_8),
    ("mka", "matroska", "wavpack", STEP_8),
    ("mka", "matroska", "alac", 2.0**-15),
    ("webm", "webm", "libopus", None),
    ("opus", "ogg", "libopus", None),
    ("oga", "ogg", "flac", 2.0**-15),
    ("caf", "caf", "alac", 2.0**-15),
    ("caf", "caf", "flac", 2.0**-15),
    ("wma", "asf", "wmav1", None),
    ("wma", "asf", "wmav2", None),
    ("asf", "asf", "pcm_s16le", 2.0**-15),
    ("flv", "flv", "libmp3lame", None),
    ("flv", "flv", "adpcm_swf", None),
    ("swf", "swf", "libmp3lame", None),
    ("avi", "avi", "libmp3lame", None),
    ("avi", "avi", "pcm_s16le", 2.0**-15),
    ("ts", "mpegts", "aac", None),
    ("ts", "mpegts", "mp2", None),
    ("ts", "mpegts", "libopus", None),
    ("mpg", "mpeg", "mp2", None),
    ("vob", "vob", "ac3", None),
    ("ac3", "ac3", "ac3", None),
    ("eac3", "eac3", "eac3", None),
    ("tta", "tta", "tta", STEP_8),
    ("wv", "wv", "wavpack", STEP_8),
    ("wav", "wav", "pcm_s64le", 1e-7),
    ("wav", "wav", "libmp3lame", None),
    ("wav", "wav", "mp2", None),
    ("wav", "wav", "ac3", None),
    ("wav", "wav", "flac", 2.0**-15),
    ("wav", "wav", "adpcm_yamaha", None),
    ("rm", "rm", "ac3", None),
    ("nut", "nut", "pcm_s16le", 2.0**-15),
    ("sox", "sox", "pcm_s32le", 1e-7),
    ("adx", "adx", "adpcm_adx", None),
    ("wtv", "wtv", "mp2", None),
)
_AT_8_KHZ = (
    ("amr", "amr", "libopencore_amrnb"),
    ("3gp", "3gp", "libopencore_amrnb"),
    ("ra", "rm", "real_144"),
    ("flv", "flv", "nellymoser"),
    ("wav", "wav", "g726"),
    ("au", "au", "g722"),
)
# Bare samples: nothing says what they are.
_HEADERLESS = (("sbc", "sbc"), ("aptx", "aptx"), ("s16le", "pcm_s16le"))
# Encoders that only the program has.
_BY_PROGRAM = (
    ("dts", "dts", "dca", None),
    ("mka", "matroska", "dca", None),
    ("spx", "ogg", "libspeex", 32000),
    ("webm", "webm", "libvorbis", None),
    ("ts", "mpegts", "s302m", 48000),
)


def _expected(error: float | None, mono: bool = False, rate: int = 44100) -> Stems:
    samples = MONO if mono else SONG
    return Stems(len(samples), rate) if error is None else holds(samples, error)


def _entries() -> list[Entry]:
    found = []
    for samples, table in ((SONG, _BY_LIBSNDFILE), (MONO, _MONO_BY_LIBSNDFILE)):
        for ending, container, codec, error in table:
            make = partial(libsndfile, container, codec, samples)
            name = f"{container}-{codec}.{ending}".lower()
            found.append(Entry(name, make, _expected(error, samples is MONO)))
    for ending, container, codec, error in _BY_FFMPEG:
        rate = 48000 if codec == "libopus" else 44100
        make = partial(ffmpeg, container, codec, [SONG])
        found.append(Entry(f"{codec}-in-{container}.{ending}", make, _expected(error, rate=rate)))
    for ending, container, codec in _AT_8_KHZ:
        make = partial(ffmpeg, container, codec, [MONO], rates=[8000])
        found.append(Entry(f"{codec}-in-{container}.{ending}", make, Stems(1, 8000)))
    for container, codec in _HEADERLESS:
        make = partial(ffmpeg, container, codec, [SONG])
        found.append(Entry(f"no-header.{container}", make, NOT_AUDIO))
    if shutil.which("ffmpeg") is not None:
        for ending, container, codec, rate_wanted in _BY_PROGRAM:
            rates = [] if rate_wanted is None else ["-ar", str(rate_wanted)]
            make = partial(by_program, container, "-c:a", codec, *rates)
            name = f"{codec}-in-{container}.{ending}"
            found.append(Entry(name, make, Stems(2, rate_wanted or 44100)))
    return found


def _rifx() -> bytes:
    return wav(order=">")


def _sowt() -> bytes:
    return aiff(pcm_16(), compression=b"sowt")


def _double_size_aiff_c() -> bytes:
    data = SONG.T.astype(">f8").tobytes()
    return aiff(data, bits=64, compression=b"fl64")


def _wav_20_in_24_bits() -> bytes:
    whole = np.round(SONG.T.astype(np.float64) * 2**19).astype("<i4") << 12
    data = np.frombuffer(whole.tobytes(), np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    more = extension(3)
    more = more[:2] + struct.pack("<H", 20) + more[4:]
    return wav(wav_format(EXTENSIBLE, bits=24, more=more), data)


def dsf(samples: int = 1 << 16) -> bytes:
    """DSD, the one-bit audio of the Super Audio CD: here, the pattern for silence."""
    data = bytes([0x69]) * (samples // 8 * 2)
    form = struct.pack("<IIIIIIQII", 1, 0, 2, 2, 2_822_400, 1, samples, 4096, 0)
    total = 28 + 12 + len(form) + 12 + len(data)
    head = b"DSD " + struct.pack("<QQQ", 28, total, 0)
    head += b"fmt " + struct.pack("<Q", 12 + len(form)) + form
    return head + b"data" + struct.pack("<Q", 12 + len(data)) + data


def ape(frames: int = 10_000) -> bytes:
    """Monkey's Audio, for which there is no free encoder here: a frame marked as silence."""
    # A checksum with its highest bit set announces flags; 3 is silence on both sides. Words
    # are stored the other way round.
    frame = struct.pack("<IIII", 0x80000000, 3, 0, 0)
    head = b"MAC " + struct.pack("<HHIIIIIII", 3990, 0, 52, 24, 4, 0, len(frame), 0, 0)
    head += bytes(16)
    form = struct.pack("<HHIIIHHI", 2000, 0, 73728 * 4, frames, 1, 16, 2, 44100)
    return head + form + struct.pack("<I", 52 + 24 + 4) + frame


def _8svx() -> bytes:
    samples = np.round(MONO[0, :-1] * 127).astype(np.int8)
    form = struct.pack(">IIIHBBI", len(samples), 0, 0, 44100, 1, 0, 0x10000)
    body = b"8SVX" + chunk(b"VHDR", form, order=">")
    return chunk(b"FORM", body + chunk(b"BODY", samples.tobytes(), order=">"), order=">")


ENTRIES = [
    *_entries(),
    Entry("big-endian-rifx.wav", _rifx, holds(stepped())),
    Entry("little-endian-sowt.aifc", _sowt, holds(stepped())),
    Entry("fl64.aifc", _double_size_aiff_c, holds(SONG)),
    Entry("20-bits-in-24.wav", _wav_20_in_24_bits, holds(SONG, 2.0**-20)),
    Entry("silence.dsf", dsf, Stems(2, 352_800)),
    Entry("silence.ape", ape, holds(np.zeros((2, 10_000), np.float32))),
    Entry("amiga.8svx", _8svx, holds(MONO[:, :-1], STEP_8)),
]
