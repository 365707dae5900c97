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

    The joined output is the same for any division into blocks and has no delay: its length is
    :func:`resampled_length` of the joined input.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self.from_rate = from_rate
        self.to_rate = to_rate
        self.channels = channels
        self._taken = 0
        self._given = 0
        self._stream = None
        if from_rate != to_rate:
            import soxr

            self._stream = soxr.ResampleStream(
                from_rate, to_rate, channels, dtype="float32", quality="VHQ"
            )

    def process(self, block: FloatArray) -> FloatArray:
        """Take a block and return what is ready of the output; at equal rates, the block itself."""
        self._taken += block.shape[1]
        return block if self._stream is None else self._push(block, last=False)

    def flush(self) -> FloatArray:
        """End the signal and return the rest of the output."""
        if self._stream is None:
            return np.zeros((self.channels, 0), np.float32)
        rest = self._push(np.zeros((self.channels, 0), np.float32), last=True)
        missing = resampled_length(self._taken, self.from_rate, self.to_rate) - self._given
        return _fit(rest, rest.shape[1] + missing)

    def _push(self, block: FloatArray, *, last: bool) -> FloatArray:
        assert self._stream is not None
        interleaved = np.ascontiguousarray(block.T, dtype=np.float32)
        out = self._stream.resample_chunk(interleaved, last=last)
        self._given += len(out)
        return np.ascontiguousarray(out.T)


def resample(
    samples: FloatArray, from_rate: int, to_rate: int, *, length: int | None = None
) -> FloatArray:
    """Resample a whole signal, float32 ``(channels, samples)``.

    The result is cut, or filled with zeros, to `length` samples. Going back to the original rate
    with the original length undoes the rounding.
    """
    resampler = Resampler(from_rate, to_rate, samples.shape[0])
    result = resampler.process(samples)
    if from_rate != to_rate:
        result = np.concatenate([result, resampler.flush()], axis=1)
    return result if length is None else _fit(result, length)


def _fit(samples: FloatArray, length: int) -> FloatArray:
    """Cut, or fill with zeros, to a length."""
    missing = length - samples.shape[1]
    if missing <= 0:
        return samples[:, :length] if missing else samples
    return np.pad(samples, ((0, 0), (0, missing)))
