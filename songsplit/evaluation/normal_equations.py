"""Least-squares filters from some signals to others, by way of their correlations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import MissingExtraError
from songsplit.evaluation.scores import Floats

try:
    from scipy import linalg
except ImportError as error:
    raise MissingExtraError("scipy", "eval") from error


class NormalEquations:
    """Equations for the filters that bring signals, filtered and summed, closest to others.

    The matrix is factorised once (Cholesky), for any number of right-hand sides.

    Parameters
    ----------
    products : ndarray of float64, shape (signals, signals, taps)
        Correlations of the signals with each other at lags from 0 up.
    """

    def __init__(self, products: Floats) -> None:
        matrix = _correlation_matrix(products)
        # Signals may be as different in level as music and the rounding error of another:
        # of equal level, neither is taken for rounding error here.
        self._scale = 1 / np.sqrt(matrix.diagonal())
        matrix *= self._scale
        matrix *= self._scale[:, np.newaxis]
        self._factor, self._kept = _factorised(matrix)
        self.rank = len(self._factor)
        """How many delayed signals there are that are not sums of others."""
        self._norm = linalg.norm(matrix[self._kept][:, self._kept], 1)

    @property
    def reciprocal_condition(self) -> float:
        """Estimate of the reciprocal condition number, signals brought to equal level."""
        value, _ = linalg.lapack.dpocon(self._factor, self._norm, uplo="L")
        return float(value)

    def solve(self, products: Floats) -> Floats:
        """Find filters.

        Parameters
        ----------
        products : ndarray of float64, shape (signals, outputs, taps)
            Correlations of the signals with the wanted outputs at lags from 0 up.

        Returns
        -------
        ndarray of float64, shape (signals, outputs, taps)
        """
        signals, outputs, taps = products.shape
        scale = self._scale[:, np.newaxis]
        right = np.moveaxis(products, 1, 2).reshape(signals * taps, outputs) * scale
        solution = np.zeros_like(right)
        solution[self._kept] = linalg.cho_solve((self._factor, True), right[self._kept])
        solution *= scale
        return np.moveaxis(solution.reshape(signals, taps, outputs), 2, 1)


def _correlation_matrix(products: Floats) -> Floats:
    """Arrange correlations so that row (i, a) and column (j, b) meet at lag a - b."""
    signals, _, taps = products.shape
    # Of signals j and i, at lags from -(taps - 1) to taps - 1: the negative ones of a pair
    # are the positive ones of the pair turned round.
    lags = np.concatenate([products[:, :, :0:-1], products.swapaxes(0, 1)], axis=2)
    blocks = np.lib.stride_tricks.sliding_window_view(lags, taps, axis=2)[:, :, ::-1]
    matrix = blocks.transpose(0, 2, 1, 3).copy().reshape(signals * taps, signals * taps)
    # As in museval. It matters for channels that are zero throughout.
    matrix.flat[:: len(matrix) + 1] += np.finfo(np.float64).eps
    return matrix


def _factorised(matrix: Floats) -> tuple[Floats, NDArray[np.intp] | slice]:
    """Give the lower Cholesky factor, and of which rows and columns it is, in order.

    The matrix has ones on its diagonal.
    """
    rounding = len(matrix) * np.finfo(np.float64).eps
    try:
        factor: Floats = linalg.cholesky(matrix, lower=True, check_finite=False)
        if factor.diagonal().min() ** 2 >= rounding:
            return factor, slice(None)
    except linalg.LinAlgError:
        pass
    # Some depend on others: vocals in mono on both channels are such a case, and common. The
    # projection is the same whichever of them are left out. To cut eigenvalues off, as a
    # pseudo-inverse does, would also take away what the weakest frequencies say.
    factor, order, rank, _ = linalg.lapack.dpstrf(matrix, tol=rounding, lower=1)
    return factor[:rank, :rank], order[:rank].astype(np.intp) - 1
