"""Copy titles, artists and cover pictures from a song to its stems."""

from __future__ import annotations

import base64
import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import mutagen
import soundfile
from mutagen.asf import ASF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, TCON, Frames
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from songsplit.audio.containers import after_id3, chunks, read_at, syncsafe
from songsplit.audio.formats import FormatName
from songsplit.audio.opening import AudioSource, File

# Field names of Vorbis comments, ID3 (MP3, WAV), MP4, APE (WavPack) and ASF (WMA). Fields that
# describe the sound of the mixture, such as its loudness, are left out: they do not fit a stem.
_NAMES: dict[str, tuple[str, str, str, str]] = {
    "title": ("TIT2", "\xa9nam", "title", "Title"),
    "artist": ("TPE1", "\xa9ART", "artist", "Author"),
    "album": ("TALB", "\xa9alb", "album", "WM/AlbumTitle"),
    "albumartist": ("TPE2", "aART", "album artist", "WM/AlbumArtist"),
    "date": ("TDRC", "\xa9day", "year", "WM/Year"),
    "genre": ("TCON", "\xa9gen", "genre", "WM/Genre"),
    "composer": ("TCOM", "\xa9wrt", "composer", "WM/Composer"),
    "tracknumber": ("TRCK", "trkn", "track", "WM/TrackNumber"),
    "discnumber": ("TPOS", "disk", "disc", "WM/PartOfSet"),
    "copyright": ("TCOP", "cprt", "copyright", "Copyright"),
    "bpm": ("TBPM", "tmpo", "bpm", "WM/BeatsPerMinute"),
}
# Names in ID3 before version 2.4.
_OLD = b"TT2 TP1 TAL TP2 TYE TCO TCM TRK TPA TCR TBP".split()
_BY_ID3 = {names[0].encode(): name for name, names in _NAMES.items()}
_BY_ID3 |= dict(zip(_OLD, _NAMES, strict=True)) | {b"TYER": "date"}
_ASF = b"0&\xb2u"  # the start of a file
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_WRITTEN: Any = {"mp3": MP3, "wav": WAVE, "flac": FLAC, "ogg": OggVorbis, "opus": OggOpus}
_MOST_BYTES = 16 << 20  # of all tags of a file
_MOST_COVER_BYTES = 10 << 20
_MOST_TEXT = 1 << 16  # characters of all fields
_MOST_FRAMES = 10_000
_READ_BYTES = 256  # minimum that each read counts for
_FRONT_COVER = 3
_PICTURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)
_PICTURE_KEY = "metadata_block_picture"
_WITH_COMMENTS = (FLAC, OggVorbis, OggOpus, OggFLAC, OggSpeex)
# Fields, and pictures as pairs: whether it is the front cover, and its bytes.
_Found: TypeAlias = tuple[dict[str, list[str]], list[tuple[bool, bytes]]]


@dataclass(frozen=True)
class Cover:
    """A picture: its bytes and their media type, such as ``"image/jpeg"``."""

    data: bytes
    mime: str


@dataclass(frozen=True)
class Tags:
    """Tags of a song, with field names as in Vorbis comments, such as albumartist.

    `problem` states which tags were left out and why.
    """

    fields: Mapping[str, list[str]] = field(default_factory=dict)
    cover: Cover | None = None
    problem: str | None = None

    def of_stem(self, stem: str) -> Tags:
        """Return tags whose title names the stem."""
        titles = [f"{title} ({stem})" for title in self.fields.get("title", [])]
        return replace(self, fields={**self.fields, "title": titles} if titles else self.fields)

    def at_tempo(self, tempo: float) -> Tags:
        """Return tags whose beats per minute are those at `tempo`, a factor of the speed."""
        fields = {name: texts for name, texts in self.fields.items() if name != "bpm"}
        # A value that is not a number is dropped, because it cannot be corrected.
        with suppress(KeyError, ValueError):
            fields["bpm"] = [f"{float(text) * tempo:.0f}" for text in self.fields["bpm"]]
        return self if tempo == 1 else replace(self, fields=fields)


