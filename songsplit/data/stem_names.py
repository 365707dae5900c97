"""Which stem a file's name says that it holds. This is the only place that tells.

A stem in brackets counts more than all other words. Without one, the last words of a name tell the
stem, and in the folder of a song any words, as long as they agree.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import product
from typing import NamedTuple

from songsplit.data.songs import INSTRUMENTAL, MIXTURE, OTHER, VOCALS

_SINGING = ("vocals", "vocal", "vox", "voice", "voices", "singing", "singer")
_VOICES = ("lead", "main", "backing", "background", "harmony", "double")
_WITHOUT = ("no", "without", "minus")
# For each stem, groups of names. Of a song that has files of several groups, the first group
# is the finished stem, and the others hold the same audio once more.
_NAMES: dict[str, list[str]] = {
    VOCALS: [
        "acapella, acappella, a cappella, a capella",
        ", ".join([*_SINGING, *(" ".join(words) for words in product(_VOICES, _SINGING))])
        + ", bgv, choir, harmonies, ad libs, adlibs, rap",
    ],
    INSTRUMENTAL: [
        "instrumental, instrumentals, instrumental mix, inst",
        "accompaniment, accompaniments",
        ", ".join(" ".join(words) for words in product(_WITHOUT, _SINGING)),
        "karaoke, minus one, backing track, backing, playback",
    ],
    MIXTURE: [
        "mixture",
        "mix, full mix, final mix, stereo mix, original mix, linear mixture, mixdown",
        "full, full song, original, master, mastered",
    ],
    "drums": [
        "drums, drum, drum kit, percussion, perc, bass drum, kick, snare, hihat, hi hat, hats, "
        "tom, toms, cymbal, cymbals, overhead, overheads, claps",
    ],
    "bass": ["bass, bassline, bass line, bass guitar, synth bass, sub bass, double bass"],
    OTHER: [
        "other, others, rest, residual, guitar, guitars, lead guitar, piano, keys, keyboard, "
        "keyboards, organ, synth, synths, lead synth, pad, pads, strings, violin, cello, brass, "
        "horns, trumpet, sax, flute",
    ],
}
_TABLE = {
    phrase: (stem, rank)
    for stem, groups in _NAMES.items()
    for rank, group in enumerate(groups)
    for phrase in group.split(", ")
}
# "No drums" says that a stem is missing, "no vocals" is an instrumental.
_MISSING = "missing"
_TABLE = {f"{no} {phrase}": (_MISSING, 0) for no, phrase in product(_WITHOUT, _TABLE)} | _TABLE
_ANY = "|".join(sorted(_TABLE, key=len, reverse=True))
_NAME = re.compile(rf"(?<!\S)(?:{_ANY})(?!\S)")
_NAME_IN_BRACKETS = re.compile(rf"(?<=\( )(?:{_ANY})(?=(?: \d+)* \))")
_NAME_AT_END = re.compile(rf"(?<!\S)(?:{_ANY})(?=[\W\d]*$)")
# Words, of which LeadVox is two; brackets; and dashes, which no name goes across.
_TOKEN = re.compile(r"[A-Z]*[^\W\d_A-Z]+|[A-Z]+|\d+|[()\[\]{}]|(?<= )[-\u2013\u2014](?= )")
_TRACK_NUMBER = re.compile(r"^[\d-]+ (?:- )?(?=\S)")


class StemName(NamedTuple):
    """What the name of a file says: its stem, and `song`, which stands before the stem.

    Of one song's files for one stem, those of the lowest `rank` are used.
    """

    stem: str
    rank: int
    song: str


def stem_at_end(text: str) -> StemName | None:
    """Tell song and stem of ``Song A - Vocals``, ``song_a_drums 2`` or ``Song_(Bass)_v2``.

    The result is None where the name does not end with a stem, has two in brackets, or says
    that a stem is missing (``no drums``).
    """
    text = unicodedata.normalize("NFC", text)
    plain = _plain(text)
    in_brackets = list(_NAME_IN_BRACKETS.finditer(plain))
    match = _agreed(in_brackets or list(_NAME_AT_END.finditer(plain))[:1])
    if match is None:
        return None
    words_before = plain[: match.start()].count(" ")
    start = list(_TOKEN.finditer(text))[words_before].start()
    return StemName(*_TABLE[match[0]], text[:start].rstrip(" \t-_.,([{<|~\u2013\u2014"))


def stem_in_folder(text: str, folder: str) -> StemName | None:
    """Tell the stem of a file that lies in the folder of its song.

    A track number and the song's name at the start do not count. A name without any stem
    is a part of ``other``; the name of the song alone is its mixture. The result is None
    where the name has the words of two stems, or says that one is missing (``no drums``).
    """
    plain, song = (_TRACK_NUMBER.sub("", _plain(name)) for name in (text, folder))
    if song and song not in _TABLE:  # not a folder for the takes of one stem
        if plain == song:
            return StemName(MIXTURE, 1, "")
        if plain.startswith(f"{song} "):
            plain = _TRACK_NUMBER.sub("", plain.removeprefix(f"{song} "))
    in_brackets = list(_NAME_IN_BRACKETS.finditer(plain))
    found = in_brackets or list(_NAME.finditer(plain))
    if not found:
        return StemName(OTHER, 0, plain)
    match = _agreed(found)
    if match is None:
        return None
    return StemName(*_TABLE[match[0]], plain if in_brackets else plain[: match.start()].strip("- "))


def stems_named(text: str) -> list[str]:
    """Give all stems whose names are in a text, except the mixture, sorted."""
    found = {_TABLE[match[0]][0] for match in _NAME.finditer(_plain(text))}
    return sorted(found - {MIXTURE, _MISSING})


def plain_words(text: str) -> list[str]:
    """Split a name into words and numbers in small letters."""
    return re.findall(r"\w+", _plain(text))


def _plain(text: str) -> str:
    """Write the words of a name, its brackets and dashes in small letters, with spaces between."""
    tokens = _TOKEN.findall(unicodedata.normalize("NFC", text))
    marks = dict.fromkeys("[{", "(") | dict.fromkeys("]}", ")") | dict.fromkeys("\u2013\u2014", "-")
    return " ".join(marks.get(token, token.casefold()) for token in tokens)


def _agreed(found: list[re.Match[str]]) -> re.Match[str] | None:
    """Give the last that is no mixture, as a "drum mix" is drums; None if stems differ."""
    stems = {_TABLE[match[0]][0] for match in found} - {MIXTURE}
    if not found or len(stems) > 1 or _MISSING in stems:
        return None
    return max(found, key=lambda match: (_TABLE[match[0]][0] != MIXTURE, match.start()))
