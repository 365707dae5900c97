"""Changing the sample rate, of whole signals or block by block."""

from __future__ import annotations

import numpy as np

from songsplit.audio._types import FloatArray


def resampled_length(samples: int, from_rate: int, to_rate: int) -> int:
    """Return how many samples a signal has after resampling.

    Parameters
    ----------
    samples : int
        Length at `from_rate`, in samples.
    from_rate, to_rate : int
        Sample rates in Hz.

    Returns
    -------
    int
        ``samples * to_rate / from_rate``, rounded to the nearest, and at least 1 for a
        signal that is not empty.
    """
    rounded = (2 * samples * to_rate + from_rate) // (2 * from_rate)
    return max(rounded, min(samples, 1))


class Resampler:
    """Resamples a signal that comes in blocks.

    The joined output is the same for any division into blocks and has no delay: its
    length is :func:`resampled_length` of the joined input.

    Parameters
    ----------
    from_rate, to_rate : int
        Sample rates in Hz.
    channels : int
        Number of channels.

    Raises
    ------
    ValueError
        If a rate or the number of channels is not positive.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        if min(from_rate, to_rate, channels) < 1:
            raise ValueError(
                "rates and channels must be positive, not "
                f"{from_rate} Hz, {to_rate} Hz, {channels} channels"
            )
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
        """Take a block and return what is ready of the output.

        Parameters
        ----------
        block : ndarray
            float32 ``(channels, n)``, n >= 0.

        Returns
        -------
        ndarray
            float32 ``(channels, m)``; m may be 0. At equal rates, `block` itself.

        Raises
        ------
        ValueError
            If the block has another number of channels.
        """
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise ValueError(f"a block of shape ({self.channels}, n) is needed, not {block.shape}")
        self._taken += block.shape[1]
        return block if self._stream is None else self._push(block, last=False)

    def flush(self) -> FloatArray:
        """End the signal and return the rest of the output.

        Returns
        -------
        ndarray
            float32 ``(channels, m)``; m may be 0.
        """
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
    """Resample a whole signal.

    Parameters
    ----------
    samples : ndarray
        float32 ``(channels, samples)``.
    from_rate, to_rate : int
        Sample rates in Hz.
    length : int, optional
        Exact length of the result in samples: it is cut, or filled with zeros, at its
        end. Going back to the original rate with the original length undoes the
        rounding. By default, :func:`resampled_length`.

    Returns
    -------
    ndarray
        float32 ``(channels, length)``. At equal rates and length, `samples` itself.

    Raises
    ------
    ValueError
        If a rate is not positive or `samples` is not two-dimensional.
    """
    if samples.ndim != 2:
        raise ValueError(f"samples of shape (channels, samples) are needed, not {samples.shape}")
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
