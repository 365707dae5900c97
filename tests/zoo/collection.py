"""All files of the zoo, and the expected outcome of each."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.zoo.encoding import RATE, ffmpeg_bytes, libsndfile_bytes, song, video_bytes
from tests.zoo.headers import (
    EXTENSIBLE,
    MP3,
    SONG,
    aiff,
    au,
    checked,
    chunk,
    extension,
    floats,
    id3,
    pages,
    patched,
    pcm_16,
    stepped,
    wav,
    wav_format,
    with_streaminfo,
)

MONO = song(frames=11_025, channels=1)


class Stems(NamedTuple):
    """The file is separated; `samples` are its content, unless a codec changes it."""

    channels: int = 2
    rate: int = RATE
    samples: np.ndarray | None = None
    tolerance: float = 0.0


class Refused(NamedTuple):
    """The file is refused with a message that contains its name and these words."""

    words: str = ""


EITHER = None
"""The file is separated or refused; it must only do no harm."""


class Entry(NamedTuple):
    """A file of the zoo: its name, the function that makes it, and its expected outcome."""

    name: str
    make: Callable[[], bytes]
    expected: Stems | Refused | None


def holds(samples: np.ndarray, tolerance: float = 0.0, rate: int = RATE) -> Stems:
    """Expect stems that add up to known samples."""
    return Stems(len(samples), rate, samples, tolerance)


WHOLE = holds(stepped())
EXACT_16 = holds(SONG, 2.0**-15)

_flac = partial(libsndfile_bytes, "FLAC", "PCM_16", SONG)
_ogg = partial(libsndfile_bytes, "OGG", "VORBIS", song(RATE))
_opus = partial(ffmpeg_bytes, "ogg", "libopus", [song(RATE)])
_mp3 = partial(ffmpeg_bytes, "mp3", "libmp3lame", [song(RATE // 2)])
_m4a = partial(ffmpeg_bytes, "ipod", "aac", [song(RATE // 2)])
_mka = partial(ffmpeg_bytes, "matroska", "flac", [SONG])

_BY_LIBSNDFILE = {
    "WAV": "PCM_U8 PCM_24 PCM_32 DOUBLE ULAW IMA_ADPCM",
    "WAVEX": "PCM_24",
    "W64": "PCM_16",
    "RF64": "FLOAT",
    "AIFF": "PCM_24",
    "AU": "FLOAT",
    "CAF": "PCM_24 ALAC_16",
    "FLAC": "PCM_24",
    "OGG": "VORBIS",
}
_BY_FFMPEG = {
    "ipod": "alac",
    "mov": "pcm_s24le",
    "mp4": "flac",
    "matroska": "pcm_f64le",
    "ogg": "flac",
    "avi": "pcm_s16le",
    "mpegts": "aac",
}
# The largest error of codecs that do not change the sound.
_STEPS = {"PCM_U8": 2.0**-7, "PCM_32": 2.0**-24, "DOUBLE": 0.0, "FLOAT": 0.0, "pcm_f64le": 0.0}
_STEPS |= dict.fromkeys(("PCM_24", "pcm_s24le"), 2.0**-23)
_STEPS |= dict.fromkeys(("PCM_16", "ALAC_16", "alac", "flac", "pcm_s16le"), 2.0**-15)


def _containers() -> list[Entry]:
    found = []
    for container, codecs in {**_BY_LIBSNDFILE, **_BY_FFMPEG}.items():
        for codec in codecs.split():
            make = partial(ffmpeg_bytes, container, codec, [SONG])
            if container in _BY_LIBSNDFILE:
                make = partial(libsndfile_bytes, container, codec, SONG)
            expected = holds(SONG, _STEPS[codec]) if codec in _STEPS else Stems()
            found.append(Entry(f"{codec}.{container}".lower(), make, expected))
    return found


def _one_is(value: float) -> np.ndarray:
    samples = SONG.copy()
    samples[1, 5000] = value
    return samples


_SIGNALS = {
    "silence": np.zeros_like(SONG),
    "denormals": SONG * np.float32(1e-39),
    "constant": np.full_like(SONG, 0.5),
    "120-db-too-loud": SONG * np.float32(1e6),
    "anti-phase": np.stack([SONG[0], -SONG[0]]),
    "left-only": np.stack([SONG[0], 0 * SONG[0]]),
    "highest-frequency": np.tile(np.array([1, -1], np.float32), (2, 5000)),
    "1-frame": song(1),
    "2-frames": song(2),
    "1023-frames": song(1023),
    **{f"{count}-channels": song(5000, count) for count in (1, 3, 6, 8)},
}
_NOT_A_NUMBER = Refused("is not a number")
_SAMPLES = [
    *(Entry(f"{name}.wav", partial(floats, x), holds(x)) for name, x in _SIGNALS.items()),
    *(
        Entry(f"{rate}-hz.wav", partial(floats, x, rate), holds(x, rate=rate))
        for rate in (1, 50, 8000, 44_056, 96_000, 192_000, 768_000)
        for x in [song(max(4, rate // 10))]
    ),
    *(
        Entry(f"sample-{value}.wav", partial(floats, _one_is(value)), _NOT_A_NUMBER)
        for value in (np.nan, np.inf, -np.inf, np.finfo(np.float32).max)
    ),
    Entry("9-channels.wav", partial(floats, song(5000, 9)), Refused("9 channels")),
    Entry("768001-hz.wav", partial(floats, SONG, 768_001), Refused("rate")),
    Entry("0-hz.wav", partial(floats, SONG, 0), Refused()),
    *(
        Entry(
            f"no-frames.{kind.lower()}", partial(libsndfile_bytes, kind, codec, song(0)), Refused()
        )
        for kind, codec in (("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("OGG", "VORBIS"))
    ),
]

_LIST = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"odd\0") + chunk(b"IART", b"\xff\xfe\0"))
_MP3_FORMAT = wav_format(MP3, bits=0, block=1, more=struct.pack("<HHIHHH", 12, 1, 2, 576, 1, 1393))


_STRUCTURE = [
    Entry("big-endian.wav", partial(wav, order=">"), WHOLE),
    Entry("little-endian.aifc", partial(aiff, compression=b"sowt", order="<"), WHOLE),
    Entry("mp3-inside.wav", lambda: wav(_MP3_FORMAT, _mp3()), Stems()),
    Entry("mp3-called.flac", _mp3, Stems()),
    Entry("no-extension", wav, WHOLE),
    Entry("id3-before.flac", lambda: id3() + id3(50) + _flac(), EXACT_16),
    Entry("id3-before.wav", lambda: id3() + wav(), WHOLE),
    Entry("id3v1-after.mp3", lambda: _mp3() + b"TAG" + bytes(125), Stems()),
    Entry("no-length.flac", lambda: with_streaminfo(_flac(), frames=0), EXACT_16),
    Entry("chunks-around.wav", partial(wav, before=_LIST, after=_LIST), WHOLE),
    Entry("extensible.wav", partial(wav, wav_format(EXTENSIBLE, more=extension(3))), WHOLE),
    Entry(
        "fragmented.mp4",
        partial(
            ffmpeg_bytes,
            *("mp4", "aac", [SONG]),
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
        ),
        Stems(),
    ),
    Entry("silent-film.mp4", video_bytes, Refused("no audio")),
    Entry("chained.opus", lambda: 2 * _opus(), Refused("joined")),
    Entry("two-songs.flac", lambda: 2 * _flac(), Refused("joined")),
    Entry("two-songs.wav", lambda: 2 * wav(), Refused("joined")),
    Entry("two-songs.aiff", lambda: 2 * aiff(), Refused("joined")),
    Entry("two-songs.au", lambda: 2 * au(), Refused("joined")),
    Entry("two-songs.m4a", lambda: 2 * ffmpeg_bytes("ipod", "aac", [SONG]), Refused("joined")),
    Entry("space-after.wav", lambda: wav() + bytes(100_000), WHOLE),
]


def _damaged(make: Callable[[], bytes], new: bytes) -> bytes:
    content = make()
    at = len(content) // 2
    return content[:at] + new + content[at + len(new) :]


def _ogg_of_years() -> bytes:
    found = list(pages(_ogg()))
    found[-1] = checked(found[-1][:6] + struct.pack("<q", 2**60) + found[-1][14:])
    return b"".join(found)


_NOISE = np.random.default_rng(3).bytes(1500)
_WHOLE_FILES = {"wav": wav, "flac": _flac, "mp3": _mp3, "m4a": _m4a, "aiff": aiff, "mka": _mka}
_DAMAGE = [
    *(
        Entry(f"first-{size}-bytes.{kind}", lambda make=make, size=size: make()[:size], Refused())
        for kind, make in _WHOLE_FILES.items()
        for size in (1, 4, 12, 30)
    ),
    *(
        Entry(f"{what}-in-the-middle.{kind}", partial(_damaged, make, new), Refused("damaged"))
        for what, new in (("noise", _NOISE), ("zeros", bytes(1500)))
        for kind, make in (("flac", _flac), ("mp3", _mp3), ("m4a", _m4a))
    ),
    Entry("noise-in-the-middle.mka", partial(_damaged, _mka, _NOISE), Refused()),
    Entry("position-of-years.ogg", _ogg_of_years, Refused()),
]

_LONG_SIZES = struct.pack("<QQQI", 1 << 43, 1 << 43, 1 << 41, 0)
_TERABYTES = (
    b"RF64\xff\xff\xff\xffWAVE"
    + chunk(b"ds64", _LONG_SIZES)
    + chunk(b"fmt ", wav_format())
    + chunk(b"data", pcm_16(), 0xFFFFFFFF)
)
_HUGE = b"\xff\xff\xff\xff"


def _lying_mp4(mark: bytes, offset: int, value: bytes) -> bytes:
    return patched(_m4a(), mark, offset, value)


_LIES: dict[str, tuple[Callable[[], bytes], Stems | Refused | None]] = {
    "claims-4-gb.wav": (partial(wav, data_size=0xFFFFF000 - 1), Refused("cut off")),
    "claims-a-bit-more.wav": (partial(wav, data_size=len(pcm_16()) + 400), Refused("cut off")),
    "outer-size-too-small.wav": (partial(wav, riff_size=100), WHOLE),
    "no-channels.wav": (partial(wav, wav_format(channels=0)), Refused()),
    "65535-channels.wav": (partial(wav, wav_format(channels=65535)), Refused()),
    "block-of-0.wav": (partial(wav, wav_format(block=0)), EITHER),
    "unknown-tag.wav": (partial(wav, wav_format(0x1234)), Refused()),
    "mask-all-ones.wav": (partial(wav, wav_format(EXTENSIBLE, more=extension(2**32 - 1))), WHOLE),
    "terabytes.rf64": (partial(bytes, _TERABYTES), Refused("cut off")),
    "claims-4-gb.aiff": (partial(aiff, data_size=0xFFFFEFFF), Refused("cut off")),
    "claims-2-gb.au": (partial(au, size=0x7FFFEFFF), Refused("cut off")),
    "starts-beyond-the-end.au": (partial(au, start=0x7FFFFFFF), Refused()),
    "65535-channels.aiff": (partial(aiff, channels=65535), Refused()),
    "2**36-frames.flac": (lambda: with_streaminfo(_flac(), frames=2**36 - 1), Refused()),
    "10-frames-too-many.flac": (
        lambda: with_streaminfo(_flac(), frames=SONG.shape[1] + 10),
        Refused("damaged"),
    ),
    "8-channels-said.flac": (lambda: with_streaminfo(_flac(), channels=8), Refused()),
    "id3-longer-than-file.mp3": (lambda: id3(10, 1 << 27) + _mp3(), EITHER),
    "65535-channels.m4a": (partial(_lying_mp4, b"mp4a", 20, b"\xff\xff"), EITHER),
    "4-billion-samples.m4a": (partial(_lying_mp4, b"stsz", 12, _HUGE), Refused()),
    "places-beyond-the-end.m4a": (partial(_lying_mp4, b"stco", 12, b"\x7f\xff\xff\xff"), Refused()),
    "lasts-for-years.m4a": (partial(_lying_mp4, b"mdhd", 20, b"\x7f\xff\xff\xff"), EITHER),
}


class Touchy:
    """Leaves a mark if it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("unpickled", "w")


