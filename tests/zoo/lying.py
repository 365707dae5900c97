"""Headers that say what is not true: of length, channels, rate and of what a file is."""

from __future__ import annotations

import struct
from functools import partial

from .encoding import ffmpeg, libsndfile
from .entries import MONO, SONG, Entry, Refused, Stems, holds
from .headers import (
    EXTENSIBLE,
    FLOAT,
    MP3,
    aiff,
    au,
    caf,
    chunk,
    extended,
    extension,
    patched,
    pcm_16,
    stepped,
    w64,
    wav,
    wav_format,
    with_streaminfo,
)

CUT_OFF = Refused("cut off")
ANY = Refused("")
DAMAGED = Refused("cut off or damaged")
NO_DECODER = Refused("there is no decoder here")
NOT_AUDIO = Refused("not an audio file")
BAD_RATE = Refused("the sample rate of")
# What FFmpeg puts in the place of a rate that is none.
AT_8_KHZ = Stems(2, 8000)
WHOLE = holds(stepped())
TERABYTES = 1 << 43


def _rf64(data_size: int, frames: int) -> bytes:
    long_sizes = struct.pack("<QQQI", (data_size + 72) % 2**64, data_size, frames, 0)
    content = chunk(b"ds64", long_sizes) + chunk(b"fmt ", wav_format())
    content += chunk(b"data", pcm_16(), 0xFFFFFFFF)
    return b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + content


def _flac(**said: int) -> bytes:
    return with_streaminfo(libsndfile("FLAC", "PCM_16", SONG), **said)


def _mp4_sound(codec: str, mark: bytes, offset: int, value: bytes) -> bytes:
    return patched(ffmpeg("mp4", codec, [SONG]), mark, offset, value)


def _mka(mark: bytes, value: bytes) -> bytes:
    """Change an element of the track's audio settings: its ID, its size, then its value."""
    content = ffmpeg("matroska", "pcm_s16le", [SONG])
    # Beyond the description of the track, to which the ID belongs.
    settings = content.index(b"\xe1", content.index(b"A_PCM/INT/LIT"))
    at = content.index(mark, settings) + len(mark)
    return content[:at] + value + content[at + len(value) :]


def _millions_of_channels() -> bytes:
    content = ffmpeg("matroska", "pcm_s16le", [SONG])
    settings = content.index(b"\xe1", content.index(b"A_PCM/INT/LIT"))
    channels = content.index(b"\x9f\x81", settings)
    rate = content.index(b"\xb5\x88", settings)
    # In the place of the rate, of 8 bytes; what is left over becomes void.
    content = content[:channels] + b"\xec\x81\0" + content[channels + 3 :]
    return content[:rate] + b"\x9f\x84\0\x50\0\0\xec\x82\0\0" + content[rate + 10 :]


def _fact(frames: int) -> bytes:
    return wav(before=chunk(b"fact", struct.pack("<I", frames)))


def _extensible(mask: int, channels: int = 2) -> bytes:
    form = wav_format(EXTENSIBLE, channels, more=extension(mask))
    return wav(form, pcm_16(MONO) if channels == 1 else None)


def _more_frames_of_adpcm() -> bytes:
    content = libsndfile("WAV", "MS_ADPCM", SONG)
    return patched(content, b"fact", 8, struct.pack("<I", 2**31))


