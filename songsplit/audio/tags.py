"""Titles, artists and cover pictures, from the song's file to those of its stems."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import mutagen
from mutagen.asf import ASF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, Frames
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from songsplit.audio.formats import FormatName

# Names as in Vorbis comments, with those of ID3 (MP3, WAV, AIFF), MP4 and ASF (WMA). What
# describes the sound of the mixture, such as its loudness, does not hold for a stem.
_NAMES: dict[str, tuple[str, str, str]] = {
    "title": ("TIT2", "\xa9nam", "Title"),
    "artist": ("TPE1", "\xa9ART", "Author"),
    "album": ("TALB", "\xa9alb", "WM/AlbumTitle"),
    "albumartist": ("TPE2", "aART", "WM/AlbumArtist"),
    "date": ("TDRC", "\xa9day", "WM/Year"),
    "genre": ("TCON", "\xa9gen", "WM/Genre"),
    "composer": ("TCOM", "\xa9wrt", "WM/Composer"),
    "tracknumber": ("TRCK", "trkn", "WM/TrackNumber"),
    "discnumber": ("TPOS", "disk", "WM/PartOfSet"),
    "bpm": ("TBPM", "tmpo", "WM/BeatsPerMinute"),
    "isrc": ("TSRC", "----:com.apple.iTunes:ISRC", "WM/ISRC"),
    "copyright": ("TCOP", "cprt", "Copyright"),
}
_PAIRS = ("tracknumber", "discnumber")  # MP4: (number, total)
# WAV, AIFF, CAF and Matroska.
_FFMPEG_HEADS = (b"RIFF", b"RF64", b"RIFX", b"FORM", b"caff", b"\x1aE\xdf\xa3")
_FRONT_COVER = 3
_PICTURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)
_PICTURE_KEY = "metadata_block_picture"

Source: TypeAlias = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True)
class Cover:
    """A picture: its bytes, and what they are, such as ``"image/jpeg"``."""

    data: bytes
    mime: str


@dataclass(frozen=True)
class Tags:
    """What a file says of its song; fields are named as in Vorbis comments, such as albumartist."""

    fields: Mapping[str, list[str]] = field(default_factory=dict)
    cover: Cover | None = None

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


def read_tags(source: Source) -> Tags:
    """Read the tags of a path or seekable binary file, whose position changes.

    They are empty if there are none, or none that can be read.
    """
    opened = source if isinstance(source, str | os.PathLike) else _Rewound(source)
    # Tags come in a hundred broken ways, and mutagen has an error for each; the song is
    # separated all the same.
    try:
        file = mutagen.File(opened)
        if file is None or not file.tags:
            return Tags(_fields_by_ffmpeg(source))
        fields = _fields(file)
    except Exception:
        return Tags()
    try:
        return Tags(fields, _cover(file))
    except Exception:
        return Tags(fields)


def write_tags(path: Path, name: FormatName, tags: Tags) -> None:
    """Add tags to a finished file of any name, or raise an OSError.

    A ValueError says that files of this kind cannot hold such tags, or such a picture, which is
    then left out: a WAV beyond 4 GiB, or a picture that is no JPEG or PNG in M4A.
    """
    writers = {"mp3": _write_id3, "wav": _write_id3, "m4a": _write_mp4, "stem.mp4": _write_mp4}
    write = writers.get(name, _write_comments)
    fields = {
        key: [value.encode("utf-8", "replace").decode("utf-8") for value in values]
        for key, values in tags.fields.items()
    }
    # The picture by itself, and last: there is more that can be wrong with it.
    for what, part in (("tags", Tags(fields)), ("cover picture", Tags({}, tags.cover))):
        if not part.fields and part.cover is None:
            continue
        try:
            write(path, name, part)
        except Exception as error:
            cause = error.__context__ if isinstance(error, mutagen.MutagenError) else error
            if isinstance(cause, OSError):
                raise cause from error
            reason = str(error) or type(error).__name__
            raise ValueError(f"the {what} could not be copied: {reason}") from error


class _Rewound:
    """A file object for mutagen, which moves in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _fields(file: Any) -> dict[str, list[str]]:
    column = 0 if isinstance(file.tags, ID3) else 1 if isinstance(file, MP4) else 2
    if not isinstance(file.tags, ID3) and not isinstance(file, MP4 | ASF):
        return {n: [str(v) for v in file.tags[n]] for n in _NAMES if n in file.tags}
    found = {}
    for name, names in _NAMES.items():
        value = file.tags.get(names[column])
        if value:
            values = value.text if column == 0 else value
            found[name] = [_text(item) for item in values]
    return found


