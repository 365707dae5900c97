"""What MP4 and WMA files say beside their audio: copy protection, and names of stems."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import BinaryIO

from songsplit.audio._types import read_at

# Sound that only its shop's own player can decode: of iTunes, of streaming services, of
# Audible.
_PROTECTED = frozenset([b"drms", b"enca", b"aavd"])
_MAX_BOXES = 10_000
_MAX_TEXT_BYTES = 1 << 20
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
# Content Encryption and Extended Content Encryption.
_ASF_PROTECTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
_MAX_ASF_HEADER_BYTES = 1 << 20


def is_protected(file: BinaryIO) -> bool:
    """Say whether the audio of a seekable file is encrypted; the position is left anywhere."""
    head = read_at(file, 0, 24)
    if head[:16] == _ASF and len(head) == 24:
        (size,) = struct.unpack("<Q", head[16:24])
        header = read_at(file, 0, min(size, _MAX_ASF_HEADER_BYTES))
        return any(mark in header for mark in _ASF_PROTECTION)
    if head[4:8] != b"ftyp":
        return False
    for track in boxes(file, (0, file.seek(0, 2)), b"moov", b"trak"):
        for start, _ in boxes(file, track, b"mdia", b"minf", b"stbl", b"stsd"):
            # Version and count, then the first entry: its size and its kind.
            if read_at(file, start + 12, 4) in _PROTECTED:
                return True
    return False


def stem_names(file: BinaryIO) -> tuple[str, ...]:
    """Return the names of the stems in a Native Instruments stem file, else nothing.

    The position in the file is left anywhere.
    """
    if read_at(file, 4, 4) != b"ftyp":
        return ()
    for start, stop in boxes(file, (0, file.seek(0, 2)), b"moov", b"udta", b"stem"):
        text = read_at(file, start, min(stop - start, _MAX_TEXT_BYTES))
        try:
            stems = json.loads(text)["stems"]
            return tuple(str(stem["name"]) for stem in stems)
        except (ValueError, KeyError, TypeError, RecursionError):
            return ()
    return ()


def boxes(
    file: BinaryIO, place: tuple[int, int], first: bytes, *rest: bytes
) -> Iterator[tuple[int, int]]:
    """Yield where the content of boxes lies that are reached by a path of names.

    Boxes that claim more than there is end the walk.
    """
    start, stop = place
    for _ in range(_MAX_BOXES):
        head = read_at(file, start, 16)
        if start + 8 > stop or len(head) < 8:
            return
        size, name = struct.unpack(">I4s", head[:8])
        content = start + 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
            content += 8
        elif size == 0:  # up to the end
            size = stop - start
        end = start + size
        if size < content - start or end > stop:
            return
        if name == first:
            if rest:
                yield from boxes(file, (content, end), *rest)
            else:
                yield content, end
        start = end