def read_tags(source: AudioSource) -> Tags:
    """Read the tags of a path or seekable binary file, as far as they are readable."""
    if isinstance(source, str | os.PathLike):
        with suppress(OSError), Path(source).open("rb") as file:
            return read_tags(file)
        return Tags()
    whole = File(source)
    bounded = _Bounded(whole)
    fields: dict[str, list[str]] = {}
    pictures: list[tuple[bool, bytes]] = []
    # Broken tags raise many kinds of errors. They must not stop the separation.
    with suppress(Exception):
        start = after_id3(whole)
        head = read_at(whole, start, 8)
        whole.seek(0)
        if head[:4] in (b"fLaC", b"OggS"):
            bounded = _Bounded(File(source, start))
            fields, pictures = _comments(mutagen.File(bounded, options=_WITH_COMMENTS))
        elif head[4:] == b"ftyp":
            fields, pictures = _atoms(MP4(bounded))
        elif start:
            fields, pictures = _id3(bounded)
        elif head[:4] in (b"RIFF", b"RF64", b"RIFX", b"FORM", b"caff"):
            fields, pictures = _by_libsndfile(whole, bounded)
        elif head[:4] == _ASF:
            fields, pictures = _asf(ASF(bounded))
        if not (fields or pictures):
            fields, pictures = _ape(bounded)
    length = sum(len(text) for texts in fields.values() for text in texts)
    if bounded.has_too_much or length > _MOST_TEXT:
        return Tags(problem="the tags are too large and were not copied")
    data = next((data for is_front, data in pictures if is_front), pictures and pictures[0][1])
    if not data:
        return Tags(fields)
    if len(data) > _MOST_COVER_BYTES:
        return Tags(fields, problem="the cover picture is too large and was not copied")
    # The media type in the tag is often wrong.
    mimes = (mime for start, mime in _PICTURES if data.startswith(start))
    return Tags(fields, Cover(data, next(mimes, "application/octet-stream")))


class _Bounded:
    """A file that refuses to read more than a limit, for readers of tags."""

    def __init__(self, file: File) -> None:
        self._file, self._left = file, _MOST_BYTES
        self.has_too_much = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(_MOST_BYTES if size < 0 else min(size, _MOST_BYTES))
        self._left -= max(len(data), _READ_BYTES)
        if self._left < 0:
            self.has_too_much = True
            raise ValueError
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _id3(file: _Bounded) -> _Found:
    """Read ID3v2; mutagen would unpack compressed frames and need hours for many frames."""
    head = file.read(10)
    fields: dict[str, list[str]] = {}
    pictures = []
    for name, body in _frames(file.read(syncsafe(head[6:10])), head[3], head[5]):
        with suppress(IndexError, ValueError, AttributeError):
            if name in (b"APIC", b"PIC"):
                pictures.append(_picture(body, 4 if name == b"PIC" else body.index(b"\0", 1) + 1))
            elif field_name := _BY_ID3.get(name):
                text = body[1 : 2 + _MOST_TEXT].decode(_ENCODINGS[body[0]], "replace")
                texts = [part for part in text.replace("\ufeff", "").split("\0") if part]
                fields[field_name] = TCON(text=texts).genres if field_name == "genre" else texts
    return {name: texts for name, texts in fields.items() if texts}, pictures


def _picture(body: bytes, at: int) -> tuple[bool, bytes]:
    """Read a picture whose type is at offset `at`, followed by a description."""
    end = rb"(?:..)*?\0\0" if _ENCODINGS[body[0]].startswith("utf-16") else rb".*?\0"
    found = re.compile(end, re.DOTALL).match(body, at + 1)
    return body[at] == _FRONT_COVER, body[found.end() if found else at :]


