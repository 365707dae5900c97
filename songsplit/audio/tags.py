"""Titles, artists and cover pictures, from the song's file to those of its stems."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import mutagen
from mutagen.asf import ASFTags
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, Frames
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover, MP4Tags
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
    if isinstance(source, str | os.PathLike):
        with suppress(OSError), Path(source).open("rb") as file:
            return read_tags(file)
        return Tags()
    # Tags come in a hundred broken ways, and mutagen has an error for each; the song is
    # separated all the same.
    fields: dict[str, list[str]] = {}
    cover = None
    with suppress(Exception):
        source.seek(0)
        file = mutagen.File(source)
        if file is None or not file.tags:
            return Tags(_fields_by_ffmpeg(source))
        fields = _fields(file)
        cover = _cover(file)
    return Tags(fields, cover)


def write_tags(file: BinaryIO | io.FileIO, name: FormatName, tags: Tags) -> None:
    """Add tags to a finished file, or raise an OSError.

    A ValueError says that files of this kind cannot hold such tags, or such a picture, which is
    then left out: a WAV beyond 4 GiB, or a picture that is no JPEG or PNG in M4A.
    """
    kinds: dict[str, Any] = {
        "mp3": MP3,
        "wav": WAVE,
        "flac": FLAC,
        "ogg": OggVorbis,
        "opus": OggOpus,
    }
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
            tagged = kinds.get(name, MP4)(file)
            if tagged.tags is None:
                tagged.add_tags()
            add = {"mp3": _add_id3, "wav": _add_id3, "m4a": _add_mp4, "stem.mp4": _add_mp4}
            add.get(name, _add_comments)(tagged, part)
            file.seek(0)
            tagged.save(file)
        except Exception as error:
            cause = error.__context__ if isinstance(error, mutagen.MutagenError) else error
            if isinstance(cause, OSError):
                raise cause from error
            reason = str(error) or type(error).__name__
            raise ValueError(f"the {what} could not be copied: {reason}") from error


def _fields(file: Any) -> dict[str, list[str]]:
    kinds = (ID3, MP4Tags, ASFTags)
    column = next((n for n, kind in enumerate(kinds) if isinstance(file.tags, kind)), None)
    found = {}
    for name, names in _NAMES.items():
        value = file.tags.get(name if column is None else names[column])
        if value:
            found[name] = [_text(item) for item in (value.text if column == 0 else value)]
    return found


def _fields_by_ffmpeg(source: BinaryIO) -> dict[str, list[str]]:
    """Read tags that mutagen does not know: of plain WAV and AIFF, and of Matroska."""
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
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _cover(file: Any) -> Cover | None:
    tags = file.tags
    if isinstance(tags, ID3):
        pictures = [(frame.type, frame.data) for frame in tags.getall("APIC")]
    elif isinstance(tags, MP4Tags):
        pictures = [(_FRONT_COVER, bytes(cover)) for cover in tags.get("covr", [])]
    elif isinstance(tags, ASFTags):
        # Type, size, MIME type and description, then the picture.
        entries = [entry.value for entry in tags.get("WM/Picture", [])]
        sizes = [struct.unpack_from("<xI", data)[0] for data in entries]
        pictures = [(d[0], d[len(d) - size :]) for d, size in zip(entries, sizes, strict=True)]
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
