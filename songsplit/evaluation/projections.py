"""Least-squares filters between signals: the projections of BSS Eval."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import MissingExtraError

try:
    import torch
    from scipy import fft, linalg
except ImportError as error:
    raise MissingExtraError(error.name or "scipy", "eval") from error

Floats: TypeAlias = NDArray[np.float64]
Samples: TypeAlias = NDArray[np.floating[Any]]
Spectra: TypeAlias = NDArray[np.complex128]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# A product of small primes, for which transforms are fast, and small enough for several spectra
# to fit into the processor's cache.
_N_FFT = 46080
EPS = float(np.finfo(np.float64).eps)


def filtered_sum(sources: Spectra, filters: Spectra) -> Spectra:
    """Filter sources and add them up; both have shape (signals, bins)."""
    mixed: Spectra = sources[0] * filters[0]
    for source, response in zip(sources[1:], filters[1:], strict=True):
        mixed += source * response
    return mixed


def spectral_energy(spectrum: Spectra) -> float:
    """Return the energy in the time domain by Parseval's theorem."""
    # All bins but the first and last represent two bins of the full spectrum. np.vdot would
    # start its own threads.
    values = spectrum.view(np.float64)
    ends = np.square(values[[0, 1, -2, -1]]).sum()
    return float(2 * np.einsum("i,i->", values, values) - ends)


def spectra(signals: Samples, n_fft: int) -> Spectra:
    """Transform zero-padded signals (..., samples) in double precision."""
    spectrum: Spectra = fft.rfft(signals.astype(np.float64, copy=False), n_fft)
    return spectrum


def even_fast_length(samples: int) -> int:
    """Return the smallest even length of at least `samples` with fast transforms."""
    return 2 * int(fft.next_fast_len((samples + 1) // 2, real=True))


def in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Apply a function to each item, in as many threads as PyTorch uses."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(function, items))


def lagged_products(first: Samples, second: Samples, lags: int) -> Floats:
    """Correlate signals: ``c[i, j, lag] = sum over t of first[i, t] second[j, t + lag]``."""
    samples = first.shape[1]
    # A block is correlated with a block that is longer by the largest lag, so that circular
    # wrap-around affects only lags that are discarded.
    n_fft = min(_N_FFT, even_fast_length(samples + lags))
    block = n_fft - lags + 1

    def summed(starts: range) -> Spectra:
        sums = np.zeros((len(first), len(second), n_fft // 2 + 1), np.complex128)
        for start in starts:
            windowed = spectra(first[:, start : start + block], n_fft).conj()
            extended = spectra(second[:, start : start + block + lags - 1], n_fft)
            for total, spectrum in zip(sums, windowed, strict=True):
                total += spectrum * extended
        return sums

    starts = range(0, samples, block)
    threads = min(torch.get_num_threads(), len(starts))
    products = np.sum(in_threads(summed, [starts[n::threads] for n in range(threads)]), axis=0)
    correlations: Floats = fft.irfft(products, n_fft)[:, :, :lags]
    return correlations


class NormalEquations:
    """Normal equations of the least-squares filters from signals to other signals."""

    def __init__(self, products: Floats) -> None:
        # `products` are the correlations of the signals with each other.
        signals, _, taps = products.shape
        # Row (i, a) and column (j, b) have lag a - b. Negative lags of a pair are the positive
        # lags of the reversed pair.
        lags = np.concatenate([products[:, :, :0:-1], products.swapaxes(0, 1)], axis=2)
        blocks = np.lib.stride_tricks.sliding_window_view(lags, taps, axis=2)[:, :, ::-1]
        matrix = blocks.transpose(0, 2, 1, 3).copy().reshape(signals * taps, signals * taps)
        # As in museval; it matters for channels of zeros.
        matrix.flat[:: len(matrix) + 1] += EPS
        # Normalise the levels, so that a quiet signal is not treated as a rounding error.
        self._scale = 1 / np.sqrt(matrix.diagonal())
        matrix *= self._scale
        matrix *= self._scale[:, np.newaxis]
        self._factor, self._kept = _factorised(matrix)
        self._norm = linalg.norm(matrix[self._kept][:, self._kept], 1)

    @property
    def rank(self) -> int:
        """Number of linearly independent delayed signals."""
        return len(self._factor)

    @property
    def reciprocal_condition(self) -> float:
        """Estimate of the reciprocal condition number for signals of equal level."""
        value, _ = linalg.lapack.dpocon(self._factor, self._norm, uplo="L")
        return float(value)

    def solve(self, products: Floats) -> Floats:
        """Return filters for correlations with outputs, both (signals, outputs, taps)."""
        signals, outputs, taps = products.shape
        scale = self._scale[:, np.newaxis]
        right = np.moveaxis(products, 1, 2).reshape(signals * taps, outputs) * scale
        solution = np.zeros_like(right)
        solution[self._kept] = linalg.cho_solve((self._factor, True), right[self._kept])
        solution *= scale
        return np.moveaxis(solution.reshape(signals, taps, outputs), 2, 1)


def _factorised(matrix: Floats) -> tuple[Floats, NDArray[np.intp] | slice]:
    """Return the lower Cholesky factor of a matrix with unit diagonal, and its rows."""
    rounding = len(matrix) * EPS
    try:
        factor: Floats = linalg.cholesky(matrix, lower=True, check_finite=False)
        if factor.diagonal().min() ** 2 >= rounding:
            return factor, slice(None)
    except linalg.LinAlgError:
        pass
    # Some rows depend on others, as for mono vocals on both channels. The projection does not
    # depend on which of them are left out. A pseudo-inverse would also remove the weakest
    # frequencies.
    factor, order, rank, _ = linalg.lapack.dpstrf(matrix, tol=rounding, lower=1)
    return factor[:rank, :rank], order[:rank].astype(np.intp) - 1
