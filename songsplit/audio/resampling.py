"""Change the sample rate, tempo or key of whole signals or of blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from songsplit.audio.arrays import FloatArray
from songsplit.errors import MissingExtraError, OutputError

_SEGMENT_SECONDS = 360.0
_MARGIN_SECONDS = 1.0
_FADE_SECONDS = 0.1
_LEAST_RATE = 4000  # at lower rates, the stretcher's blocks are too short


def resampled_length(samples: int, from_rate: int, to_rate: int) -> int:
    """Return the length after resampling: rounded, and at least 1 unless `samples` is 0."""
    rounded = (2 * samples * to_rate + from_rate) // (2 * from_rate)
    return max(rounded, min(samples, 1))


class Resampler:
    """Resamples a signal that arrives in float32 ``(channels, n)`` blocks.

    The joined output does not depend on the division into blocks and has no delay.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self.from_rate = from_rate
        self.to_rate = to_rate
        self._nothing = np.zeros((channels, 0), np.float32)
        self._taken = 0
        self._given = 0
        self._stream = None
        if from_rate != to_rate:
            import soxr

            self._stream = soxr.ResampleStream(
                from_rate, to_rate, channels, dtype="float32", quality="VHQ"
            )

    def process(self, block: FloatArray, *, last: bool = False) -> FloatArray:
        """Return the output that is ready after this block; at equal rates, the block itself."""
        if self._stream is None:
            return block
        interleaved = np.ascontiguousarray(block.T, dtype=np.float32)
        out = self._stream.resample_chunk(interleaved, last=last)
        self._taken += block.shape[1]
        self._given += len(out)
        return np.ascontiguousarray(out.T)

    def flush(self) -> FloatArray:
        """End the signal and return the rest of the output."""
        rest = self.process(self._nothing, last=True)
        missing = resampled_length(self._taken, self.from_rate, self.to_rate) - self._given
        return fitted(rest, rest.shape[1] + missing)


def resample(
    samples: FloatArray, from_rate: int, to_rate: int, *, length: int | None = None
) -> FloatArray:
    """Resample a whole signal and cut it, or pad it with zeros, to `length` samples."""
    result = samples
    if from_rate != to_rate:
        resampler = Resampler(from_rate, to_rate, samples.shape[0])
        result = np.concatenate([resampler.process(samples), resampler.flush()], axis=1)
    return result if length is None else fitted(result, length)


def fitted(samples: FloatArray, length: int) -> FloatArray:
    """Cut a signal, or pad it with zeros, to a length."""
    missing = max(0, length - samples.shape[1])
    return np.pad(samples, ((0, 0), (0, missing))) if missing else samples[:, :length]


class Stretcher:
    """Changes the tempo, the key or both of audio that arrives in blocks.

    `tempo` is a factor of the original speed and `key` is in semitones. Signalsmith Stretch takes
    whole signals, so longer audio is stretched in segments of six minutes, which are cross-faded.
    """

    def __init__(self, sample_rate: int, channels: int, *, tempo: float, key: float) -> None:
        try:
            from python_stretch import Signalsmith
        except ImportError as error:
            raise MissingExtraError("python-stretch", "practice") from error
        if sample_rate < _LEAST_RATE:
            raise OutputError(
                f"tempo and key cannot be changed at {sample_rate} Hz: use a song of a higher rate"
            )
        self._make: Any = Signalsmith.Stretch
        self._rate, self._tempo, self._key = sample_rate, tempo, key
        self._segment = int(_SEGMENT_SECONDS * sample_rate)
        self._margin = int(_MARGIN_SECONDS * sample_rate * max(1.0, tempo))
        self._fade = int(_FADE_SECONDS * sample_rate)
        self._nothing = np.zeros((channels, 0), np.float32)
        self._held: list[FloatArray] = []
        # Positions in the input: the first held sample, the next segment, the end so far.
        self._first = self._start = self._end = 0
        self._tail = self._nothing

    def process(self, block: FloatArray) -> FloatArray:
        """Take a float32 ``(channels, n)`` block; return the output that is ready, often none."""
        self._held.append(block)
        self._end += block.shape[1]
        ready = [self._nothing]
        while self._end >= self._start + self._segment + self._margin:
            ready.append(self._next(self._start + self._segment, self._margin))
        return np.concatenate(ready, axis=1)

    def rest(self) -> FloatArray:
        """Return the rest of the output."""
        return self._next(self._end, 0)

    def _next(self, stop: int, margin: int) -> FloatArray:
        """Stretch from the last stop to `stop`, and `margin` samples more for the cross-fade."""
        samples = np.concatenate(self._held, axis=1)
        stretched = self._stretched(samples[:, : stop + margin - self._first])
        origin = round(self._first / self._tempo)
        begin = round(self._start / self._tempo) - origin
        finish = round(stop / self._tempo) - origin
        piece = fitted(stretched[:, begin:], finish - begin)
        faded = min(self._tail.shape[1], piece.shape[1])
        rise = np.linspace(0, 1, faded, dtype=np.float32)
        piece[:, :faded] = rise * piece[:, :faded] + (1 - rise) * self._tail[:, :faded]
        self._tail = stretched[:, finish : finish + self._fade]
        self._held = [samples[:, stop - margin - self._first :]]
        self._first, self._start = stop - margin, stop
        return piece

    def _stretched(self, samples: FloatArray) -> FloatArray:
        stretch = self._make()
        stretch.preset(len(samples), float(self._rate))
        stretch.setTimeFactor(self._tempo)
        stretch.setTransposeSemitones(self._key)
        stretched: FloatArray = stretch.process(np.ascontiguousarray(samples))
        return stretched
