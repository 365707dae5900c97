"""Builds the plain containers by hand, so that a header can say what is not true."""

from __future__ import annotations

import math
import struct

import numpy as np

from tests.audio.zoo import RATE

from .entries import SONG, Samples

PCM, MS_ADPCM, FLOAT, A_LAW, MU_LAW, MP3, EXTENSIBLE = 1, 2, 3, 6, 7, 0x55, 0xFFFE


def pcm_16(samples: Samples = SONG, order: str = "<") -> bytes:
    """Interleaved 16-bit integers; exact for what :func:`stepped` returns."""
    whole = np.clip(np.round(samples.T.astype(np.float64) * 2**15), -(2**15), 2**15 - 1)
    return whole.astype(f"{order}i2").tobytes()


def stepped(samples: Samples = SONG) -> Samples:
    """Round samples to what 16 bits can say."""
    return (np.frombuffer(pcm_16(samples), "<i2").reshape(-1, len(samples)).T / 2**15).astype(
        np.float32
    )


def chunk(name: bytes, content: bytes, size: int | None = None, order: str = "<") -> bytes:
    """A chunk of RIFF (order "<") or IFF (">"), padded to an even length."""
    length = len(content) if size is None else size
    return name + struct.pack(f"{order}I", length) + content + b"\0" * (len(content) % 2)


def wav_format(
    tag: int = PCM,
    channels: int = 2,
    rate: int = RATE,
    bits: int = 16,
    *,
    block: int | None = None,
    bytes_per_second: int | None = None,
    more: bytes = b"",
    order: str = "<",
) -> bytes:
    """The content of a "fmt " chunk."""
    block = channels * bits // 8 if block is None else block
    speed = rate * block if bytes_per_second is None else bytes_per_second
    fields = (tag, channels, rate, speed & 0xFFFFFFFF, block & 0xFFFF, bits)
    return struct.pack(f"{order}HHIIHH", *fields) + more


def extension(mask: int, tag: int = PCM, bits: int = 16) -> bytes:
    """What follows in the "fmt " chunk of a WAVE_FORMAT_EXTENSIBLE."""
    guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
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
    """A WAV, or RIFX if the order is ">", of any "fmt " chunk and data."""
    form = wav_format(order=order) if form is None else form
    data = pcm_16(order=order) if data is None else data
    parts = before + chunk(b"fmt ", form, order=order)
    parts += chunk(b"data", data, data_size, order=order) + after
    size = 4 + len(parts) if riff_size is None else riff_size
    magic = b"RIFF" if order == "<" else b"RIFX"
    return magic + struct.pack(f"{order}I", size) + b"WAVE" + parts


def extended(value: float) -> bytes:
    """A number as 80-bit floating point, as AIFF gives its sample rate."""
    mantissa, exponent = math.frexp(value)
    return struct.pack(">HQ", exponent + 16382, int(mantissa * 2**64)) if value else bytes(10)


def aiff(
    data: bytes | None = None,
    *,
    channels: int = 2,
    frames: int = SONG.shape[1],
    bits: int = 16,
    rate: bytes | None = None,
    data_size: int | None = None,
    compression: bytes = b"",
    sound_first: bool = False,
) -> bytes:
    """An AIFF, or an AIFF-C of any kind of compression."""
    described = struct.pack(">hIh", channels - (channels >> 15 << 16), frames, bits)
    described += extended(RATE) if rate is None else rate
    if compression:
        described += compression + b"\0\0"
    sound = bytes(8) + (pcm_16(order=">") if data is None else data)
    chunks = [chunk(b"COMM", described, order=">"), chunk(b"SSND", sound, data_size, order=">")]
    body = b"".join(reversed(chunks) if sound_first else chunks)
    kind = b"AIFC" if compression else b"AIFF"
    return chunk(b"FORM", kind + body, order=">")


def au(
    data: bytes | None = None,
    *,
    encoding: int = 3,
    rate: int = RATE,
    channels: int = 2,
    size: int | None = None,
    start: int = 24,
) -> bytes:
    """A Sun/NeXT file; encoding 3 is 16-bit PCM."""
    data = pcm_16(order=">") if data is None else data
    length = len(data) if size is None else size
    head = struct.pack(">4sIIIII", b".snd", start, length, encoding, rate, channels)
    return head + bytes(max(0, start - 24)) + data


def caf(
    data: bytes | None = None,
    *,
    rate: float = RATE,
    channels: int = 2,
    bits: int = 16,
    size: int | None = None,
    packet: int | None = None,
    codec: bytes = b"lpcm",
) -> bytes:
    """An Apple CAF, of big-endian PCM."""
    data = pcm_16(order=">") if data is None else data
    length = 4 + len(data) if size is None else size
    packet = channels * bits // 8 if packet is None else packet
    described = struct.pack(">d4sIIIII", rate, codec, 0, packet & 0xFFFFFFFF, 1, channels, bits)
    return (
        struct.pack(">4sHH", b"caff", 1, 0)
        + struct.pack(">4sq", b"desc", len(described))
        + described
        + struct.pack(">4sqI", b"data", length, 0)
        + data
    )


_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


def w64(
    data: bytes | None = None,
    *,
    form: bytes | None = None,
    data_size: int | None = None,
    size: int | None = None,
) -> bytes:
    """A Sony Wave64."""
    data = pcm_16() if data is None else data
    form = wav_format() if form is None else form
    data_size = 24 + len(data) if data_size is None else data_size
    body = b"wave" + _W64_TAIL
    body += b"fmt " + _W64_TAIL + struct.pack("<q", 24 + len(form)) + form
    body += b"data" + _W64_TAIL + struct.pack("<q", data_size) + data
    total = 24 + len(body) if size is None else size
    return bytes.fromhex("726966662e91cf11a5d628db04c10000") + struct.pack("<q", total) + body


def with_streaminfo(
    content: bytes,
    *,
    rate: int | None = None,
    channels: int | None = None,
    bits: int | None = None,
    frames: int | None = None,
) -> bytes:
    """Change what the STREAMINFO block of a FLAC says; channels 1 to 8, rate below 2**20."""
    (packed,) = struct.unpack_from(">Q", content, 18)
    fields = ((rate, 44, 20, 0), (channels, 41, 3, 1), (bits, 36, 5, 1), (frames, 0, 36, 0))
    for value, shift, width, less in fields:
        if value is not None:
            packed &= ~(((1 << width) - 1) << shift)
            packed |= (value - less) << shift
    return content[:18] + struct.pack(">Q", packed) + content[26:]


def patched(content: bytes, after: bytes, offset: int, value: bytes) -> bytes:
    """Put bytes at a place counted from where a mark begins."""
    at = content.index(after) + offset
    return content[:at] + value + content[at + len(value) :]


def id3(size: int = 1000, claimed: int | None = None) -> bytes:
    """An ID3v2 tag of nothing but padding."""
    claimed = size if claimed is None else claimed
    length = bytes(claimed >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + length + bytes(size)
