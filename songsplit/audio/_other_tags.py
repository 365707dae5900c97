"""Tags that mutagen does not read: of WAV and AIFF, and of Matroska and other videos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

# As libsndfile and FFmpeg call them.
_SOUNDFILE = ("title", "artist", "album", "date", "genre", "copyright")
_FFMPEG = ("title", "artist", "album", "album_artist", "date", "genre", "composer")
_CHUNKED = (b"RIFF", b"RF64", b"RIFX", b"FORM", b"caff")
_EBML = b"\x1aE\xdf\xa3"


def other_fields(source: str | os.PathLike[str] | BinaryIO) -> dict[str, list[str]]:
    """Read what there is, by name as in Vorbis comments.

    Parameters
    ----------
    source : path or binary file object
        A file object that can seek; it is read, and moved, from its start.
    """
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            return other_fields(file)
    source.seek(0)
    head = source.read(4)
    source.seek(0)
    if head in _CHUNKED:
        return _by_soundfile(source)
    return _by_ffmpeg(source) if head == _EBML else {}


def _by_soundfile(file: BinaryIO) -> dict[str, list[str]]:
    import soundfile

    with soundfile.SoundFile(file) as opened:
        found = opened.copy_metadata()
    return {name: [found[name]] for name in _SOUNDFILE if found.get(name)}


def _by_ffmpeg(file: BinaryIO) -> dict[str, list[str]]:
    # Slow to load, and few files need it.
    import av

    options = {"protocol_whitelist": "none"}  # a file may name others, to be left alone
    with av.open(file, "r", metadata_errors="replace", options=options) as container:
        found = {key.lower(): value for key, value in container.metadata.items()}
    names = {name: name.replace("_", "") for name in _FFMPEG}
    return {names[key]: [found[key]] for key in _FFMPEG if found.get(key)}
