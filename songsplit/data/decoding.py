"""Decoding the stems of a song."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import Resampler, open_audio, read_streams, resample
from songsplit.data.songs import INSTRUMENTAL, VOCALS, AudioPart, Song
from songsplit.errors import DataError

LENGTH_TOLERANCE = 1.0
"""Seconds by which the parts of a song may differ in length; what differs more was not
exported from start to end, and may not even start together."""

Audio = NDArray[np.float32]

_BLOCK = 1 << 18  # samples
_LOUDEST = 1e6  # peak beyond which numbers are no audio, and might overflow when squared


def decode_stems(song: Song, sample_rate: int) -> Iterator[tuple[str, Audio]]:
    """Decode the stems of a song one after the other, float32 of shape (2, samples).

    Mono is copied to both channels; of more than two channels the first two are kept. A
    DataError or AudioFileError says which file cannot be used and why.
    """
    decoder = _Decoder(song, sample_rate)
    for name, parts in song.stems.items():
        audio = decoder.total(parts)
        yield name, audio
        if song.subtracts and song.mixture is not None and name == VOCALS:
            mixture = decoder.total([song.mixture])
            yield INSTRUMENTAL, decoder.sum(mixture, -audio, song.mixture.path, parts[0].path)


class _Decoder:
    """Decodes parts of a song. The streams of a file with several are decoded together."""

    def __init__(self, song: Song, sample_rate: int) -> None:
        self._rate = sample_rate
        self._several = {part.path for part in song.parts if part.stream > 0}
        self._streams: dict[Path, tuple[list[Audio], int]] = {}

    def total(self, parts: Sequence[AudioPart]) -> Audio:
        """Sum the parts of a stem."""
        total = self._part(parts[0])
        for part in parts[1:]:
            total = self.sum(total, self._part(part), parts[0].path, part.path)
        if not np.abs(total).max(initial=0) <= _LOUDEST:
            raise DataError(
                f"{parts[0].path}: its level is not that of audio, with a peak beyond "
                f"{_LOUDEST:g} times full scale: export it again"
            )
        return total

    def sum(self, first: Audio, second: Audio, first_path: Path, second_path: Path) -> Audio:
        """Add two signals, the shorter of which is padded with silence."""
        lengths = first.shape[1], second.shape[1]
        if max(lengths) - min(lengths) > LENGTH_TOLERANCE * self._rate:
            raise DataError(
                f"{second_path} lasts {lengths[1] / self._rate:.2f} s, but {first_path} "
                f"{lengths[0] / self._rate:.2f} s: export them from start to end alike"
            )
        longer, shorter = (first, second) if lengths[0] >= lengths[1] else (second, first)
        total = longer.copy()
        total[:, : shorter.shape[1]] += shorter
        return total

    def _part(self, part: AudioPart) -> Audio:
        if part.path not in self._several:
            return self._file(part.path)
        if part.path not in self._streams:
            self._streams[part.path] = read_streams(part.path)
        streams, rate = self._streams[part.path]
        if part.stream >= len(streams):
            raise DataError(
                f"{part.path} holds {len(streams)} audio streams, though number "
                f"{part.stream + 1} is needed: copy or download the file again"
            )
        return _stereo(resample(streams[part.stream][:2], rate, self._rate))

    def _file(self, path: Path) -> Audio:
        with open_audio(path) as reader:
            channels = min(reader.info.channels, 2)
            resampler = Resampler(reader.info.sample_rate, self._rate, channels)
            pieces = [resampler.process(block[:2]) for block in reader.blocks(_BLOCK)]
        return _stereo(np.concatenate([*pieces, resampler.flush()], axis=1))


def _stereo(audio: Audio) -> Audio:
    return audio if audio.shape[0] == 2 else np.repeat(audio, 2, axis=0)
