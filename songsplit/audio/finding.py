"""Which files of a folder are songs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from songsplit.files import TEMPORARY_PREFIX

# Files with copy protection are listed too, so that an error can say why they do not work.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".flac"}
    | {".ape", ".wv", ".tta", ".ogg", ".oga", ".spx", ".opus", ".mp2", ".mp3", ".m4a", ".m4b"}
    | {".m4p", ".aax", ".aac", ".alac", ".wma", ".asf", ".mka", ".ac3", ".dts", ".amr", ".mp4"}
    | {".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".3gp", ".3g2", ".ogv", ".mpg"}
    | {".mpeg", ".vob", ".ts", ".mts", ".m2ts"}
)
# Names of songs and albums may begin with a dot (".38 Special"). These are what systems, programs
# and this program hide, or have thrown away.
_HIDDEN = re.compile(
    r"\._|\.(trash|pending-|spotlight-|documentrevisions-)"
    r"|\.(appledouble|fseventsd|temporaryitems|thumbnails|snapshots?|zfs|st(folder|versions))$"
    r"|\.(git|svn|venv|cache|config|local)$|" + re.escape(TEMPORARY_PREFIX),
    re.IGNORECASE,
)


def audio_files(folder: Path, on_error: Callable[[OSError], None] | None = None) -> list[Path]:
    """List the audio and video files below a folder, by extension, sorted by path.

    Links are followed, each folder once. What systems hide is left out, and so are named pipes
    and other special files, which would keep the program waiting. `on_error` gets the error of each
    folder that cannot be read; without it, the first such error is raised.
    """

    def refuse(error: OSError) -> None:
        raise error

    visited: set[str] = set()
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=on_error or refuse, followlinks=True):
        if (here := os.path.realpath(place)) in visited:
            folders.clear()
            continue
        visited.add(here)
        folders[:] = [name for name in folders if not _HIDDEN.match(name)]
        paths = (Path(place, name) for name in names if is_audio_name(name))
        found.extend(path for path in paths if path.is_file())
    return sorted(found)


def is_audio_name(name: str) -> bool:
    """Say whether a file of this name may be a song."""
    return Path(name).suffix.lower() in AUDIO_SUFFIXES and not _HIDDEN.match(name)
