"""Ogg pages: taking files apart, and writing pages with a right or a wrong checksum."""

from __future__ import annotations

import struct
from collections.abc import Iterator

FIRST, LAST = 2, 4
_POLYNOMIAL = 0x04C11DB7


def pages(content: bytes) -> list[bytes]:
    """Take a file apart."""
    return list(_pages(content))


def _pages(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        body = start + 27 + content[start + 26]
        end = body + sum(content[start + 27 : body])
        yield content[start:end]
        start = end


def page(
    data: bytes, *, flags: int = 0, position: int = 0, serial: int = 1, number: int = 0
) -> bytes:
    """A page that holds one packet of less than 64 KiB."""
    lacing = bytes([255] * (len(data) // 255) + [len(data) % 255])
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, position, serial, number, 0, len(lacing))
    return checked(head + lacing + data)


def checked(page: bytes) -> bytes:
    """Write the right checksum into a page."""
    page = page[:22] + bytes(4) + page[26:]
    return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _checksum(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = value << 1 ^ (_POLYNOMIAL if value & 1 << 31 else 0)
            value &= 0xFFFFFFFF
    return value
