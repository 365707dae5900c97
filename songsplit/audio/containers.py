"""Read container structure: declared length, copy protection and the names of stems.

Decoders stop silently where the data end. Only the lengths in the container show whether that is
the end of the song or the point where a copy or download broke off.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

if TYPE_CHECKING:
    from songsplit.audio.opening import File

    Seekable: TypeAlias = File | BinaryIO

# A program that writes to a pipe cannot seek back to fill in the length. It leaves 0, the largest
# number, or the largest number less the size of the header.
_UNKNOWN_LENGTHS = (range(0, 1), range(0x7FFFF000, 0x80000100), range(0xFFFFF000, 0x100000000))
# Some encoders include a 128-byte tag at the end in the byte count of an MP3, others do not.
_MP3_SLACK_BYTES = 200
# A damaged file may seem to hold millions of empty chunks. Long MP4 recordings have many boxes.
_MAX_CHUNKS = 10_000
_MAX_BOXES = 250_000
_TOO_MANY = "the file is damaged: it has too many chunks; copy, download or export it again"
_MAX_DESCRIPTION_BYTES = 1 << 20
MAX_TAG_BYTES = 1 << 24
_BLOCK_BYTES = 1 << 20
# The marker and the header of the STREAMINFO block, whose length is fixed: 8 bytes.
_FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
# The first bytes after the samples where another file follows.
FILE_STARTS = (b"data", b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd")
# Sample entries with DRM: iTunes, streaming services, Audible.
_PROTECTED_MP4 = (b"drms", b"enca", b"aavd")
_IS_JOINED = (
    "the file holds several recordings joined end to end, of which only the first can be read; "
    "export them as one or as separate files"
)
IS_PROTECTED = (
    "the file is protected against copying (DRM), so only the program it was bought for can play "
    "it; get the song in another way, such as from the CD"
)


class UnreadableError(Exception):
    """States why a file cannot be read; the reader adds the name of the file."""


@dataclass(frozen=True)
class Structure:
    """The structure of a readable file, which may be cut off."""

    is_cut: bool = False
    needs_ffmpeg: bool = False  # libsndfile would not read the whole file
    samples: tuple[int, int] | None = None  # start and size, if the header is wrong
    notes: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()  # names in a Native Instruments stem file


def examine(file: Seekable) -> Structure:
    """Read the structure of a file that begins after its tags, or raise an UnreadableError."""
    size = file.seek(0, 2)
    head = read_at(file, 0, 12)
    if head[8:] in (b"WAVE", b"AIFF", b"AIFC") or head[:4] == b".snd":
        return _plain(file, size)
    if head[:4] == b"fLaC":
        _check_one_flac(file)
    elif head[:4] == b"OggS":
        return _ogg(file, size)
    elif head[4:8] == b"ftyp":
        return _mp4(file, size)
    return _mp3(file, size)


def read_at(file: Seekable, offset: int, count: int) -> bytes:
    """Read up to `count` bytes at an offset."""
    file.seek(offset)
    return file.read(count)


def find_samples(file: Seekable) -> tuple[int, int | None] | None:
    """Find the offset of the samples of a WAV, AIFF or AU file and their length in bytes.

    The length is None if the header does not state it. The result is None for other files, and if
    the samples begin beyond the end of `file`.
    """
    size, long_length, is_described = file.seek(0, 2), 0, False
    head = read_at(file, 0, 12)
    if head[:4] == b".snd" and len(head) == 12:
        content, length = struct.unpack_from(">II", head, 4)
        return _with_true_length(content, length, size)
    for name, content, length in chunks(file, size):
        is_described |= name in (b"fmt ", b"COMM")
        if name == b"ds64" and length >= 16 and content + 16 <= size:
            (long_length,) = struct.unpack("<Q", read_at(file, content + 8, 8))
        elif name in (b"data", b"SSND"):
            if length == 0xFFFFFFFF and head[:4] == b"RF64":
                length = long_length
            return _with_true_length(content, length, size) if is_described else None
    return None


def _with_true_length(start: int, length: int, size: int) -> tuple[int, int | None]:
    # Recorders that start a new file at 2 GiB write a true length in these ranges.
    is_true = length and 0 <= size - start - length < MAX_TAG_BYTES
    is_unknown = any(length in lengths for lengths in _UNKNOWN_LENGTHS)
    if not is_true and (is_unknown or length >= 1 << 62):
        return start, None
    # In files beyond 4 GiB, many programs write the length modulo 2**32.
    return start, length + (max(0, size - start - length) >> 32 << 32)


def boxes(
    file: Seekable, place: tuple[int, int], first: bytes, *rest: bytes
) -> Iterator[tuple[int, int]]:
    """Yield start and end of the content of each MP4 box at a path of names."""
    for name, content, end in _boxes(file, *place):
        if end > place[1]:
            return
        if name == first:
            if rest:
                yield from boxes(file, (content, end), *rest)
            else:
                yield content, end


def _boxes(file: Seekable, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start of content and end of each box; the last may end beyond the file."""
    for _ in range(_MAX_BOXES):
        if start + 8 > stop or len(head := read_at(file, start, 16)) < 8:
            return
        size, name = struct.unpack(">I4s", head[:8])
        content = start + 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
            content += 8
        elif size == 0:  # up to the end
            size = stop - start
        if size < content - start:
            return
        yield name, content, start + size
        start += size
    raise UnreadableError(_TOO_MANY)


