"""What a file's own structure says of its length, read without decoding it.

Decoders quietly stop where the bytes stop. Whether that is the end of the song or the
place where a copy or a download broke off is only known from the lengths that the
container carries, and these are what this module reads.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from songsplit.audio._types import read_at

# A program that writes to a pipe cannot go back to fill in the length: it leaves 0,
# or the largest number, or a little less to make room for the header.
_UNKNOWN_LENGTHS = (range(0, 1), range(0x7FFFF000, 0x80000100), range(0xFFFFF000, 0x100000000))
# Files whose last padding byte is counted but not written are common and complete.
_SLACK_BYTES = 1
# Whether an MP3's count includes a 128-byte tag at its end varies.
_MP3_SLACK_BYTES = 200
# A damaged file may look like millions of empty chunks.
_MAX_CHUNKS = 10_000
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_MATROSKA_SEGMENT = 0x18538067
# With the head of its first block, which always has this length.
_FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_FLAC_START_BYTES = 8
# How FLV names the size of the file, and that a number follows.
_FLV_SIZE = b"\0\x08filesize\0"
_SEARCHED_BYTES = 1 << 20


@dataclass(frozen=True)
class Outline:
    """The structure of an audio file.

    Attributes
    ----------
    cut : bool
        The file ends before its own structure says it should.
    needs_ffmpeg : bool
        libsndfile would take only a part of the file for the whole.
    joined : bool
        The file holds several recordings end to end, of which no decoder here reads
        all without fail.
    """

    cut: bool = False
    needs_ffmpeg: bool = False
    joined: bool = False


def examine(file: BinaryIO) -> Outline:
    """Read the structure of a seekable file; the position is left anywhere.

    Parameters
    ----------
    file : BinaryIO
        The file, whatever it holds.

    Returns
    -------
    Outline
        What the file says of itself; all False for a format not known here.
    """
    size = file.seek(0, 2)
    start = _after_id3(file)
    head = read_at(file, start, 16)
    for magic, offset, reader in _READERS:
        if head[offset : offset + len(magic)] == magic:
            return reader(file, start, size)
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return _mp3(file, start, size)
    return Outline()


def audio_chunk(file: BinaryIO) -> tuple[int, int | None] | None:
    """Find where the samples of a WAV, W64, AIFF or AU begin, and how many bytes they are.

    Parameters
    ----------
    file : BinaryIO
        The start of a file, seekable.

    Returns
    -------
    (int, int or None) or None
        Place and length, None if that is not known yet; None if the start does not reach
        that far, or what comes is not enough to decode from there.
    """
    size = file.seek(0, 2)
    head = read_at(file, 0, 16)
    found: tuple[int, int] | None = None
    if head[8:12] == b"WAVE":
        long_length = 0
        for name, content, length in _chunks(file, 12, size, "<4sI", 2):
            if name == b"ds64" and length >= 16 and content + 16 <= size:
                long_length = struct.unpack("<Q", read_at(file, content + 8, 8))[0]
            elif name == b"data":
                if length == 0 and struct.unpack("<I", head[4:8])[0] not in (0, 0xFFFFFFFF):
                    return None  # empty, or not known: only the whole file can tell
                wide = length == 0xFFFFFFFF and head[:4] == b"RF64"
                found = content, long_length if wide else length
                break
    elif head[:16] == _W64_RIFF and len(head := read_at(file, 0, 24)) == 24:
        # The length of everything.
        found = 0, struct.unpack("<q", head[16:24])[0]
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        described = False
        for name, content, length in _chunks(file, 12, size, ">4sI", 2):
            described |= name == b"COMM"
            if name == b"SSND":
                found = (content, length) if described else None
                break
    elif head[:4] == b".snd" and len(head) >= 12:
        found = struct.unpack(">II", head[4:12])
    if found is None:
        return None
    return found[0], found[1] if _is_known(found[1]) else None


def _after_id3(file: BinaryIO) -> int:
    """Return where the content begins after any ID3v2 tags."""
    start = 0
    while (tag := read_at(file, start, 10))[:3] == b"ID3" and len(tag) == 10:
        length = 0
        for byte in tag[6:10]:
            length = length << 7 | byte & 0x7F
        start += 10 + length
    return start


def _chunks(
    file: BinaryIO, offset: int, size: int, header: str, align: int, counted: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    """Walk IFF-like chunks: yield (identifier, start of content, declared length).

    `counted` bytes are those of the header that are part of what the file calls length.
    """
    header_size = struct.calcsize(header)
    for _ in range(_MAX_CHUNKS):
        if offset + header_size > size:
            return
        name, length = struct.unpack(header, read_at(file, offset, header_size))
        length -= counted
        yield name, offset + header_size, length
        if length < 0:
            return
        offset += header_size + length + -length % align


def _is_known(length: int) -> bool:
    known = not any(length in unknown for unknown in _UNKNOWN_LENGTHS)
    return known and 0 < length < 1 << 62


def _is_cut(start: int, length: int, size: int) -> bool:
    return _is_known(length) and start + length > size + _SLACK_BYTES


def _riff(file: BinaryIO, start: int, size: int) -> Outline:
    long_length = None
    found: Outline | None = None
    for name, content, length in _chunks(file, start + 12, size, "<4sI", 2):
        if found is not None:
            if name in (b"data", b"RIFF"):
                return replace(found, joined=True)
        elif name == b"ds64" and length >= 16 and content + 16 <= size:
            long_length = struct.unpack("<Q", read_at(file, content + 8, 8))[0]
        elif name == b"data":
            if length == 0xFFFFFFFF and long_length is not None:
                # What follows is out of reach for a walk by lengths of 32 bits.
                return Outline(cut=_is_cut(content, long_length, size))
            riff_length = struct.unpack("<I", read_at(file, start + 4, 4))[0]
            # libsndfile takes a length of 0 at its word. It is true only where the
            # outer length is also right.
            streamed = length == 0 and start + 8 + riff_length != size
            found = Outline(cut=_is_cut(content, length, size), needs_ffmpeg=streamed)
            if not _is_known(length):
                break
    return found or Outline()


def _avi(file: BinaryIO, start: int, size: int) -> Outline:
    # Beyond a gigabyte or two, there are several such chunks.
    return Outline(
        cut=any(
            name == b"RIFF" and _is_cut(content, length, size)
            for name, content, length in _chunks(file, start, size, "<4sI", 2)
        )
    )


def _w64(file: BinaryIO, start: int, size: int) -> Outline:
    head = read_at(file, start, 24)
    if len(head) < 24:
        return Outline()
    cut = _is_cut(start, struct.unpack_from("<q", head, 16)[0], size)
    # Of a chunk, the length counts its name, a GUID, and itself.
    for name, content, length in _chunks(file, start + 40, size, "<16sq", 8, counted=24):
        if name[:4] == b"data":
            cut = cut or _is_cut(content, length, size)
            break
    return Outline(cut=cut)


def _aiff(file: BinaryIO, start: int, size: int) -> Outline:
    for name, content, length in _chunks(file, start + 12, size, ">4sI", 2):
        if name in (b"SSND", b"BODY"):
            return Outline(cut=_is_cut(content, length, size))
    return Outline()


def _au(file: BinaryIO, start: int, size: int) -> Outline:
    header = read_at(file, start + 4, 8)
    if len(header) < 8:
        return Outline()
    content, length = struct.unpack(">II", header)
    return Outline(cut=_is_cut(start + content, length, size))


def _caf(file: BinaryIO, start: int, size: int) -> Outline:
    for name, content, length in _chunks(file, start + 8, size, ">4sq", 1):
        if name == b"data":
            return Outline(cut=_is_cut(content, length, size))
    return Outline()


def _flac(file: BinaryIO, start: int, size: int) -> Outline:
    """Look for a second file behind the first, where libsndfile stops."""
    file.seek(start + _FLAC_START_BYTES)
    end = b""
    while block := file.read(_SEARCHED_BYTES):
        if _FLAC_START.search(end + block):
            return Outline(joined=True)
        end = block[1 - _FLAC_START_BYTES :]
    return Outline()


def _flv(file: BinaryIO, start: int, size: int) -> Outline:
    head = read_at(file, start, 4096)
    found = head.find(_FLV_SIZE)
    if found < 0 or found + len(_FLV_SIZE) + 8 > len(head):
        return Outline()
    length = struct.unpack_from(">d", head, found + len(_FLV_SIZE))[0]
    return Outline(cut=start + length > size)


def _mp4(file: BinaryIO, start: int, size: int) -> Outline:
    offset, indexes = start, 0
    while offset + 8 <= size:
        length, name = struct.unpack(">I4s", read_at(file, offset, 8))
        if length == 1 and offset + 16 <= size:
            length = struct.unpack(">Q", read_at(file, offset + 8, 8))[0]
        if length < 8:
            break
        if name in (b"mdat", b"moov", b"moof") and offset + length > size:
            return Outline(cut=True)
        indexes += name == b"moov"
        offset += length
    return Outline(joined=indexes > 1)


def _matroska(file: BinaryIO, start: int, size: int) -> Outline:
    def number(data: bytes, keep_marker: bool) -> tuple[int, int]:
        width = 9 - data[0].bit_length()
        value = int.from_bytes(data[:width], "big")
        return (value if keep_marker else value & ((1 << 7 * width) - 1)), width

    offset = start
    while len(head := read_at(file, offset, 12)) == 12 and head[0]:
        name, name_width = number(head, keep_marker=True)
        if head[name_width] == 0:
            break
        length, width = number(head[name_width:], keep_marker=False)
        content = offset + name_width + width
        if name == _MATROSKA_SEGMENT:
            unknown = length == (1 << 7 * width) - 1
            return Outline(cut=not unknown and content + length > size)
        offset = content + length
    return Outline()


def _asf(file: BinaryIO, start: int, size: int) -> Outline:
    head = read_at(file, start, 65536)
    found = head.find(_ASF_FILE_PROPERTIES)
    if found < 0 or found + 92 > len(head):
        return Outline()
    length = struct.unpack_from("<Q", head, found + 40)[0]
    broadcast = head[found + 88] & 1
    return Outline(cut=not broadcast and start + length > size)


def _ogg(file: BinaryIO, start: int, size: int) -> Outline:
    """Walk the pages to the last, and see how streams begin and end on the way."""
    offset, streams, ended, whole, joined, began = start, 0, False, True, False, False
    while (head := read_at(file, offset, 282))[:4] == b"OggS":
        body = 27 + head[26] if len(head) > 26 else len(head) + 1
        length = body + sum(head[27:body])
        if body > len(head) or offset + length > size:
            whole = False
            break
        starts = bool(head[5] & 2)
        streams += starts
        # Streams side by side all start before the first goes on (RFC 3533, section 4).
        joined = joined or (starts and began)
        began = began or not starts
        # A stream without its end mark broke off (RFC 3533, section 6).
        ended = bool(head[5] & 4)
        offset += length
    return Outline(cut=not (whole and ended), needs_ffmpeg=streams > 1, joined=joined)


def _mp3(file: BinaryIO, start: int, size: int) -> Outline:
    """Compare the byte count of a Xing or VBRI header, where there is one, with the file.

    Without such a header libsndfile estimates the length from the first frames and
    stops there, which loses most of a song of varying bit rate; with one, it drops
    what was appended. FFmpeg reads to the end either way.
    """
    head = read_at(file, start, 512)
    if head[36:40] == b"VBRI" and len(head) >= 50:
        length = struct.unpack_from(">I", head, 46)[0]
        return Outline(cut=start + length > size + _MP3_SLACK_BYTES, needs_ffmpeg=True)
    for tag in (b"Xing", b"Info"):
        found = head.find(tag, 4, 64)
        if found > 0 and found + 16 <= len(head):
            flags = head[found + 7]
            if flags & 2:
                length = struct.unpack_from(">I", head, found + (12 if flags & 1 else 8))[0]
                return Outline(cut=start + length > size + _MP3_SLACK_BYTES, needs_ffmpeg=True)
    return Outline(needs_ffmpeg=True)


_READERS: tuple[tuple[bytes, int, Callable[[BinaryIO, int, int], Outline]], ...] = (
    (b"WAVE", 8, _riff),
    (b"AVI ", 8, _avi),
    (_W64_RIFF, 0, _w64),
    (b"AIFF", 8, _aiff),
    (b"AIFC", 8, _aiff),
    (b"8SVX", 8, _aiff),
    (b"16SV", 8, _aiff),
    (b".snd", 0, _au),
    (b"caff", 0, _caf),
    (b"fLaC", 0, _flac),
    (b"OggS", 0, _ogg),
    (b"FLV", 0, _flv),
    (b"ftyp", 4, _mp4),
    (bytes.fromhex("1a45dfa3"), 0, _matroska),
    (bytes.fromhex("3026b2758e66cf11"), 0, _asf),
)
