"""Build containers by hand, so that headers can be wrong."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import numpy as np

from tests.zoo.encoding import RATE, song

SONG = song(frames=11_025)
PCM, FLOAT, MP3, EXTENSIBLE = 1, 3, 0x55, 0xFFFE


def pcm_16(samples: np.ndarray = SONG, order: str = "<") -> bytes:
    """Interleaved 16-bit integers."""
    whole = np.round(samples.T.astype(np.float64) * 2**15)
    return whole.astype(f"{order}i2").tobytes()


def stepped(samples: np.ndarray = SONG) -> np.ndarray:
    """Samples rounded to what 16 bits can hold."""
    whole = np.frombuffer(pcm_16(samples), "<i2").reshape(-1, len(samples)).T
    return (whole / 2**15).astype(np.float32)


def chunk(name: bytes, content: bytes, size: int | None = None, order: str = "<") -> bytes:
    """A chunk of RIFF (order "<") or IFF (">"), padded to an even length."""
    length = len(content) if size is None else size
    return name + struct.pack(f"{order}I", length) + content + b"\0" * (len(content) % 2)


def wav_format(
    tag: int = PCM,
    channels: int = 2,
    rate: int = RATE,
    bits: int = 16,
    block: int | None = None,
    more: bytes = b"",
    order: str = "<",
) -> bytes:
    """The content of a "fmt " chunk."""
    block = channels * bits // 8 if block is None else block
    fields = (tag, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    return struct.pack(f"{order}HHIIHH", *fields) + more


def extension(mask: int, bits: int = 16) -> bytes:
    """The rest of the "fmt " chunk of WAVE_FORMAT_EXTENSIBLE."""
    guid = struct.pack("<H", PCM) + bytes.fromhex("000000001000800000aa00389b71")
    return struct.pack("<HHI", 22, bits, mask) + guid


def wav(
    form: bytes | None = None,
    data: bytes | None = None,
    *,
    before: bytes = b"",
    after: bytes = b"",
    data_size: int | None = None,
    riff_size: int | None = None,
    order: str = "<",
) -> bytes:
    """A WAV, or RIFX if the order is ">", with any "fmt " chunk and data."""
    form = wav_format(order=order) if form is None else form
    data = pcm_16(order=order) if data is None else data
    parts = before + chunk(b"fmt ", form, order=order)
    parts += chunk(b"data", data, data_size, order=order) + after
    size = 4 + len(parts) if riff_size is None else riff_size
    magic = b"RIFF" if order == "<" else b"RIFX"
    return magic + struct.pack(f"{order}I", size) + b"WAVE" + parts


def floats(samples: np.ndarray, rate: int = RATE) -> bytes:
    """A 32-bit floating-point WAV with any channels and rate."""
    form = wav_format(FLOAT, len(samples), rate, 32, more=b"\0\0")
    return wav(form, samples.T.astype("<f4").tobytes())


def extended(value: float) -> bytes:
    """A number as 80-bit floating point, the format of the sample rate in AIFF."""
    mantissa, exponent = math.frexp(value)
    return struct.pack(">HQ", exponent + 16382, int(mantissa * 2**64))


def aiff(
    *,
    channels: int = 2,
    frames: int = SONG.shape[1],
    rate: float = RATE,
    data_size: int | None = None,
    compression: bytes = b"",
    order: str = ">",
) -> bytes:
    """An AIFF, or an AIFF-C of any kind of compression."""
    described = struct.pack(">HIh", channels, frames, 16) + extended(rate)
    if compression:
        described += compression + b"\0\0"
    sound = chunk(b"SSND", bytes(8) + pcm_16(order=order), data_size, order=">")
    body = chunk(b"COMM", described, order=">") + sound
    return chunk(b"FORM", (b"AIFC" if compression else b"AIFF") + body, order=">")


def au(size: int | None = None, channels: int = 2, encoding: int = 3, start: int = 24) -> bytes:
    """A Sun/NeXT file; encoding 3 is 16-bit PCM."""
    data = pcm_16(order=">")
    size = len(data) if size is None else size
    return struct.pack(">4sIIIII", b".snd", start, size, encoding, RATE, channels) + data


def with_streaminfo(
    content: bytes,
    *,
    rate: int | None = None,
    channels: int | None = None,
    bits: int | None = None,
    frames: int | None = None,
) -> bytes:
    """Change the STREAMINFO block of a FLAC."""
    (packed,) = struct.unpack_from(">Q", content, 18)
    fields = ((rate, 44, 20, 0), (channels, 41, 3, 1), (bits, 36, 5, 1), (frames, 0, 36, 0))
    for value, shift, width, less in fields:
        if value is not None:
            packed &= ~(((1 << width) - 1) << shift)
            packed |= (value - less) << shift
    return content[:18] + struct.pack(">Q", packed) + content[26:]


def _remainder(data: bytes, polynomial: int, bits: int) -> int:
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
    return value


def pages(content: bytes) -> Iterator[bytes]:
    """Split an Ogg file into pages."""
    start = 0
    while start < len(content):
        body = start + 27 + content[start + 26]
        end = body + sum(content[start + 27 : body])
        yield content[start:end]
        start = end


def checked(page: bytes) -> bytes:
    """Write the right checksum into an Ogg page."""
    page = page[:22] + bytes(4) + page[26:]
    return page[:22] + struct.pack("<I", _remainder(page, 0x04C11DB7, 32)) + page[26:]


def patched(content: bytes, after: bytes, offset: int, value: bytes) -> bytes:
    """Write bytes at an offset from a marker."""
    at = content.index(after) + offset
    return content[:at] + value + content[at + len(value) :]


def id3(size: int = 1000, claimed: int | None = None) -> bytes:
    """An ID3v2 tag of padding only."""
    claimed = size if claimed is None else claimed
    length = bytes(claimed >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + length + bytes(size)