def _frames(data: bytes, version: int, flags: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of the plain frames of an ID3 tag of version 2.2 to 2.4."""
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
            # Some programs write sizes in the form of version 2.3.
            after = data[(end := at + head + syncsafe(raw)) : end + 4]
            is_next = not after.strip(b"\0") or (after.isalnum() and after.isupper())
            size = syncsafe(raw) if is_next else size
        kind = data[at + head - 1] if version > 2 else 0
        body = data[at + head : at + head + size]
        if version == 4 and (kind | flags >> 6) & 2:
            body = body.replace(b"\xff\0", b"\xff")
        if version == 4 and kind & 1:  # the frame begins with its length
            body = body[4:]
        if not kind & (0xCC if version == 3 else 0x4C):  # compressed, for example
            yield name, body
        at += head + size


def _by_libsndfile(file: File, bounded: _Bounded) -> _Found:
    """Read WAV and AIFF, which may have ID3 in a chunk, or CAF."""
    if read_at(file, 0, 4) != b"caff":
        for name, content, _ in chunks(file, file.seek(0, 2)):
            if name.lower() == b"id3 ":
                file.seek(content)
                return _id3(bounded)
    file.seek(0)
    with soundfile.SoundFile(file) as opened:
        found = opened.copy_metadata()
    return {name: [found[name]] for name in _NAMES if found.get(name)}, []


def _comments(file: Any) -> _Found:
    """Read FLAC and Ogg."""
    tags = file.tags or {}
    fields = {name: tags[name] for name in _NAMES if name in tags}
    blocks = [Picture(base64.b64decode(text)) for text in tags.get(_PICTURE_KEY, [])]
    pictures = (*getattr(file, "pictures", ()), *blocks)
    return fields, [(picture.type == _FRONT_COVER, picture.data) for picture in pictures]


def _atoms(file: Any) -> _Found:
    """Read MP4, which stores a number and a total as a pair."""
    fields = {}
    for name, names in _NAMES.items():
        values = [v if isinstance(v, tuple) else (v,) for v in file.tags.get(names[1], ())]
        if values:
            fields[name] = ["/".join(str(part) for part in value if part) for value in values]
    return fields, [(True, bytes(cover)) for cover in file.tags.get("covr", [])]


def _asf(file: Any) -> _Found:
    """Read WMA, which stores kind, size, type and description before a picture."""
    fields = {name: [str(v) for v in file.tags.get(names[3], ())] for name, names in _NAMES.items()}
    pictures = []
    for value in (entry.value for entry in file.tags.get("WM/Picture", ())):
        pictures.append((value[0] == _FRONT_COVER, value[-struct.unpack_from("<xI", value)[0] :]))
    return {name: texts for name, texts in fields.items() if texts}, pictures


def _ape(file: _Bounded) -> _Found:
    """Read APEv2 at the end of a file; mutagen needs minutes for some of these tags."""
    size = file.seek(0, 2)
    for end in (size, size - 128):  # before ID3v1
        file.seek(max(0, end - 32))
        footer = file.read(32)
        if footer[:8] == b"APETAGEX":
            break
    else:
        return {}, []
    length, count = struct.unpack_from("<II", footer, 12)
    file.seek(end - length)
    data = file.read(length - 32)
    items, at = {}, 0
    for _ in range(min(count, _MOST_FRAMES)):
        (length,) = struct.unpack_from("<I", data, at)
        start = data.index(b"\0", at + 8) + 1
        at, name = start + length, data[at + 8 : start - 1].decode("ascii").lower()
        items[name] = data[start:at]
    found = {name: items[names[2]] for name, names in _NAMES.items() if items.get(names[2])}
    fields = {name: text.decode("utf-8", "replace").split("\0") for name, text in found.items()}
    covers = {name: item for name, item in items.items() if name.startswith("cover art (")}
    # The file name of a picture precedes its bytes.
    return fields, [("front" in name, c.partition(b"\0")[2]) for name, c in covers.items()]


def write_tags(file: BinaryIO, name: FormatName, tags: Tags) -> None:
    """Add tags to a finished file, or raise a ValueError if the file cannot hold them.

    Examples are a WAV beyond 4 GiB, and M4A with a picture that is neither JPEG nor PNG.
    """
    fields = {
        key: [value.encode("utf-8", "replace").decode("utf-8") for value in values]
        for key, values in tags.fields.items()
    }
    # The picture separately and last, because it fails more often.
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


def _add_id3(file: Any, tags: Tags) -> None:
    for key, values in tags.fields.items():
        file.tags.add(Frames[_NAMES[key][0]](encoding=3, text=values))
    if tags.cover is not None:
        cover = tags.cover
        file.tags.add(APIC(encoding=3, mime=cover.mime, type=_FRONT_COVER, data=cover.data))


def _add_mp4(file: Any, tags: Tags) -> None:
    for key, values in tags.fields.items():
        if key in ("tracknumber", "discnumber", "bpm"):
            # Number and total have 16 bits; other values are left out.
            parts = re.split("[/.]", f"{''.join(values[:1])}/")
            numbers = [int(p) if p.isdecimal() and int(p) < 1 << 16 else 0 for p in parts]
            if numbers[0]:
                file[_NAMES[key][1]] = [numbers[0] if key == "bpm" else tuple(numbers[:2])]
        elif values:
            file[_NAMES[key][1]] = values
    if tags.cover is not None:
        kinds = {"image/jpeg": MP4Cover.FORMAT_JPEG, "image/png": MP4Cover.FORMAT_PNG}
        if tags.cover.mime not in kinds:
            raise ValueError("M4A files hold only JPEG and PNG pictures")
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
