"""Titles, artists and cover pictures, from the song's file to those of its stems."""

from __future__ import annotations

import base64
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import mutagen
import soundfile
from mutagen.aac import AAC
from mutagen.aiff import AIFF
from mutagen.asf import ASF, ASFTags
from mutagen.dsdiff import DSDIFF
from mutagen.dsf import DSF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, Frames, Frames_2_2
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover, MP4Tags
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggtheora import OggTheora
from mutagen.oggvorbis import OggVorbis
from mutagen.trueaudio import TrueAudio
from mutagen.wave import WAVE

from songsplit.audio.containers import syncsafe
from songsplit.audio.formats import FormatName
from songsplit.audio.opening import AudioSource, open_container

# Names as in Vorbis comments, with those of ID3 (MP3, WAV, AIFF), MP4, ASF (WMA) and APE (WavPack).
# What describes the sound of the mixture, such as its loudness, does not hold for a stem.
_NAMES: dict[str, tuple[str, str, str, str]] = {
    "title": ("TIT2", "\xa9nam", "Title", "title"),
    "artist": ("TPE1", "\xa9ART", "Author", "artist"),
    "album": ("TALB", "\xa9alb", "WM/AlbumTitle", "album"),
    "albumartist": ("TPE2", "aART", "WM/AlbumArtist", "album artist"),
    "date": ("TDRC", "\xa9day", "WM/Year", "year"),
    "genre": ("TCON", "\xa9gen", "WM/Genre", "genre"),
    "composer": ("TCOM", "\xa9wrt", "WM/Composer", "composer"),
    "tracknumber": ("TRCK", "trkn", "WM/TrackNumber", "track"),
    "discnumber": ("TPOS", "disk", "WM/PartOfSet", "disc"),
    "bpm": ("TBPM", "tmpo", "WM/BeatsPerMinute", "bpm"),
    "isrc": ("TSRC", "----:com.apple.iTunes:ISRC", "WM/ISRC", "isrc"),
    "copyright": ("TCOP", "cprt", "Copyright", "copyright"),
}
# What mutagen reads; it needs minutes or gigabytes for some tags of APE.
_OGG = (OggVorbis, OggOpus, OggFLAC, OggSpeex, OggTheora)
_KINDS = (MP3, TrueAudio, AAC, FLAC, *_OGG, MP4, ASF, AIFF, WAVE, DSF, DSDIFF)
_WRITTEN: Any = {"mp3": MP3, "wav": WAVE, "flac": FLAC, "ogg": OggVorbis, "opus": OggOpus}
_MATROSKA = b"\x1aE\xdf\xa3"
_BY_LIBSNDFILE = (b"RIFF", b"RF64", b"RIFX", b"FORM", b"caff")
# Frames of ID3 that are copied, with their names in version 2.2.
_COPIED = {names[0] for names in _NAMES.values()} | {"TYER", "TDAT", "APIC"}
_SHORT = {name for name, kind in Frames_2_2.items() if kind.__mro__[1].__name__ in _COPIED}
_FRAMES = {name.encode() for name in _COPIED | _SHORT}
_MOST_BYTES = 16 << 20  # of all tags of a file
_MOST_COVER_BYTES = 10 << 20
_MOST_TEXT = 1 << 16  # characters of all fields
_MOST_FRAMES, _MOST_TEXTS, _MOST_PICTURES = 10_000, 100, 8
_MOST_FRAME_TEXT = 4096  # bytes of a frame
_READ_BYTES = 256  # what each read counts as, at least
_FRONT_COVER = 3
_PICTURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)
_PICTURE_KEY = "metadata_block_picture"


@dataclass(frozen=True)
class Cover:
    """A picture: its bytes, and what they are, such as ``"image/jpeg"``."""

    data: bytes
    mime: str


