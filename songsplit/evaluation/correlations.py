"""Correlations of long signals at short lags, in bounded memory."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import MissingExtraError
from songsplit.evaluation.scores import Floats, Samples
from songsplit.evaluation.threads import in_threads, threads

try:
    from scipy import fft
except ImportError as error:
    raise MissingExtraError("scipy", "eval") from error

Spectra: TypeAlias = NDArray[np.complex128]

# Length of the transforms: a power of two times small primes, for which they are quick, and
# small enough for a handful of spectra to stay in the processor's cache.
_N_FFT = 46080


def lagged_products(first: Samples, second: Samples, lags: int) -> Floats:
    """Correlate all signals of one group with all of another at lags from 0 up.

    ``c[i, j, τ] = Σ_t first[i, t] second[j, t + τ]``, with zeros beyond the ends. Signals are
    cut into blocks; the spectra's products are summed up over the blocks, so that a single
    inverse transform remains for each pair of signals.

    Parameters
    ----------
    first, second : ndarray, shape (signals, samples)
        Two groups of signals of one length.
    lags : int
        Number of lags.

    Returns
    -------
    ndarray of float64, shape (signals of first, signals of second, lags)
    """
    samples = first.shape[1]
    # A block of `block` samples against one that is longer by the largest lag: what the
    # circular correlation wraps round falls on lags that are not wanted.
    n_fft = min(_N_FFT, even_fast_length(samples + lags))
    block = n_fft - lags + 1

    def summed(starts: range) -> Spectra:
        sums = np.zeros((len(first), len(second), n_fft // 2 + 1), np.complex128)
        product = np.empty_like(sums[0])
        for start in starts:
            windowed = spectra(first[:, start : start + block], n_fft).conj()
            extended = spectra(second[:, start : start + block + lags - 1], n_fft)
            for total, spectrum in zip(sums, windowed, strict=True):
                total += np.multiply(spectrum, extended, out=product)
        return sums

    starts = range(0, samples, block)
    shares = [starts[share :: threads()] for share in range(min(threads(), len(starts)))]
    products = np.sum(in_threads(summed, shares), axis=0)
    correlations: Floats = fft.irfft(products, n_fft)[:, :, :lags]
    return correlations


def spectra(signals: Samples, n_fft: int) -> Spectra:
    """Transform signals, padded with zeros, in double precision.

    Parameters
    ----------
    signals : ndarray, shape (..., samples)
        Not longer than `n_fft`.
    n_fft : int
        Length of the transform.

    Returns
    -------
    ndarray of complex128, shape (..., n_fft // 2 + 1)
    """
    spectrum: Spectra = fft.rfft(signals.astype(np.float64, copy=False), n_fft)
    return spectrum


def even_fast_length(samples: int) -> int:
    """Smallest even length from `samples` up for which transforms are quick.

    With an even length there is a bin at half the sample rate, which makes bins easier to
    weight.

    Parameters
    ----------
    samples : int

    Returns
    -------
    int
    """
    return 2 * int(fft.next_fast_len((samples + 1) // 2, real=True))