_NOT_AUDIO = {
    "nothing.wav": b"",
    "page.mp3": b"<!DOCTYPE html>\n<html><body>" + b"<p>404</p>" * 200,
    "notes.wav": b"words and more words\n" * 300,
    "program.mp3": b"\x7fELF\2\1\1" + bytes(4000),
    "zeros.wav": bytes(50_000),
    "noise.wav": b"\x01" + np.random.default_rng(5).bytes(40_000),
    "just-ftyp.m4a": struct.pack(">I4s4sI", 16, b"ftyp", b"M4A ", 0),
    "pickle.wav": pickle.dumps([Touchy(), list(range(1000))]),
    "hls.wav": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "concat.wav": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "stream.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 5004 RTP/AVP 0\n",
}
_NAMES = (
    *("-rf.wav", "two\nlines.wav", "escape \x1b[31mred.wav", "quote ' and \" too.wav"),
    *("$(touch unpickled) `id`.wav", "back\\slash.wav", "%s {stem} {0}.wav", "dots...wav"),
    *(" leading space .wav", ".hidden.wav", "con.wav", "pipe:0.wav", "über säng 歌 🎵.wav"),
    *("right \u202eto left.wav", "not-utf-8-\udcff\udcfe.wav", "a" * 251 + ".wav"),
)

ENTRIES = [
    *_containers(),
    *_SAMPLES,
    *_STRUCTURE,
    *_DAMAGE,
    *(Entry(name, make, expected) for name, (make, expected) in _LIES.items()),
    *(Entry(name, partial(bytes, content), Refused()) for name, content in _NOT_AUDIO.items()),
    *(Entry(name, wav, WHOLE) for name in _NAMES),
    # FFmpeg parses the text before a colon as a protocol.
    *(Entry(name, _m4a, Stems()) for name in ("file:song.m4a", "%03d.m4a", "\udcff.m4a")),
]


def write_all(folder: Path) -> list[Path]:
    """Write all files into a folder, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [Path(os.fsdecode(os.fsencode(folder / entry.name))) for entry in ENTRIES]
    for path, entry in zip(paths, ENTRIES, strict=True):
        path.write_bytes(entry.make())
    return paths
