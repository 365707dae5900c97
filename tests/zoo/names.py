"""File names that shells, terminals and careless programs stumble over."""

from __future__ import annotations

import os
from functools import partial

from .encoding import ffmpeg
from .entries import SONG, Entry, Stems, holds
from .headers import stepped, wav

_NAMES = (
    "-rf.wav",
    "--output.wav",
    "two\nlines.wav",
    "carriage\rreturn.wav",
    "tab\tand bell\a.wav",
    "escape \x1b[31mred\x1b[0m.wav",
    "quote ' and \" too.wav",
    "$(touch unpickled) `id`.wav",
    "back\\slash.wav",
    "%s %(name)s {stem} {0}.wav",
    "a: b? <c> |d| *.wav",
    "# hash & semi;colon!.wav",
    " leading and trailing space .wav",
    "dots...wav",
    "..wav",
    ".hidden.wav",
    "con.wav",
    "file:song.wav",
    "pipe:0.wav",
    "http:..example.org.wav",
    "concat:a|b.wav",
    "über säng 歌 🎵.wav",
    "u\u0308ber decomposed.wav",
    "right \u202eto left.wav",
    "zero\u200bwidth.wav",
    "not-utf-8-\udcff\udcfe.wav",
    "a" * 251 + ".wav",
    "ä" * 125 + "a.wav",
)


def _can_be(name: str) -> bool:
    """Say whether this system can have a file of such a name."""
    if os.name == "posix":
        return True
    return not any(character in '<>:"/\\|?*' or ord(character) < 32 for character in name)


ENTRIES = [
    *(Entry(name, wav, holds(stepped())) for name in _NAMES if _can_be(name)),
    # Read by FFmpeg, which takes what is before a colon for a kind of address.
    *(
        Entry(f"{start}song.m4a", partial(ffmpeg, "ipod", "aac", [SONG]), Stems())
        for start in ("file:", "pipe:0", "%03d", "-", "two\nlines ", "\udcff")
        if _can_be(start)
    ),
]