def _fields_by_ffmpeg(source: Source) -> dict[str, list[str]]:
    """Read tags that mutagen does not know: of plain WAV and AIFF, and of Matroska."""
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            return _fields_by_ffmpeg(file)
    source.seek(0)
    head = source.read(4)
    source.seek(0)
    if head not in _FFMPEG_HEADS:
        return {}
    import av

    options = {"protocol_whitelist": "none"}  # a file may name others, to be left alone
    with av.open(source, "r", metadata_errors="replace", options=options) as container:
        found = {key.lower().replace("_", ""): v for key, v in container.metadata.items()}
    if "author" in found:  # of AIFF
        found.setdefault("artist", found["author"])
    return {name: [found[name]] for name in _NAMES if found.get(name)}


def _text(value: Any) -> str:
    if isinstance(value, tuple):  # of MP4: number and total
        return "/".join(str(number) for number in value if number)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _cover(file: Any) -> Cover | None:
    if isinstance(file.tags, ID3):
        pictures = [(f.type == _FRONT_COVER, f.data) for f in file.tags.getall("APIC")]
    elif isinstance(file, MP4):
        pictures = [(True, bytes(cover)) for cover in file.tags.get("covr", [])]
    elif isinstance(file, FLAC):
        pictures = [(p.type == _FRONT_COVER, p.data) for p in file.pictures]
    elif isinstance(file, ASF):
        pictures = [_asf_picture(entry.value) for entry in file.tags.get("WM/Picture", [])]
    else:
        blocks = [Picture(base64.b64decode(text)) for text in file.tags.get(_PICTURE_KEY, [])]
        pictures = [(block.type == _FRONT_COVER, block.data) for block in blocks]
    if not pictures:
        return None
    data = max(pictures, key=lambda picture: picture[0])[1]
    # Not what the file says it is: that is often wrong.
    for start, mime in _PICTURES:
        if data.startswith(start):
            return Cover(data, mime)
    return Cover(data, "application/octet-stream")


def _asf_picture(data: bytes) -> tuple[bool, bytes]:
    """Read a WM/Picture: its type, size, MIME type and description, then the picture."""
    kind, size = struct.unpack_from("<BI", data)
    return kind == _FRONT_COVER, data[-size:] if size else b""


def _write_id3(path: Path, name: FormatName, tags: Tags) -> None:
    file: Any = WAVE(path) if name == "wav" else MP3(path)
    if file.tags is None:
        file.add_tags()
    for key, values in tags.fields.items():
        file.tags.add(Frames[_NAMES[key][0]](encoding=3, text=values))
    if tags.cover is not None:
        file.tags.add(
            APIC(encoding=3, mime=tags.cover.mime, type=_FRONT_COVER, data=tags.cover.data)
        )
    file.save()


def _write_mp4(path: Path, name: FormatName, tags: Tags) -> None:
    file = MP4(path)
    for key, values in tags.fields.items():
        atom = _NAMES[key][1]
        if not values:
            continue
        if key in _PAIRS:
            number, _, total = values[0].partition("/")
            if _fits(number):
                file[atom] = [(int(number), int(total) if _fits(total) else 0)]
        elif key == "bpm":
            tempo = values[0].partition(".")[0]
            if _fits(tempo):
                file[atom] = [int(tempo)]
        elif atom.startswith("----"):
            file[atom] = [value.encode() for value in values]
        else:
            file[atom] = values
    if tags.cover is not None:
        kinds = {"image/jpeg": MP4Cover.FORMAT_JPEG, "image/png": MP4Cover.FORMAT_PNG}
        if tags.cover.mime not in kinds:
            raise ValueError("M4A files take pictures as JPEG and PNG only")
        file["covr"] = [MP4Cover(tags.cover.data, kinds[tags.cover.mime])]
    file.save()


def _fits(number: str) -> bool:
    """Say whether text is a number of 16 bits."""
    return number.isascii() and number.isdecimal() and int(number) < 1 << 16


def _write_comments(path: Path, name: FormatName, tags: Tags) -> None:
    kinds: dict[str, Any] = {"flac": FLAC, "ogg": OggVorbis, "opus": OggOpus}
    file = kinds[name](path)
    for key, values in tags.fields.items():
        file[key] = values
    if tags.cover is not None:
        picture = Picture()
        picture.type, picture.mime, picture.data = _FRONT_COVER, tags.cover.mime, tags.cover.data
        if name == "flac":
            file.add_picture(picture)
        else:
            file[_PICTURE_KEY] = [base64.b64encode(picture.write()).decode("ascii")]
    file.save()
