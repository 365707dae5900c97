"""Titles, artists and cover pictures, from the song's file to those of its stems."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import mutagen
from mutagen.asf import ASF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, Frames
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from songsplit.formats import FormatName

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
_FRONT_COVER = 3
_PICTURE_KEY = "metadata_block_picture"

Source: TypeAlias = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True)
class Cover:
    """A picture: its bytes, and what they are, such as ``"image/jpeg"``."""

    data: bytes
    mime: str


@dataclass(frozen=True)
class Tags:
    """What a file says of its song.

    Attributes
    ----------
    fields : mapping of str to list of str
        By name as in Vorbis comments: title, artist, album and so on.
    cover : Cover or None
    """

    fields: Mapping[str, list[str]] = field(default_factory=dict)
    cover: Cover | None = None

    def of_stem(self, stem: str) -> Tags:
        """Mark the title with the name of a stem."""
        titles = [f"{title} ({stem})" for title in self.fields.get("title", [])]
        return replace(self, fields={**self.fields, "title": titles} if titles else self.fields)


def read_tags(source: Source) -> Tags:
    """Read the tags of a file.

    Parameters
    ----------
    source : path or binary file object
        A file object that can seek; it is left where it was.

    Returns
    -------
    Tags
        Empty if there are none, or none that can be read.
    """
    opened = source if isinstance(source, str | os.PathLike) else _Rewound(source)
    try:
        file = mutagen.File(opened)
        if file is None or file.tags is None:
            return Tags()
        return Tags(_fields(file), _cover(file))
    except (mutagen.MutagenError, OSError, ValueError, KeyError, IndexError):
        return Tags()  # damaged tags; the song is separated all the same


def write_tags(path: Path, name: FormatName, tags: Tags) -> None:
    """Add tags to a finished file.

    Parameters
    ----------
    path : Path
        May have any name.
    name : str
        What the file is.
    tags : Tags

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If files of this kind cannot hold such tags: a WAV beyond 4 GiB, or a picture
        that is no JPEG or PNG in M4A.
    """
    if not tags.fields and tags.cover is None:
        return
    try:
        writers = {"mp3": _write_id3, "wav": _write_id3, "m4a": _write_mp4, "stem.mp4": _write_mp4}
        writers.get(name, _write_comments)(path, name, tags)
    except mutagen.MutagenError as error:
        raise ValueError(str(error)) from error


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


def _text(value: Any) -> str:
    if isinstance(value, tuple):  # of MP4: number and total
        return "/".join(str(number) for number in value if number)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _cover(file: Any) -> Cover | None:
    if isinstance(file.tags, ID3):
        pictures = [Cover(frame.data, frame.mime) for frame in file.tags.getall("APIC")]
    elif isinstance(file, MP4):
        kinds = {MP4Cover.FORMAT_PNG: "image/png"}
        pictures = [
            Cover(bytes(cover), kinds.get(cover.imageformat, "image/jpeg"))
            for cover in file.tags.get("covr", [])
        ]
    elif isinstance(file, FLAC):
        pictures = [Cover(picture.data, picture.mime) for picture in file.pictures]
    else:
        encoded = [] if isinstance(file, ASF) else file.tags.get(_PICTURE_KEY, [])
        blocks = [Picture(base64.b64decode(text)) for text in encoded]
        pictures = [Cover(block.data, block.mime) for block in blocks]
    return pictures[0] if pictures else None


def _write_id3(path: Path, name: FormatName, tags: Tags) -> None:
    frames = ID3()
    for key, values in tags.fields.items():
        frames.add(Frames[_NAMES[key][0]](encoding=3, text=values))
    if tags.cover is not None:
        frames.add(APIC(encoding=3, mime=tags.cover.mime, type=_FRONT_COVER, data=tags.cover.data))
    if name == "mp3":
        frames.save(path)
        return
    file: Any = WAVE(path)
    file.add_tags()
    for frame in frames.values():
        file.tags.add(frame)
    file.save()


def _write_mp4(path: Path, name: FormatName, tags: Tags) -> None:
    file = MP4(path)
    for key, values in tags.fields.items():
        atom = _NAMES[key][1]
        if key in _PAIRS:
            number, _, total = values[0].partition("/")
            if number.isdecimal():
                file[atom] = [(int(number), int(total) if total.isdecimal() else 0)]
        elif key == "bpm":
            tempo = values[0].partition(".")[0]
            if tempo.isdecimal():
                file[atom] = [int(tempo)]
        elif atom.startswith("----"):
            file[atom] = [value.encode() for value in values]
        else:
            file[atom] = values
    if tags.cover is not None:
        kinds = {"image/jpeg": MP4Cover.FORMAT_JPEG, "image/png": MP4Cover.FORMAT_PNG}
        if tags.cover.mime not in kinds:
            raise ValueError(f"M4A files take no pictures of type {tags.cover.mime}")
        file["covr"] = [MP4Cover(tags.cover.data, kinds[tags.cover.mime])]
    file.save()


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