@dataclass(frozen=True)
class Tags:
    """What a file says of its song; fields are named as in Vorbis comments, such as albumartist.

    `problem` says what of them was left out, and why.
    """

    fields: Mapping[str, list[str]] = field(default_factory=dict)
    cover: Cover | None = None
    problem: str | None = None

    def of_stem(self, stem: str) -> Tags:
        """Mark the title with the name of a stem."""
        titles = [f"{title} ({stem})" for title in self.fields.get("title", [])]
        return replace(self, fields={**self.fields, "title": titles} if titles else self.fields)

    def at_tempo(self, tempo: float) -> Tags:
        """Correct the beats per minute of a song that is played at a share of its speed."""
        beats = []
        for text in self.fields.get("bpm", []):
            # What is no number cannot be right any longer.
            with suppress(ValueError):
                beats.append(f"{float(text) * tempo:.0f}")
        return replace(self, fields={**self.fields, "bpm": beats} if tempo != 1 else self.fields)


def read_tags(source: AudioSource) -> Tags:
    """Read what can be read of the tags of a path or seekable binary file."""
    if isinstance(source, str | os.PathLike):
        with suppress(OSError), Path(source).open("rb") as file:
            return read_tags(file)
        return Tags()
    bounded = _Bounded(source)
    fields: dict[str, list[str]] = {}
    cover = None
    # Tags come in a hundred broken ways, and mutagen has an error for each; the song is
    # separated all the same.
    with suppress(Exception):
        bounded.seek(0)
        found = mutagen.File(bounded, options=_KINDS)
        tags = (found and found.tags) or _ape(bounded)
        fields = _fields(tags) if tags else _other_fields(source)
        cover = _cover(found, tags)
    length = sum(len(text) for texts in fields.values() for text in texts)
    if bounded.has_too_much or length > _MOST_TEXT:
        return Tags(problem="the tags are too large, or compressed, and were not copied")
    if cover is not None and len(cover.data) > _MOST_COVER_BYTES:
        return Tags(fields, problem="the cover picture is too large and was not copied")
    return Tags(fields, cover)