_WAV = (
    ("claims-4-gb", wav(data_size=0xFFFFF000 - 1), CUT_OFF),
    ("claims-2-gb", wav(data_size=0x7FFFEFFE), CUT_OFF),
    ("claims-a-bit-more", wav(data_size=len(pcm_16()) + 400), CUT_OFF),
    ("claims-less", wav(data_size=4000), holds(stepped()[:, :1000])),
    ("claims-0-bytes", wav(data_size=0, riff_size=0), WHOLE),
    ("claims-all-ones", wav(data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF), WHOLE),
    ("outer-size-0", wav(riff_size=0), WHOLE),
    ("outer-size-4-gb", wav(riff_size=0xFFFFFFFF), WHOLE),
    ("outer-size-too-small", wav(riff_size=100), WHOLE),
    ("no-channels", wav(wav_format(channels=0)), DAMAGED),
    ("65535-channels", wav(wav_format(channels=65535)), DAMAGED),
    ("1000-channels", wav(wav_format(channels=1000)), Refused("1000 channels")),
    ("255-channels", wav(wav_format(channels=255)), Refused("255 channels")),
    ("0-bits", wav(wav_format(bits=0)), NO_DECODER),
    ("1-bit", wav(wav_format(bits=1, block=1)), Stems(frames=22_050)),
    ("65535-bits", wav(wav_format(bits=65535, block=4)), NO_DECODER),
    ("128-bits", wav(wav_format(bits=128)), NO_DECODER),
    ("17-bit-float", wav(wav_format(FLOAT, bits=17, block=4)), NO_DECODER),
    ("block-of-0", wav(wav_format(block=0)), WHOLE),
    ("block-of-65535", wav(wav_format(block=65535)), WHOLE),
    ("0-bytes-per-second", wav(wav_format(bytes_per_second=0)), WHOLE),
    ("4-gb-per-second", wav(wav_format(bytes_per_second=0xFFFFFFFF)), WHOLE),
    ("tag-0", wav(wav_format(0)), NO_DECODER),
    ("unknown-tag", wav(wav_format(0x1234)), NO_DECODER),
    ("says-mp3-holds-pcm", wav(wav_format(MP3)), DAMAGED),
    ("mask-0", _extensible(0), WHOLE),
    ("mask-all-ones", _extensible(0xFFFFFFFF), WHOLE),
    ("mask-of-1-for-2", _extensible(4), WHOLE),
    ("mask-of-6-for-2", _extensible(0x3F), WHOLE),
    ("mask-of-2-for-1", _extensible(3, 1), holds(stepped(MONO))),
    ("unknown-guid", wav(wav_format(EXTENSIBLE, more=extension(3)[:-1] + b"!")), NO_DECODER),
    ("extension-missing", wav(wav_format(EXTENSIBLE)), NO_DECODER),
    ("extension-too-long", wav(wav_format(EXTENSIBLE, more=b"\xff\xff" + extension(3)[2:])), WHOLE),
    ("format-chunk-of-4-gb", wav()[:16] + b"\xff\xff\xff\xff" + wav()[20:], NOT_AUDIO),
    ("format-chunk-too-short", wav(wav_format()[:8]), NOT_AUDIO),
    ("fact-of-terabytes", _fact(0xFFFFFFFF), WHOLE),
    ("adpcm-fact", _more_frames_of_adpcm(), Stems()),
    ("adpcm-block-of-1", wav(wav_format(0x11, bits=4, block=1)), DAMAGED),
    (
        "adpcm-block-of-65535",
        wav(wav_format(0x11, bits=4, block=65535, more=b"\2\0\xff\xff")),
        DAMAGED,
    ),
    ("terabytes.rf64", _rf64(TERABYTES, TERABYTES // 4), CUT_OFF),
    ("no-long-lengths.rf64", b"RF64" + wav(data_size=0xFFFFFFFF)[4:], NOT_AUDIO),
    ("more-than-63-bits.rf64", _rf64(2**64 - 1, 2**64 - 1), NOT_AUDIO),
)

ENTRIES = [
    *(
        Entry(name if "." in name else f"{name}.wav", partial(bytes, content), expected)
        for name, content, expected in _WAV
    ),
    # The length of AIFF is in bytes and in frames.
    Entry("claims-4-gb.aiff", partial(aiff, data_size=0xFFFFEFFF), CUT_OFF),
    Entry("frames-4-billion.aiff", partial(aiff, frames=0xFFFFFFFF), WHOLE),
    Entry("frames-too-few.aiff", partial(aiff, frames=100), WHOLE),
    Entry("65535-channels.aiff", partial(aiff, channels=65535), DAMAGED),
    Entry("32767-channels.aiff", partial(aiff, channels=32767), DAMAGED),
    Entry("no-channels.aiff", partial(aiff, channels=0), NOT_AUDIO),
    Entry("0-bits.aiff", partial(aiff, bits=0), Stems(frames=22_050)),
    Entry("infinite-rate.aiff", partial(aiff, rate=b"\x7f\xff" + bytes(8)), BAD_RATE),
    Entry("huge-rate.aiff", partial(aiff, rate=extended(2.0**60)), BAD_RATE),
    Entry("unknown-codec.aifc", partial(aiff, compression=b"what"), NOT_AUDIO),
    Entry("claims-2-gb.au", partial(au, size=0x7FFFEFFF), CUT_OFF),
    Entry("unknown-length.au", partial(au, size=0xFFFFFFFF), WHOLE),
    Entry("millions-of-channels.au", partial(au, channels=5_000_000), NOT_AUDIO),
    Entry("4-billion-channels.au", partial(au, channels=0xFFFFFFFF), NOT_AUDIO),
    Entry("no-channels.au", partial(au, channels=0), NOT_AUDIO),
    Entry(
        "starts-beyond-the-end.au",
        lambda: au()[:4] + b"\x7f\xff\xff\xff" + au()[8:],
        Refused("no samples"),
    ),
    Entry("unknown-encoding.au", partial(au, encoding=99), NOT_AUDIO),
    Entry("terabytes.caf", partial(caf, size=TERABYTES), CUT_OFF),
    Entry("unknown-length.caf", partial(caf, size=-1), WHOLE),
    Entry("negative-length.caf", partial(caf, size=-(2**62)), WHOLE),
    Entry("millions-of-channels.caf", partial(caf, channels=5_000_000), DAMAGED),
    Entry("4-billion-channels.caf", partial(caf, channels=0xFFFFFFFF), NOT_AUDIO),
    Entry("packets-of-0-bytes.caf", partial(caf, packet=0), NOT_AUDIO),
    Entry("unknown-codec.caf", partial(caf, codec=b"what"), NO_DECODER),
    Entry("0-bits.caf", partial(caf, bits=0), NOT_AUDIO),
    Entry("infinite-rate.caf", partial(caf, rate=float("inf")), BAD_RATE),
    Entry("terabytes.w64", partial(w64, size=TERABYTES, data_size=TERABYTES), CUT_OFF),
    Entry("data-of-terabytes.w64", partial(w64, data_size=TERABYTES), CUT_OFF),
    Entry("data-of-minus-1.w64", partial(w64, data_size=-1), WHOLE),
    Entry("65535-channels.w64", partial(w64, form=wav_format(channels=65535)), DAMAGED),
    Entry("2**36-frames.flac", partial(_flac, frames=2**36 - 1), Refused("longer than")),
    Entry("10-frames-too-many.flac", partial(_flac, frames=SONG.shape[1] + 10), DAMAGED),
    Entry("frames-too-few.flac", partial(_flac, frames=1000), Stems(frames=1000)),
    Entry("8-channels-said.flac", partial(_flac, channels=8), DAMAGED),
    Entry("1-channel-said.flac", partial(_flac, channels=1), DAMAGED),
    Entry("rate-0-said.flac", partial(_flac, rate=0), holds(SONG, 2.0**-15)),
    Entry("rate-1048575-said.flac", partial(_flac, rate=2**20 - 1), BAD_RATE),
    Entry("32-bits-said.flac", partial(_flac, bits=32), DAMAGED),
    Entry("4-bits-said.flac", partial(_flac, bits=4), DAMAGED),
    Entry("65535-channels.m4a", partial(_mp4_sound, "aac", b"mp4a", 20, b"\xff\xff"), Stems()),
    Entry(
        "65535-channels.mov",
        lambda: patched(ffmpeg("mov", "pcm_s16be", [SONG]), b"twos", 20, b"\xff\xff"),
        DAMAGED,
    ),
    Entry("rate-0.m4a", partial(_mp4_sound, "aac", b"mp4a", 28, bytes(4)), Stems()),
    Entry("alac-of-255-channels.m4a", partial(_mp4_sound, "alac", b"\x24alac", 18, b"\xff"), ANY),
    Entry(
        "alac-frames-of-4-gb.m4a",
        partial(_mp4_sound, "alac", b"\x24alac", 9, b"\x7f\xff\xff\xff"),
        ANY,
    ),
    Entry(
        "4-billion-samples.m4a",
        partial(_mp4_sound, "aac", b"stsz", 12, b"\xff\xff\xff\xff"),
        Refused("its index is"),
    ),
    Entry(
        "4-billion-times.m4a",
        partial(_mp4_sound, "aac", b"stts", 8, b"\xff\xff\xff\xff"),
        Refused("its index is"),
    ),
    Entry(
        "4-billion-places.m4a", partial(_mp4_sound, "aac", b"stco", 8, b"\xff\xff\xff\xff"), Stems()
    ),
    Entry(
        "places-beyond-the-end.m4a",
        partial(_mp4_sound, "aac", b"stco", 12, b"\x7f\xff\xff\xff"),
        Refused("no samples"),
    ),
    Entry(
        "lasts-for-years.m4a", partial(_mp4_sound, "aac", b"mdhd", 20, b"\x7f\xff\xff\xff"), Stems()
    ),
    Entry(
        "timescale-0.m4a", partial(_mp4_sound, "aac", b"mdhd", 16, bytes(4)), Refused("no samples")
    ),
    Entry("channels-255.mka", partial(_mka, b"\x9f\x81", b"\xff"), Refused("255 channels")),
    Entry("millions-of-channels.mka", _millions_of_channels, DAMAGED),
    Entry("channels-0.mka", partial(_mka, b"\x9f\x81", b"\0"), DAMAGED),
    Entry("bits-255.mka", partial(_mka, b"\x62\x64\x81", b"\xff"), Stems()),
    Entry(
        "rate-infinite.mka", partial(_mka, b"\xb5\x88", struct.pack(">d", float("inf"))), AT_8_KHZ
    ),
    Entry("rate-nan.mka", partial(_mka, b"\xb5\x88", struct.pack(">d", float("nan"))), AT_8_KHZ),
    Entry("rate-0.mka", partial(_mka, b"\xb5\x88", bytes(8)), DAMAGED),
    Entry("rate-1e300.mka", partial(_mka, b"\xb5\x88", struct.pack(">d", 1e300)), AT_8_KHZ),
]
