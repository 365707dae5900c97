"""Which stem a file's name says that it holds. This is the only place that tells."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from songsplit.data.songs import INSTRUMENTAL, MIXTURE, OTHER, VOCALS

_SINGING = ("vocals", "vocal", "vox", "vocs", "voc", "voice", "voices", "singing", "singer")
_VOICES = ("lead", "main", "backing", "background", "back", "bg", "harmony", "double", "doubles")
_WITHOUT = ("no", "non", "without", "minus", "off")
# For each stem, groups of names. Of a song that has files of several groups, the first group
# is the finished stem, and the others hold the same audio once more.
_NAMES: dict[str, list[str]] = {
    VOCALS: [
        "acapella, acapellas, acappella, accapella, a cappella, a capella, cappella",
        ", ".join(" ".join(words) for words in product(["", *_VOICES], _SINGING))
        + ", bgv, bgvs, bv, bvs, choir, harmonies, ad libs, adlibs, rap",
    ],
    INSTRUMENTAL: [
        "instrumental, instrumentals, instrumental mix, instr, inst",
        "accompaniment, accompaniments, accomp",
        ", ".join(" ".join(words) for words in product(_WITHOUT, _SINGING)),
        "karaoke, minus one, minusone, backing track, backing tracks, backing, playback",
    ],
    MIXTURE: [
        "mixture, mixtures",
        "mix, full mix, final mix, main mix, stereo mix, original mix, linear mixture, mixdown, "
        "mix down",
        "full, full song, original, master, mastered, full master, final master",
    ],
    "drums": [
        "drums, drum, drum kit, drumkit, percussion, percussions, perc, bass drum, kick, "
        "kick drum, snare, snare drum, hihat, hihats, hi hat, hi hats, hats, tom, toms, cymbal, "
        "cymbals, overhead, overheads, claps",
    ],
    "bass": [
        "bass, basses, bassline, bass line, bass guitar, electric bass, synth bass, bass synth, "
        "sub bass, double bass, upright bass",
    ],
    OTHER: [
        "other, others, rest, residual, residuals, remainder, guitar, guitars, acoustic guitar, "
        "electric guitar, lead guitar, rhythm guitar, piano, keys, keyboard, keyboards, organ, "
        "synth, synths, synthesizer, lead synth, pad, pads, strings, violin, cello, brass, "
        "horns, trumpet, sax, saxophone, flute, woodwinds",
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
_SEPARATOR = re.compile(r"_+| [-\u2013\u2014] ")
# "Song - no_vocals", but not "I Said No_vocals": there, "no" belongs to the title.
_JOINED_WITHOUT = re.compile(
    rf"(?:^|(?<=_)|(?<=[-\u2013\u2014\d] ))(?:{'|'.join(_WITHOUT)})_", re.IGNORECASE
)
_NUMBER_AT_END = re.compile(r"[\W\d_]+$")
_MARKS = " \t-_.,([{<|~\u2013\u2014"


@dataclass(frozen=True)
class StemName:
    """What the name of a file says: its stem, and `song`, which stands before the stem.

    Of one song's files for one stem, those of the lowest `rank` are used.
    """

    stem: str
    rank: int
    song: str


def stem_at_end(text: str) -> StemName | None:
    """Tell song and stem of ``Song A - Vocals``, ``song_a_drums 2`` or ``Song_(Bass)_v2``.

    A stem in brackets counts more than all other words. The result is None where the name
    does not end with a stem, names two stems, or says that a stem is missing (``no drums``).
    """
    text = unicodedata.normalize("NFC", text)
    if in_brackets := _bracketed(text):
        match = _agreed(in_brackets)
        return match and StemName(match.stem, match.rank, text[: match.start].rstrip(_MARKS))
    text = _NUMBER_AT_END.sub("", text)
    spaced = _JOINED_WITHOUT.sub(lambda match: match[0][:-1] + " ", text)
    start = max((match.end() for match in _SEPARATOR.finditer(spaced)), default=0)
    words = list(_WORD.finditer(text, start))
    found = _stems_in([word[0].casefold() for word in words])
    if not found or found[0].end != len(words) or not _agreed(found):
        return None
    before = text[: words[found[0].start].start()]
    return StemName(found[0].stem, found[0].rank, before.rstrip(_MARKS))


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