class _Bounded:
    """A file of which mutagen may read only so much, and of ID3 only the frames that are wanted."""

    # It would unpack what is compressed, and need minutes for many frames.

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, _MOST_BYTES
        self.name = getattr(file, "name", "")
        self._tag: tuple[int, int] | None = None  # version and flags of the ID3 tag that follows
        self.has_too_much = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(_MOST_BYTES if size < 0 else min(size, _MOST_BYTES))
        self._left -= max(len(data), _READ_BYTES)
        tag, self._tag = self._tag, None
        if tag is not None and self._left >= 0:
            frames = _wanted(_frames(data, *tag))
            self.has_too_much = frames is None
            data = (frames or b"").ljust(len(data), b"\0")
        elif data[:3] == b"ID3" and size == 10 and len(data) == 10:
            self._tag = data[3], data[5]
            data = b"ID3" + bytes([min(data[3], 3), 0, 0]) + data[6:]
        self.has_too_much |= self._left < 0
        if self.has_too_much:
            raise ValueError
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._tag = None
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _frames(data: bytes, version: int, flags: int) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield name, flags and content of frames of an ID3 tag of version 2.2 to 2.4."""
    if flags & 0x80 and version < 4:
        data = data.replace(b"\xff\0", b"\xff")
    at = 0
    if flags & 0x40:  # an extended header
        at = syncsafe(data[:4]) if version == 4 else int.from_bytes(data[:4]) + 4
    width, head = (3, 6) if version == 2 else (4, 10)
    for _ in range(_MOST_FRAMES):
        name, raw = data[at : at + width], data[at + width : at + 2 * width]
        if not name.strip(b"\0"):
            return
        size = int.from_bytes(raw)
        if version == 4:
            # Some programs write sizes as in version 2.3.
            after = data[(end := at + head + syncsafe(raw)) : end + 4]
            is_next = not after.strip(b"\0") or (after.isalnum() and after.isupper())
            size = syncsafe(raw) if is_next else size
        kind = data[at + head - 1] if version > 2 else 0
        body = data[at + head : at + head + size]
        if version == 4 and (kind | flags >> 6) & 2:
            body = body.replace(b"\xff\0", b"\xff")
        if version == 4 and kind & 1:  # the length once more
            body = body[4:]
        yield name, kind & (0xCC if version == 3 else 0x4C), body
        at += head + size


def _wanted(frames: Iterable[tuple[bytes, int, bytes]]) -> bytes | None:
    """Write frames that are copied, and no flags, or return None if there is too much of them."""
    texts: list[bytes] = []
    pictures: list[bytes] = []
    for name, kind, body in frames:
        if name in _FRAMES:
            is_picture = name in (b"APIC", b"PIC")
            if kind or (not is_picture and len(body) > _MOST_FRAME_TEXT):  # compressed, for example
                return None
            head = name + len(body).to_bytes(len(name)) + bytes(0 if len(name) == 3 else 2)
            (pictures if is_picture else texts).append(head + body)
    return b"".join([*texts, *pictures[:_MOST_PICTURES]]) if len(texts) < _MOST_TEXTS else None


def _ape(file: _Bounded) -> dict[str, bytes]:
    """Read the items of an APEv2 tag at the end of a file."""
    size = file.seek(0, 2)
    for end in (size, size - 128):  # before ID3v1
        file.seek(max(0, end - 32))
        footer = file.read(32)
        if footer[:8] == b"APETAGEX":
            break
    else:
        return {}
    length, count = struct.unpack_from("<II", footer, 12)
    file.seek(end - length)
    data = file.read(length - 32)
    items, at = {}, 0
    for _ in range(min(count, _MOST_FRAMES)):
        length = struct.unpack_from("<I", data, at)[0]
        start = data.index(b"\0", at + 8) + 1
        items[data[at + 8 : start - 1].decode("ascii").lower()] = data[start : start + length]
        at = start + length
    return items


def write_tags(file: BinaryIO, name: FormatName, tags: Tags) -> None:
    """Add tags to a finished file; a ValueError says that such files cannot hold them.

    Examples are a WAV beyond 4 GiB, and M4A with a picture that is not JPEG or PNG.
    """
    fields = {
        key: [value.encode("utf-8", "replace").decode("utf-8") for value in values]
        for key, values in tags.fields.items()
    }
    # The picture by itself, and last: there is more that can be wrong with it.
    for what, part in (("tags", Tags(fields)), ("cover picture", Tags({}, tags.cover))):
        if not part.fields and part.cover is None:
            continue
        try:
            file.seek(0)
            tagged: Any = _WRITTEN.get(name, MP4)(file)
            if tagged.tags is None:
                tagged.add_tags()
            adders = {MP3: _add_id3, WAVE: _add_id3, MP4: _add_mp4}
            adders.get(type(tagged), _add_comments)(tagged, part)
            file.seek(0)
            tagged.save(file)
        except Exception as error:
            cause = error.__context__ if isinstance(error, mutagen.MutagenError) else error
            if isinstance(cause, OSError):
                raise cause from error
            reason = str(error) or type(error).__name__
            raise ValueError(f"the {what} could not be copied: {reason}") from error


def _fields(tags: Any) -> dict[str, list[str]]:
    kinds = (ID3, MP4Tags, ASFTags, dict, object)
    kind = next(kind for kind in kinds if isinstance(tags, kind))
    found = {}
    for name, names in _NAMES.items():
        if value := tags.get((*names, name)[kinds.index(kind)]):
            if kind is ID3:
                value = value.text
            elif kind is dict:
                value = value.split(b"\0", _MOST_TEXTS)
            found[name] = [_text(item) for item in value]
    return found


def _text(value: Any) -> str:
    if isinstance(value, tuple):  # of MP4: number and total
        return "/".join(str(number) for number in value if number)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _other_fields(source: BinaryIO) -> dict[str, list[str]]:
    """Read tags that mutagen does not know: of plain WAV and AIFF, of CAF and Matroska."""
    source.seek(0)
    head, found = source.read(4), {}
    source.seek(0)
    if head == _MATROSKA:
        with open_container(source) as container:
            found = {key.lower().replace("_", ""): v for key, v in container.metadata.items()}
    elif head in _BY_LIBSNDFILE:
        with soundfile.SoundFile(source) as file:
            found = file.copy_metadata()
    return {name: [found[name]] for name in _NAMES if found.get(name)}


def _cover(file: Any, tags: Any) -> Cover | None:
    if isinstance(tags, ID3):
        pictures = [(frame.type, frame.data) for frame in tags.getall("APIC")]
    elif isinstance(tags, MP4Tags):
        pictures = [(_FRONT_COVER, bytes(cover)) for cover in tags.get("covr", [])]
    elif isinstance(tags, ASFTags):
        # Type, size, MIME type and description, then the picture.
        entries = [entry.value for entry in tags.get("WM/Picture", [])]
        sizes = [struct.unpack_from("<xI", data)[0] for data in entries]
        pictures = [(d[0], d[len(d) - size :]) for d, size in zip(entries, sizes, strict=True)]
    elif isinstance(tags, dict):
        # A name, and the picture.
        names = ("cover art (front)", "cover art (back)")
        pictures = [(_FRONT_COVER, tags[n].partition(b"\0")[2]) for n in names if n in tags]
    else:
        blocks = [Picture(base64.b64decode(text)) for text in tags.get(_PICTURE_KEY, [])]
        pictures = [(b.type, b.data) for b in (*getattr(file, "pictures", ()), *blocks)]
    if not pictures:
        return None
    data = next((data for kind, data in pictures if kind == _FRONT_COVER), pictures[0][1])
    # Not what the file says it is: that is often wrong.
    mimes = (mime for start, mime in _PICTURES if data.startswith(start))
    return Cover(data, next(mimes, "application/octet-stream"))


def _add_id3(file: Any, tags: Tags) -> None:
    for key, values in tags.fields.items():
        file.tags.add(Frames[_NAMES[key][0]](encoding=3, text=values))
    if tags.cover is not None:
        cover = tags.cover
        file.tags.add(APIC(encoding=3, mime=cover.mime, type=_FRONT_COVER, data=cover.data))


def _add_mp4(file: Any, tags: Tags) -> None:
    for key, values in tags.fields.items():
        atom = _NAMES[key][1]
        if key in ("tracknumber", "discnumber", "bpm"):
            # Numbers of 16 bits; what is none is left out.
            parts = re.split(r"[/.]", values[0]) if values else []
            numbers = [int(p) if p.isdecimal() and int(p) < 1 << 16 else 0 for p in (*parts, "")]
            if numbers[0]:
                file[atom] = [numbers[0] if key == "bpm" else tuple(numbers[:2])]
        elif values:
            file[atom] = [v.encode() for v in values] if atom.startswith("----") else values
    if tags.cover is not None:
        kinds = {"image/jpeg": MP4Cover.FORMAT_JPEG, "image/png": MP4Cover.FORMAT_PNG}
        if tags.cover.mime not in kinds:
            raise ValueError("M4A files take pictures as JPEG and PNG only")
        file["covr"] = [MP4Cover(tags.cover.data, kinds[tags.cover.mime])]


def _add_comments(file: Any, tags: Tags) -> None:
    file.update(tags.fields)
    if tags.cover is not None:
        picture = Picture()
        picture.type, picture.mime, picture.data = _FRONT_COVER, tags.cover.mime, tags.cover.data
        if isinstance(file, FLAC):
            file.add_picture(picture)
        else:
            file[_PICTURE_KEY] = [base64.b64encode(picture.write()).decode("ascii")]
