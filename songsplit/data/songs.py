"""What a song to train on is made of, and how its stems are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import read_audio, read_streams, resample
from songsplit.errors import DataError

Split = Literal["train", "valid"]
OnBad = Literal["skip", "stop"]
Audio = NDArray[np.float32]

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

# What differs more was not exported from start to end, and may not even start together.
_LENGTH_TOLERANCE = 1.0  # seconds
_SILENCE = 1e-6  # power in relation to that of the other stem
_LOUDEST = 1e6  # beyond this peak, numbers are no audio, and might overflow when squared


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


def decode_stems(song: Song, sample_rate: int) -> Iterator[tuple[str, Audio]]:
    """Decode the stems of a song one after the other, float32 of shape (2, samples).

    Mono is copied to both channels; of more than two channels the first two are kept. A
    DataError or AudioFileError says which file cannot be used and why.
    """
    several = {part.path for part in song.parts if part.stream > 0}
    streams_of = cache(read_streams)
    seconds: dict[Path, float] = {}

    def decode(part: AudioPart) -> Audio:
        if part.path in several:
            streams, rate = streams_of(part.path)
            audio = stream_of(part, streams)
        else:
            audio, rate = read_audio(part.path)
        audio = resample(audio[:2], rate, sample_rate)
        if not np.abs(audio).max(initial=0) <= _LOUDEST:
            raise DataError(
                f"{part.path}: its level is not that of audio, with a peak beyond {_LOUDEST:g} "
                "times full scale: export it again"
            )
        seconds[part.path] = audio.shape[1] / sample_rate
        short, *_, long = sorted([part.path, *seconds], key=seconds.__getitem__)
        if seconds[long] - seconds[short] > _LENGTH_TOLERANCE:
            raise DataError(
                f"{long} lasts {seconds[long]:.2f} s, but {short} {seconds[short]:.2f} s: export "
                "them from start to end alike"
            )
        return np.broadcast_to(audio, (2, audio.shape[1]))

    for name, parts in song.stems.items():
        total = reduce(_sum, map(decode, parts))
        yield name, total
        if song.mixture is not None and song.subtracts:
            yield INSTRUMENTAL, _sum(decode(song.mixture), -total)


def stream_of(part: AudioPart, streams: Sequence[Audio]) -> Audio:
    """Choose the stream of a part; a DataError says that the file has no such stream."""
    if part.stream >= len(streams):
        raise DataError(
            f"{part.path} holds {len(streams)} audio streams, though number "
            f"{part.stream + 1} is needed: copy or download the file again"
        )
    return streams[part.stream]


def _sum(first: Audio, second: Audio) -> Audio:
    """Add two signals, the shorter of which is padded with silence."""
    shorter, longer = sorted((first, second), key=lambda audio: audio.shape[1])
    total = longer.copy()
    total[:, : shorter.shape[1]] += shorter
    return total


def check_pair(stems: Mapping[str, Audio]) -> None:
    """Raise DataError if vocals or all else are silent throughout, or one holds the other.

    Singing and its backing hardly correlate (at most 0.1 in MUSDB18). A mixture correlates with
    what it consists of, which it contains at about the same level.
    """
    samples = min(audio.shape[1] for audio in stems.values())
    vocals = stems[VOCALS][:, :samples]
    backing = sum((stems[name][:, :samples] for name in stems if name != VOCALS), 0 * vocals)
    inner = float(np.vdot(vocals, backing))
    powers = {VOCALS: np.vdot(vocals, vocals), INSTRUMENTAL: np.vdot(backing, backing)}
    quiet, loud = sorted(powers, key=powers.__getitem__)
    if powers[quiet] <= _SILENCE * powers[loud]:
        fault = f"the stem {quiet} is silent from start to end"
    elif inner > 0.2 * np.sqrt(powers[quiet] * powers[loud]) and inner > 0.5 * powers[quiet]:
        fault = f"the stem {loud} holds the other one too, as the whole mixture does"
    else:
        return
    raise DataError(f"{fault}: name each file after the stem that it holds, or leave the song out")
