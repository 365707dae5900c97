"""Which stem a file's name says that it holds. This is the only place that tells.

A stem in brackets counts more than all other words; without one, the last words of the name
say what it is, and in the folder of a song any of its words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
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
        ", ".join(" ".join(words) for words in product(["", *_VOICES], _SINGING))
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
    tuple(phrase.split()): (stem, rank)
    for stem, groups in _NAMES.items()
    for rank, group in enumerate(groups)
    for phrase in group.split(", ")
}
# "No drums" says that a stem is missing, "no vocals" is an instrumental.
_MISSING = "missing"
_TABLE |= {
    (word, *phrase): (_MISSING, 0)
    for word, phrase in product(_WITHOUT, _TABLE)
    if (word, *phrase) not in _TABLE
}
_LONGEST = max(map(len, _TABLE))
_WORD = re.compile(r"[A-Z]*[^\W\d_A-Z]+|[A-Z]+|\d+")  # LeadVox is two words
_BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
_DASH = re.compile(r" [-\u2013\u2014] ")
_NUMBER_AT_END = re.compile(r"[\W\d_]+$")
_MARKS = " \t-_.,([{<|~\u2013\u2014"


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
    if in_brackets := _bracketed(text):
        match = _agreed(in_brackets)
        return match and StemName(match.stem, match.rank, text[: match.start].rstrip(_MARKS))
    text = _NUMBER_AT_END.sub("", text)
    # A name does not begin before a dash: "I Said No - vocals".
    dash = max((match.end() for match in _DASH.finditer(text)), default=0)
    words = list(_WORD.finditer(text, dash))
    last, *_ = [*_stems_in([word[0].casefold() for word in words]), None]
    if last is None or last.end < len(words) or last.stem == _MISSING:
        return None
    return StemName(last.stem, last.rank, text[: words[last.start].start()].rstrip(_MARKS))


def stem_in_folder(text: str, folder: str) -> StemName | None:
    """Tell the stem of a file that lies in the folder of its song.

    A track number and the song's name at the start do not count. A name without any stem
    is a part of ``other``; the name of the song alone is its mixture. The result is None
    where the name has the words of two stems, or says that one is missing (``no drums``).
    """
    words, song = _without_number(plain_words(text)), _without_number(plain_words(folder))
    if _whole(song):
        song = []  # a folder for the takes of one stem
    if song and words == song:
        return StemName(MIXTURE, 1, "")
    found = _bracketed(unicodedata.normalize("NFC", text))
    if song and words[: len(song)] == song:
        words = _without_number(words[len(song) :])
        found = found[: len(found) - len(_bracketed(folder))]
    match = _agreed(found or _stems_in(words) or [_Match(OTHER, 0, len(words), len(words))])
    before = words[: match.start] if match and not found else words
    return match and StemName(match.stem, match.rank, " ".join(before))


def stems_named(text: str) -> list[str]:
    """Give all stems whose names are in a text, except the mixture, sorted."""
    return sorted({match.stem for match in _stems_in(plain_words(text))} - {MIXTURE, _MISSING})


def plain_words(text: str) -> list[str]:
    """Split a name into words and numbers in small letters."""
    return [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFC", text))]


class _Match(NamedTuple):
    """A stem named by the words, or in brackets by the characters, from `start` to before `end`."""

    stem: str
    rank: int
    start: int
    end: int


def _stems_in(words: Sequence[str]) -> list[_Match]:
    """Find all names of stems among words in small letters, from the last to the first."""
    found, end = [], len(words)
    while end:
        for start in range(max(0, end - _LONGEST), end):
            known = _TABLE.get(tuple(words[start:end]))
            if known is not None:
                found.append(_Match(*known, start, end))
                end = start
                break
        else:
            end -= 1
    return found


def _agreed(found: Sequence[_Match]) -> _Match | None:
    """Give the first that is no mixture, as a "drum mix" is drums; None if stems differ."""
    stems = {match.stem for match in found} - {MIXTURE}
    if len(stems) > 1 or _MISSING in stems:
        return None
    return min(found, key=lambda match: match.stem == MIXTURE)


def _bracketed(text: str) -> list[_Match]:
    """Find brackets that hold the name of a stem and nothing else, from the last to the first."""
    found = []
    for match in _BRACKETS.finditer(text):
        if known := _whole([word for word in plain_words(match[1]) if not word.isdigit()]):
            found.append(_Match(*known, *match.span()))
    return found[::-1]


def _whole(words: Sequence[str]) -> tuple[str, int] | None:
    """Give stem and rank of words that are the name of a stem and nothing else."""
    known = _TABLE.get(tuple(words))
    return known if known and known[0] != _MISSING else None


def _without_number(words: list[str]) -> list[str]:
    """Drop a track number, unless it is all there is."""
    return words[1:] if len(words) > 1 and words[0].isdigit() else words
