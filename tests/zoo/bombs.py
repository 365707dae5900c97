"""Small files that unpack to very much."""

from __future__ import annotations

import struct
from functools import partial

import numpy as np

from .entries import Entry, Refused, holds

_BLOCK = 65_535
_HOUR = 3600


def flac_of_silence(seconds: float, rate: int = 8000, *, known: bool = True) -> bytes:
    """Silence in stereo as FLAC: some 15 bytes for each 65,535 samples.

    Parameters
    ----------
    seconds : float
        An hour at 8 kHz takes 7 KB, at 44.1 kHz 37 KB.
    rate : int
        Sample rate in Hz.
    known : bool
        Whether the header tells the length.
    """
    frames = round(seconds * rate)
    packed = rate << 44 | 1 << 41 | 15 << 36 | (frames if known else 0)
    info = struct.pack(">HH", 16, _BLOCK) + bytes(6) + struct.pack(">Q", packed) + bytes(16)
    starts = range(0, frames, _BLOCK)
    sound = (_frame(number, min(_BLOCK, frames - at)) for number, at in enumerate(starts))
    return b"fLaC\x80\0\0\x22" + info + b"".join(sound)


def _frame(number: int, length: int) -> bytes:
    # Of fixed block size, which is given in 16 bits; stereo, and the rest as in STREAMINFO.
    head = b"\xff\xf8\x70\x10" + _coded(number) + struct.pack(">H", length - 1)
    head += bytes([_remainder(head, 0x07, 8)])
    # A constant of 16 bits in either channel.
    head += bytes(6)
    return head + struct.pack(">H", _remainder(head, 0x8005, 16))


def _coded(number: int) -> bytes:
    """Code a number as UTF-8 codes characters."""
    if number < 0x80:
        return bytes([number])
    more: list[int] = []
    while number >= 1 << (6 - len(more)):
        more.append(0x80 | number & 0x3F)
        number >>= 6
    first = (0xFF00 >> (len(more) + 1)) & 0xFF | number
    return bytes([first, *reversed(more)])


def _remainder(data: bytes, polynomial: int, bits: int) -> int:
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
    return value


ENTRIES = [
    Entry(
        "9-seconds-of-silence.flac",
        partial(flac_of_silence, 9),
        holds(np.zeros((2, 72_000), np.float32), rate=8000),
    ),
    Entry(
        "9-seconds-of-unknown-length.flac",
        partial(flac_of_silence, 9, known=False),
        holds(np.zeros((2, 72_000), np.float32), rate=8000),
    ),
    Entry("more-than-a-day.flac", partial(flac_of_silence, 25 * _HOUR), Refused("longer than")),
]
