"""Changing the sample rate, the tempo and the key, of whole signals or block by block."""

from __future__ import annotations

from typing import Any

import numpy as np

from songsplit.audio.arrays import FloatArray
from songsplit.errors import MissingExtraError, OutputError

_SEGMENT_SECONDS = 360.0
_MARGIN_SECONDS = 1.0
_FADE_SECONDS = 0.1
_LEAST_RATE = 4000  # below, a block of the stretcher is shorter than it can be


def resampled_length(samples: int, from_rate: int, to_rate: int) -> int:
    """Return how many samples a signal has after resampling: rounded, and 0 only for none."""
    rounded = (2 * samples * to_rate + from_rate) // (2 * from_rate)
    return max(rounded, min(samples, 1))


class Resampler:
    """Resamples a signal that comes in float32 ``(channels, n)`` blocks.

    The joined output is the same for any division into blocks and has no delay.
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
        """Take a block and return what is ready of the output; at equal rates, the block itself."""
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
    """Resample a whole signal, which is cut, or filled with zeros, to `length` samples."""
    result = samples
    if from_rate != to_rate:
        resampler = Resampler(from_rate, to_rate, samples.shape[0])
        result = np.concatenate([resampler.process(samples), resampler.flush()], axis=1)
    return result if length is None else fitted(result, length)


def fitted(samples: FloatArray, length: int) -> FloatArray:
    """Cut, or fill with zeros, to a length."""
    missing = max(0, length - samples.shape[1])
    return np.pad(samples, ((0, 0), (0, missing))) if missing else samples[:, :length]


class Stretcher:
    """Changes the tempo, the key, or both, of audio that comes in blocks.

    Tempo is a share of the original speed, and key is in semitones up. Signalsmith Stretch takes
    audio as a whole, so more than six minutes go through in pieces, which are cross-faded.
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
        # Positions in the input: of the first held sample, of the next segment, of the end so far.
        self._first = self._start = self._end = 0
        self._tail = self._nothing

    def process(self, block: FloatArray) -> FloatArray:
        """Take float32 ``(channels, n)`` and give what is ready, often nothing."""
        self._held.append(block)
        self._end += block.shape[1]
        ready = [self._nothing]
        while self._end >= self._start + self._segment + self._margin:
            ready.append(self._next(self._start + self._segment, self._margin))
        return np.concatenate(ready, axis=1)

    def rest(self) -> FloatArray:
        """Give what is left at the end."""
        return self._next(self._end, 0)

    def _next(self, stop: int, margin: int) -> FloatArray:
        """Stretch from the last stop to the next, with a margin for the cross-fade after it."""
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
