"""The files of a song for training or evaluation, and how its stems are decoded."""

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
"""The parts of a training example; an instrumental takes the slot of ``other``."""

STEM_FILE_SUFFIX = ".stem.mp4"
STEM_FILE_STREAMS = (MIXTURE, *BACKING_PARTS, VOCALS)
"""The order of the audio streams in a ``.stem.mp4`` file."""

# Stems with a larger difference in length may also start at different times.
_LENGTH_TOLERANCE = 1.0  # seconds
_SILENCE = 1e-6  # power relative to the other stem
_LOUDEST = 1e6  # larger peaks are not audio, and their squares might overflow


@dataclass(frozen=True)
class AudioPart:
    """One audio stream of a file; only ``.stem.mp4`` files have more than stream 0."""

    path: Path
    stream: int = 0


@dataclass(frozen=True)
class Song:
    """The files of one recording, by stem.

    `name` is unique within its source. The parts of each stem are summed. The stems are
    ``vocals`` and either ``instrumental`` or any of ``drums``, ``bass`` and ``other``;
    recordings of one stem have only ``vocals`` or only ``instrumental``. `bandwidth` is the
    highest frequency in Hz of the recording.
    """

    name: str
    source: str
    split: Split
    stems: Mapping[str, tuple[AudioPart, ...]]
    mixture: AudioPart | None = None
    bandwidth: float | None = None

    @property
    def parts(self) -> list[AudioPart]:
        """All parts of the stems, and the mixture if the instrumental is computed from it."""
        found = [part for parts in self.stems.values() for part in parts]
        if self.subtracts and self.mixture is not None:
            found.append(self.mixture)
        return found

    @property
    def subtracts(self) -> bool:
        """Whether the instrumental is the mixture minus the vocals."""
        return self.mixture is not None and set(self.stems) == {VOCALS}


def decode_stems(song: Song, sample_rate: int) -> Iterator[tuple[str, Audio]]:
    """Decode the stems of a song one by one, float32 of shape (2, samples).

    Mono is copied to both channels, and only the first two channels are kept. An unusable file
    raises a DataError or AudioFileError that names it.
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
                f"{part.path}: the peak is beyond {_LOUDEST:g} times full scale, so this is not "
                "audio: export the file again"
            )
        seconds[part.path] = audio.shape[1] / sample_rate
        short, *_, long = sorted([part.path, *seconds], key=seconds.__getitem__)
        if seconds[long] - seconds[short] > _LENGTH_TOLERANCE:
            raise DataError(
                f"{long} lasts {seconds[long]:.2f} s, but {short} {seconds[short]:.2f} s: export "
                "all stems with the same start and end"
            )
        return np.broadcast_to(audio, (2, audio.shape[1]))

    for name, parts in song.stems.items():
        total = reduce(_sum, map(decode, parts))
        yield name, total
        if song.mixture is not None and song.subtracts:
            yield INSTRUMENTAL, _sum(decode(song.mixture), -total)


def stream_of(part: AudioPart, streams: Sequence[Audio]) -> Audio:
    """Return the stream of a part, or raise a DataError if the file has no such stream."""
    if part.stream >= len(streams):
        raise DataError(
            f"{part.path} holds {len(streams)} audio streams, but stream "
            f"{part.stream + 1} is needed: copy or download the file again"
        )
    return streams[part.stream]


def _sum(first: Audio, second: Audio) -> Audio:
    """Add two signals; the shorter one is padded with silence."""
    shorter, longer = sorted((first, second), key=lambda audio: audio.shape[1])
    total = longer.copy()
    total[:, : shorter.shape[1]] += shorter
    return total


def check_pair(stems: Mapping[str, Audio]) -> None:
    """Raise DataError if vocals or backing are silent, or one contains the other.

    Vocals and backing hardly correlate (at most 0.1 in MUSDB18). A mixture correlates with its
    components, which it contains at about the same level.
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
        fault = f"the stem {loud} contains the other stem and may be the mixture"
    else:
        return
    raise DataError(f"{fault}: name each file after the stem that it holds, or leave the song out")