def after_id3(file: Seekable) -> int:
    """Return the offset of the content after any ID3v2 tags."""
    start = 0
    for _ in range(_MAX_CHUNKS):
        tag = read_at(file, start, 10)
        if tag[:3] != b"ID3" or len(tag) < 10:
            break
        start += 10 + syncsafe(tag[6:10])
    return start


def syncsafe(data: bytes) -> int:
    """Decode a number of an ID3v2 tag, which has 7 bits in each byte."""
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(data)))


def _order(head: bytes) -> str:
    return ">" if head[:4] in (b"FORM", b"RIFX", b".snd") else "<"


def chunks(file: Seekable, size: int, offset: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start of content and declared length of each chunk of WAV or AIFF."""
    form = f"{_order(read_at(file, 0, 4))}4sI"
    for _ in range(_MAX_CHUNKS):
        if offset + 8 > size:
            return
        name, length = struct.unpack(form, read_at(file, offset, 8))
        yield name, offset + 8, length
        offset += 8 + length + length % 2
    raise UnreadableError(_TOO_MANY)


def _plain(file: Seekable, size: int) -> Structure:
    found = find_samples(file)
    if found is None:
        return Structure()
    start, length = found
    head = read_at(file, 0, 12)
    before = 8 if head[:4] == b"FORM" else 0  # offset and block size, before the samples
    if length is None:
        # A length of 0 is true if the outer length is right as well.
        (outer,) = struct.unpack_from(f"{_order(head)}I", head, 4)
        is_empty = read_at(file, start - 4, 4) == bytes(4) and 8 + outer == size
        # libsndfile trusts some of these lengths.
        return Structure(samples=None if is_empty else (start + before, size - start - before))
    for name, *_ in chunks(file, size, start + length + length % 2):
        if name in FILE_STARTS:
            raise UnreadableError(_IS_JOINED)
        if name == bytes(4):  # space that a recorder reserved
            break
    is_wrapped = length >> 32 and head[:4] != b"RF64"
    return Structure(
        # Programs often count the last padding byte but do not write it.
        is_cut=start + length > size + 1,
        samples=(start + before, length - before) if is_wrapped else None,
    )


def _check_one_flac(file: Seekable) -> None:
    """Refuse a second FLAC file after the first, which libsndfile would not read."""
    file.seek(8)
    end = b""
    while block := file.read(_BLOCK_BYTES):
        if _FLAC_START.search(end + block):
            raise UnreadableError(_IS_JOINED)
        end = block[-7:]


def _ogg(file: Seekable, size: int) -> Structure:
    """Walk all pages and record how the streams begin and end."""
    offset, streams, began, is_marked, is_whole = 0, 0, False, False, False
    while (head := read_at(file, offset, 282))[:4] == b"OggS":
        body = 27 + head[26] if len(head) > 26 else size + 1
        offset += body + sum(head[27:body])
        if offset > size:
            return Structure(is_cut=True)
        if head[5] & 2:
            # Multiplexed streams all start before the first one continues (RFC 3533, section 4).
            if began:
                raise UnreadableError(_IS_JOINED)
            streams += 1
        else:
            began = True
        is_marked = bool(head[5] & 4)
        # Some recorders set no end-of-stream flag; the last packet must then end with the file.
        is_whole = is_marked or (offset == size and head[body - 1] < 255)
    return Structure(is_cut=not is_whole, needs_ffmpeg=streams > 1 or not is_marked)


def _mp4(file: Seekable, size: int) -> Structure:
    found = list(_boxes(file, 0, size))
    if sum(name == b"moov" for name, _, _ in found) > 1:
        raise UnreadableError(_IS_JOINED)
    for place in boxes(file, (0, size), b"moov", b"trak", b"mdia", b"minf"):
        for start, _ in boxes(file, place, b"stbl", b"stsd"):
            # Version and count, then the size and type of the first entry.
            if read_at(file, start + 12, 4) in _PROTECTED_MP4:
                raise UnreadableError(IS_PROTECTED)
        is_sound = any(boxes(file, place, b"smhd"))
        for start, stop in boxes(file, place, b"dinf", b"dref"):
            for _, entry, end in _boxes(file, start + 8, stop):
                flags = read_at(file, entry, 4)
                # The lowest flag is set if the samples are in this file.
                if is_sound and len(flags) == 4 and end - entry > 4 and not flags[3] & 1:
                    raise UnreadableError(
                        "the samples are in another file, which songsplit does not open; export "
                        "the song as a self-contained file"
                    )
    return Structure(
        is_cut=any(name in (b"mdat", b"moov", b"moof") and end > size for name, _, end in found),
        stems=_stem_names(file, size),
    )


def _stem_names(file: Seekable, size: int) -> tuple[str, ...]:
    for start, stop in boxes(file, (0, size), b"moov", b"udta", b"stem"):
        text = read_at(file, start, min(stop - start, _MAX_DESCRIPTION_BYTES))
        try:
            return tuple(str(stem["name"]) for stem in json.loads(text)["stems"])
        except (ValueError, KeyError, TypeError, RecursionError):
            break
    return ()


def _mp3(file: Seekable, size: int) -> Structure:
    """Compare the byte count of a Xing or VBRI header, if present, with the size of the file."""
    head = read_at(file, 0, 512)
    if len(head) < 512 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return Structure()
    length = 0
    if head[36:40] == b"VBRI":
        (length,) = struct.unpack_from(">I", head, 46)
    for tag in (b"Xing", b"Info"):
        found = head.find(tag, 4, 64)
        if found > 0 and (flags := head[found + 7]) & 2:
            (length,) = struct.unpack_from(">I", head, found + (12 if flags & 1 else 8))
    if length <= size + _MP3_SLACK_BYTES:
        return Structure()
    if not _is_whole_mp3(file, size):
        return Structure(is_cut=True)
    note = "the header states a longer file, which was trimmed or cut off between two frames"
    return Structure(needs_ffmpeg=True, notes=(note,))


def _is_whole_mp3(file: Seekable, size: int) -> bool:
    """Return whether the last frame of an MP3 ends at the end of the file or at a tag."""
    from mutagen.mp3 import HeaderNotFoundError, MPEGFrame

    place = file.seek(0)
    try:
        while place < size and read_at(file, place, 3) not in (b"TAG", b"APE", b"ID3"):
            file.seek(place)
            MPEGFrame(file)
            place = file.tell()
    except HeaderNotFoundError:
        return False
    return place <= size
