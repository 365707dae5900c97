"""What a song to train on is made of, before any of it is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "valid"]

VOCALS = "vocals"
INSTRUMENTAL = "instrumental"
# What an instrumental is made of, where a recording has it in parts.
BACKING_PARTS = ("drums", "bass", "other")

PART_NAMES = (VOCALS, "second_singer", *BACKING_PARTS)
"""What a training example is mixed from; an instrumental stands in the place of other."""


@dataclass(frozen=True)
class AudioPart:
    """One audio stream of a file.

    Attributes
    ----------
    path : Path
    stream : int
        Number of the audio stream, from 0; only ``.stem.mp4`` files have several.
    """

    path: Path
    stream: int = 0


@dataclass(frozen=True)
class Song:
    """Files of one recording, sorted into stems.

    Attributes
    ----------
    name : str
        Unique within its source, for example ``"Artist - Title"``.
    source : str
        Name of the data source that it belongs to.
    split : {"train", "valid"}
    stems : mapping of str to tuple of AudioPart
        Parts that are summed to each stem: ``vocals``, and either ``instrumental`` or any
        of ``drums``, ``bass`` and ``other``. Recordings for a pool have only ``vocals`` or
        only ``instrumental``.
    mixture : AudioPart or None
        The finished mix, if there is one. Where `stems` holds vocals alone and this is
        given, the instrumental is the mixture less the vocals.
    bandwidth : float or None
        Frequency in Hz above which the recording holds nothing, if it was made at a low
        rate.
    """

    name: str
    source: str
    split: Split
    stems: Mapping[str, tuple[AudioPart, ...]]
    mixture: AudioPart | None = None
    bandwidth: float | None = None

    @property
    def parts(self) -> list[AudioPart]:
        """All that is read to decode the stems, without the mixture where it is not needed."""
        found = [part for parts in self.stems.values() for part in parts]
        if self.subtracts and self.mixture is not None:
            found.append(self.mixture)
        return found

    @property
    def subtracts(self) -> bool:
        """Whether the instrumental is what the mixture holds besides the vocals."""
        return self.mixture is not None and set(self.stems) == {VOCALS}
