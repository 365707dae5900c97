"""Changing the sample rate, of whole signals or block by block."""

from __future__ import annotations

import numpy as np

from songsplit.audio.arrays import FloatArray


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
