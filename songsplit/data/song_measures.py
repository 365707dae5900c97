"""Decoding a song once to measure its files, and how well they add up."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from songsplit.audio import open_audio, read_streams
from songsplit.data.layout import STEM_FILE_STREAMS
from songsplit.data.measures import Audio, Measures, Meter
from songsplit.data.songs import AudioPart, Song
from songsplit.errors import AudioFileError, DataError

_LOWEST_DB = -120.0


@dataclass(frozen=True)
class SongMeasures:
    """What was measured of a song.

    Attributes
    ----------
    parts : dict of AudioPart to Measures
        Of every part that could be decoded, the mixture included.
    failures : dict of Path to str
        Why a file cannot be decoded.
    sum_error : float or None
        Energy of what the mixture and the sum of all stems differ by, in dB relative to
        the mixture and at least -120. For songs whose mixture is not needed, and None
        where they cannot be compared.
    vocals_gain : float or None
        Factor at which the mixture holds the vocals, by least squares. For songs whose
        instrumental is the mixture less the vocals.
    """

    parts: dict[AudioPart, Measures]
    failures: dict[Path, str]
    sum_error: float | None = None
    vocals_gain: float | None = None


def measure_song(song: Song) -> SongMeasures:
    """Decode all files of a song and measure them.

    Of a song with a mixture, the mixture is held in memory twice; of a ``.stem.mp4`` file
    also its streams. Of others nothing but a block is.

    Parameters
    ----------
    song : Song

    Returns
    -------
    SongMeasures
    """
    paths: dict[Path, list[AudioPart]] = defaultdict(list)
    for part in ([song.mixture] if song.mixture else []) + song.parts:
        if part not in paths[part.path]:
            paths[part.path].append(part)
    measured: dict[AudioPart, Measures] = {}
    failures: dict[Path, str] = {}
    comparison = _Comparison()
    for path, parts in paths.items():
        try:
            for part, rate, blocks in _decoded(path, parts):
                meter = Meter(rate)
                start = 0
                for block in blocks:
                    meter.add(block)
                    if part == song.mixture:
                        comparison.keep(block)
                    elif song.mixture is not None and not failures:
                        comparison.take_away(block, start)
                    start += block.shape[1]
                measured[part] = meter.result()
        except (AudioFileError, DataError) as error:
            failures[path] = str(error).removeprefix(f"{path}: ")
    one_rate = len({measures.sample_rate for measures in measured.values()}) == 1
    if song.mixture is None or failures or not one_rate:
        return SongMeasures(measured, failures)
    samples = min(measures.samples for measures in measured.values())
    if song.subtracts:
        return SongMeasures(measured, failures, vocals_gain=comparison.gain(samples))
    return SongMeasures(measured, failures, sum_error=comparison.error(samples))


def _decoded(
    path: Path, parts: Sequence[AudioPart]
) -> Iterator[tuple[AudioPart, int, Iterable[Audio]]]:
    """Yield each part of a file with its sample rate and its audio in blocks."""
    if len(parts) == 1 and parts[0].stream == 0:
        with open_audio(path) as reader:
            yield parts[0], reader.info.sample_rate, reader.blocks(Meter.BLOCK)
        return
    streams, rate = read_streams(path)
    if len(streams) != len(STEM_FILE_STREAMS):
        raise DataError(
            f"{path}: {len(streams)} audio streams where {', '.join(STEM_FILE_STREAMS)} are "
            "expected: copy or export the file again"
        )
    for part in parts:
        yield part, rate, _blocks(streams[part.stream])


def _blocks(audio: Audio) -> Iterator[Audio]:
    for start in range(0, audio.shape[1], Meter.BLOCK):
        yield audio[:, start : start + Meter.BLOCK]


class _Comparison:
    """A mixture, and what is left of it when stems are taken away."""

    def __init__(self) -> None:
        self._pieces: list[Audio] = []

    def keep(self, block: Audio) -> None:
        """Add to the mixture, which must be complete before anything is taken away."""
        self._pieces.append(_stereo(block))

    @cached_property
    def _mixture(self) -> Audio:
        pieces, self._pieces = self._pieces, []
        return np.concatenate(pieces, axis=1)

    @cached_property
    def _rest(self) -> Audio:
        return self._mixture.copy()

    def take_away(self, block: Audio, start: int) -> None:
        """Subtract a piece of a stem that begins at a sample."""
        held = self._rest[:, start : start + block.shape[1]]
        held -= _stereo(block)[:, : held.shape[1]]

    def error(self, samples: int) -> float | None:
        """Energy of the rest relative to the mixture in dB, None for a silent mixture."""
        mixture, rest = self._mixture[:, :samples], self._rest[:, :samples]
        energy = _product(mixture, mixture)
        if not energy:
            return None
        return 10 * math.log10(max(_product(rest, rest) / energy, 10 ** (_LOWEST_DB / 10)))

    def gain(self, samples: int) -> float | None:
        """Factor of what was taken away in the mixture, None for silence."""
        mixture = self._mixture[:, :samples]
        taken = mixture - self._rest[:, :samples]
        energy = _product(taken, taken)
        return _product(mixture, taken) / energy if energy else None


def _product(first: Audio, second: Audio) -> float:
    """Sum of products; in pieces, as long sums of float32 are not exact."""
    starts = range(0, first.shape[1], Meter.BLOCK)
    pieces = (slice(start, start + Meter.BLOCK) for start in starts)
    return sum(float(np.vdot(first[:, piece], second[:, piece])) for piece in pieces)


def _stereo(block: Audio) -> Audio:
    """First two channels, or one channel twice."""
    return block[:2] if block.shape[0] >= 2 else np.repeat(block, 2, axis=0)
