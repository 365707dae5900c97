"""What a song to train on is made of, before any of it is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "valid"]

VOCALS = "vocals"
INSTRUMENTAL = "instrumental"
MIXTURE = "mixture"
OTHER = "other"
# The parts of an instrumental.
BACKING_PARTS = ("drums", "bass", OTHER)

PART_NAMES = (VOCALS, "second_singer", *BACKING_PARTS)
"""What a training example is mixed from; an instrumental stands in the place of other."""

STEM_FILE_SUFFIX = ".stem.mp4"
STEM_FILE_STREAMS = (MIXTURE, *BACKING_PARTS, VOCALS)
"""The order of the audio streams in a ``.stem.mp4`` file."""


@dataclass(frozen=True)
class AudioPart:
    """One audio stream of a file; only ``.stem.mp4`` files have more than stream 0."""

    path: Path
    stream: int = 0


@dataclass(frozen=True)
class Song:
    """The files of one recording, sorted into stems.

    `name` is unique within its source. The parts of each stem are summed. The stems are
    ``vocals`` and either ``instrumental`` or any of ``drums``, ``bass`` and ``other``;
    recordings of one stem alone have only ``vocals`` or only ``instrumental``. `bandwidth` is
    the frequency in Hz above which the recording holds nothing.
    """

    name: str
    source: str
    split: Split
    stems: Mapping[str, tuple[AudioPart, ...]]
    mixture: AudioPart | None = None
    bandwidth: float | None = None

    @property
    def parts(self) -> list[AudioPart]:
        """All that is read for the stems; the mixture only where it is needed for them."""
        found = [part for parts in self.stems.values() for part in parts]
        if self.subtracts and self.mixture is not None:
            found.append(self.mixture)
        return found

    @property
    def subtracts(self) -> bool:
        """Whether the instrumental is the mixture less the vocals."""
        return self.mixture is not None and set(self.stems) == {VOCALS}


def stem_file_song(name: str, source: str, file: Path) -> Song:
    """Describe the song in a ``.stem.mp4`` file."""
    parts = {stem: AudioPart(file, index) for index, stem in enumerate(STEM_FILE_STREAMS)}
    stems = {stem: (parts[stem],) for stem in (VOCALS, *BACKING_PARTS)}
    return Song(name, source, "train", stems, parts[MIXTURE])
