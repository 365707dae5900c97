"""Which stem of a song a file holds, told by the file's name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from songsplit.data.songs import INSTRUMENTAL, VOCALS

MIXTURE = "mixture"
OTHER = "other"

_LETTERS_OR_DIGITS = re.compile(r"[^\W\d_]+|\d+")
_TRAILING_MARKS = " \t-_.,([{<|~\N{EN DASH}\N{EM DASH}"

_SINGING = "vocals vocal vox vocs voc voice voices singing singer"
_VOICES = "lead main backing background back bg harmony double doubles additional"
_WITHOUT = "no non without minus off"

# For each stem, groups of names that mean the same. Of a song that has files of several
# groups, the first group is the finished stem and the others are made of the same audio.
_NAMES: dict[str, tuple[str, ...]] = {
    VOCALS: (
        "acapella, acapellas, acappella, accapella, a cappella, a capella, cappella",
        ", ".join(map(" ".join, product(["", *_VOICES.split()], _SINGING.split())))
        + ", bgv, bgvs, bv, bvs, choir, harmonies, ad libs, adlibs, rap",
    ),
    INSTRUMENTAL: (
        "instrumental, instrumentals, instrumental mix, instr, inst",
        "accompaniment, accompaniments, accomp",
        ", ".join(map(" ".join, product(_WITHOUT.split(), _SINGING.split()))),
        "karaoke, minus one, minusone, backing track, backing tracks, backingtrack, backing",
        "playback",
    ),
    MIXTURE: (
        "mixture, mixtures",
        "mix, full mix, fullmix, final mix, main mix, stereo mix, original mix, mixdown, mix down",
        "full, full song, original",
        "master, mastered, full master, final master",
    ),
    "drums": (
        "drums, drum, drum kit, drumkit, percussion, percussions, perc, bass drum, "
        "kick, kick drum, snare, snare drum, hihat, hihats, hi hat, hi hats, hats, tom, toms, "
        "cymbal, cymbals, overhead, overheads, claps",
    ),
    "bass": (
        "bass, basses, bassline, bass line, bass guitar, electric bass, synth bass, bass synth, "
        "sub bass, double bass, upright bass",
    ),
    OTHER: (
        "other, others, rest, residual, residuals, remainder, guitar, guitars, acoustic guitar, "
        "electric guitar, lead guitar, rhythm guitar, piano, keys, keyboard, keyboards, organ, "
        "synth, synths, synthesizer, lead synth, pad, pads, strings, violin, cello, brass, horns, "
        "trumpet, sax, saxophone, flute, woodwinds",
    ),
}
_TABLE: dict[tuple[str, ...], tuple[str, int]] = {
    tuple(phrase.split()): (stem, rank)
    for stem, groups in _NAMES.items()
    for rank, group in enumerate(groups)
    for phrase in group.split(", ")
}
_LONGEST = max(map(len, _TABLE))


@dataclass(frozen=True)
class StemName:
    """What a file's name says of it.

    Attributes
    ----------
    stem : str
        ``vocals``, ``instrumental``, ``mixture``, ``drums``, ``bass`` or ``other``.
    rank : int
        Files of a lower rank are finished stems: those of a higher rank hold the same
        audio once more, such as ``vocals`` beside ``acapella``.
    song : str
        What precedes the stem's name.
    """

    stem: str
    rank: int
    song: str


def words_of(text: str) -> tuple[str, ...]:
    """Split a name into words and numbers, in small letters.

    Parameters
    ----------
    text : str
        For example ``"02 LeadVox_dry"``.

    Returns
    -------
    tuple of str
        For example ``("02", "lead", "vox", "dry")``.
    """
    return tuple(word.casefold() for word, _ in _words(unicodedata.normalize("NFC", text)))


def stem_at_end(text: str) -> StemName | None:
    """Tell song and stem of a file called ``Song A - Vocals`` or ``song_a_drums 2``.

    Parameters
    ----------
    text : str
        Name of the file without its extension.

    Returns
    -------
    StemName or None
        None if the name does not end with that of a stem, whatever numbers follow, or
        says that the stem is missing (``no drums``).
    """
    text = unicodedata.normalize("NFC", text)
    found = list(_words(text))
    while found and found[-1][0].isdigit():
        found.pop()
    match = _match_at_end(tuple(word.casefold() for word, _ in found))
    if match is None:
        return None
    length, stem, rank = match
    if _is_without([word.casefold() for word, _ in found[:-length]]):
        return None
    return StemName(stem, rank, text[: found[-length][1]].rstrip(_TRAILING_MARKS))


def stem_in_folder(text: str, folder: str) -> StemName | None:
    """Tell the stem of a file that lies in its song's own folder.

    Track numbers and the name of the song at the start count for nothing. Names that say
    more than the stem (``Vox verse 2 dry``) go by the last stem in them, and what names
    none is a part of ``other``.

    Parameters
    ----------
    text : str
        Name of the file without its extension.
    folder : str
        Name of the folder.

    Returns
    -------
    StemName or None
        Its `song` is what precedes the stem's name in the rest of the file's name. None
        if the name says that a stem is missing (``no drums``).
    """
    words, song = _without_number(words_of(text)), _without_number(words_of(folder))
    if song in _TABLE:
        song = ()  # a folder for the takes of one stem
    if song and words == song:
        return StemName(MIXTURE, _TABLE["mix",][1], "")
    if words[: len(song)] == song:
        words = _without_number(words[len(song) :])
    mixture: StemName | None = None
    for end in range(len(words), 0, -1):
        match = _match_at_end(words[:end])
        if match is None:
            continue
        length, stem, rank = match
        before = words[: end - length]
        if _is_without(before):
            return None
        if stem != MIXTURE:
            return StemName(stem, rank, " ".join(before))
        # A "drum mix" is drums, so look on for what was mixed.
        mixture = mixture or StemName(stem, rank, " ".join(before))
    return mixture or StemName(OTHER, 0, " ".join(words))


def _is_without(before: Sequence[str]) -> bool:
    return bool(before) and before[-1] in _WITHOUT.split()


def _match_at_end(words: tuple[str, ...]) -> tuple[int, str, int] | None:
    for length in range(min(_LONGEST, len(words)), 0, -1):
        known = _TABLE.get(words[-length:])
        if known is not None:
            return length, *known
    return None


def _without_number(words: tuple[str, ...]) -> tuple[str, ...]:
    """Drop a track number, unless it is all there is."""
    return words[1:] if len(words) > 1 and words[0].isdigit() else words


def _words(text: str) -> Iterator[tuple[str, int]]:
    """Yield words and where they begin; ``LeadVox`` is two."""
    for match in _LETTERS_OR_DIGITS.finditer(text):
        run, start = match.group(), match.start()
        begin = 0
        for at in range(1, len(run)):
            if run[at - 1].islower() and run[at].isupper():
                yield run[begin:at], start + begin
                begin = at
        yield run[begin:], start + begin
