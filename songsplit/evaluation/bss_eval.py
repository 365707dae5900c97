"""Signal-to-distortion ratios: BSS Eval v4 (images) as `museval` computes it, uSDR and SI-SDR.

In BSS Eval v4 [1]_ [2]_ an estimate of the stem s is decomposed as
``e = s + e_spat + e_interf + e_artif``. Let P_s e be the projection of e onto the reference
delayed by 0 to 511 samples (filters of 512 taps from each channel to each), and P e that onto
all references likewise:

* ``e_spat = P_s e - s``, what filters make of the reference,
* ``e_interf = P e - P_s e``, what they make of the other references,
* ``e_artif = e - P e``, the rest.

The filters are those of the whole song. In each frame, with ``|x|²`` the energy over frame, tail
of the filters and channels, the measures are in dB the ratios SDR ``|s|² / |e - s|²``,
ISR ``|s|² / |e_spat|²``, SIR ``|s + e_spat|² / |e_interf|²`` and
SAR ``|s + e_spat + e_interf|² / |e_artif|²``. SDR needs no filters (`frame_sdr`).

References
----------
.. [1] E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio
   source separation", IEEE Trans. Audio, Speech and Language Processing, 2006.
.. [2] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
   campaign", LVA/ICA 2018.
.. [3] Y. Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal
   Processing, 2022.
.. [4] J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR - half-baked or well
   done?", ICASSP 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from songsplit.errors import AudioInputError, MissingExtraError

try:
    from scipy import fft, linalg
except ImportError as error:
    raise MissingExtraError("scipy", "eval") from error

Floats: TypeAlias = NDArray[np.float64]
Samples: TypeAlias = NDArray[np.floating[Any]]
Spectra: TypeAlias = NDArray[np.complex128]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

FILTER_LENGTH = 512

_EPSILON = 1e-7  # the constant of uSDR
_MOST_CHANNELS = 64
# Music in 16 bits has some 1e-11. From 1e-13 down, as for AAC in floating point, scores fall.
_LEAST_CONDITION = 1e-12
_BLOCK = 1 << 15  # samples in float64 that fit the processor's cache
# A power of two times small primes, for which transforms are quick, and small enough for a
# handful of spectra to stay in the processor's cache.
_N_FFT = 46080
_EPS = float(np.finfo(np.float64).eps)


def frame_sdr(references: Samples, estimates: Samples, window: int, hop: int) -> Floats:
    """SDR of every frame, ``10 log10(|s|² / |s - e|²)``, equal to that of museval.

    A frame has no score (NaN) for any target when a single reference or estimate is silent
    in it: its channels sum to exactly zero at each sample. A rest at the end, shorter than a
    frame, is dropped; audio that is not longer than a frame is one frame.

    Parameters
    ----------
    references, estimates : ndarray, shape (targets, channels, samples)
        True and estimated audio.
    window, hop : int
        Length and distance of the frames in samples.

    Returns
    -------
    ndarray of float64, shape (targets, frames)
        SDR in dB, +inf where the estimate is perfect.

    Raises
    ------
    AudioInputError
        If shapes disagree or samples are not finite.
    """
    _check_pair(references, estimates)

    def score(span: slice) -> Floats:
        reference, estimate = references[:, :, span], estimates[:, :, span]
        if silent(reference).any() or silent(estimate).any():
            return np.full(len(references), np.nan)
        energy, error, _ = _energies(reference, estimate)
        with np.errstate(divide="ignore"):
            ratio: Floats = 10 * np.log10(energy / error)
        return ratio

    return np.stack(_in_threads(score, frame_spans(references.shape[2], window, hop)), axis=1)


def usdr(references: Samples, estimates: Samples) -> Floats:
    """SDR of whole songs, the measure of the Music Demixing Challenge [3]_.

    ``uSDR = 10 log10((|s|² + c) / (|s - e|² + c))`` with energies summed over the song and
    all channels, and ``c = 1e-7``. Arguments and errors are those of `frame_sdr`.

    Returns
    -------
    ndarray of float64, shape (targets,)
        uSDR in dB. It is NaN where the reference is silent (``|s|² <= c``): any estimate of
        usual level would have -88 dB there, and outweigh all other songs in a mean.
    """
    _check_pair(references, estimates)
    energy, error, _ = _energies(references, estimates)
    ratio: Floats = 10 * np.log10((energy + _EPSILON) / (error + _EPSILON))
    return np.where(energy > _EPSILON, ratio, np.nan)


def si_sdr(references: Samples, estimates: Samples) -> Floats:
    """Scale-invariant SDR of whole songs [4]_.

    ``SI-SDR = 10 log10(|a s|² / |a s - e|²)`` with ``a = <e, s> / |s|²``, the factor that
    brings the reference closest to the estimate, one for all channels. Arguments and errors
    are those of `frame_sdr`.

    Returns
    -------
    ndarray of float64, shape (targets,)
        SI-SDR in dB; +inf for a scaled copy of the reference, -inf for an estimate that has
        nothing in common with it, NaN where either of them is digital silence.
    """
    _check_pair(references, estimates)
    energy, error, common = _energies(references, estimates)
    with np.errstate(divide="ignore", invalid="ignore"):
        # With d = s - e: a s = (1 - <d, s> / |s|²) s, and the rest is the part of d that is
        # orthogonal to s. From |e|² it would be the small difference of large numbers.
        projected = (energy - common) ** 2 / energy
        rest = np.maximum(error - common**2 / energy, 0.0)
        ratio: Floats = 10 * np.log10(projected / rest)
    return ratio


def finite_median(values: Floats) -> float:
    """Median of the values, shape (n,), that are finite; NaN if none is."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


class ReferenceStatistics:
    """BSS Eval v4 of any number of estimates of the same references.

    What depends on the references alone is computed when it is first needed, and kept.

    Parameters
    ----------
    references : ndarray, shape (targets, channels, samples)
        The true stems of a song. They are kept, not copied: do not change them.
    window, hop : int
        Length and distance of the frames in samples; one second each for MUSDB18.

    Raises
    ------
    AudioInputError
        If the shape is another or samples are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=(2, 2, 24000))
    >>> statistics = ReferenceStatistics(noise, window=8000, hop=8000)
    >>> sdr, isr, sir, sar = statistics.score(0.9 * noise + 0.1 * noise[::-1])
    >>> sdr.shape
    (2, 3)
    >>> bool(np.allclose(sir, 20 * np.log10(9), atol=0.5))
    True
    """

    def __init__(self, references: Samples, window: int, hop: int) -> None:
        check_stack(references, "references")
        self._references = references
        self._window, self._hop = window, hop
        self._spans = frame_spans(references.shape[2], window, hop)
        self._own: dict[int, _NormalEquations] = {}

    @property
    def caution(self) -> str:
        """Why ISR, SIR and SAR are not to be relied on, empty if they are.

        They are not where many filters fit equally well. Channels that are copies of others, as
        of vocals in mono, do not matter.
        """
        targets, channels, samples = self._references.shape
        signals = targets * channels
        if samples < signals * FILTER_LENGTH:
            return f"the song is too short for filters of {FILTER_LENGTH} taps"
        # With the addition that the equations have for channels that are empty.
        products = self._correlations[:, :, 0] + _EPS * np.eye(signals)
        level = np.sqrt(products.diagonal())
        unlike = np.linalg.matrix_rank(products / np.outer(level, level), hermitian=True)
        if (
            self._all.rank == unlike * FILTER_LENGTH
            and self._all.reciprocal_condition >= _LEAST_CONDITION
        ):
            return ""
        return (
            "part of the spectrum of the references is empty, as after resampling or lossy coding "
            "(export them with 16 bits), or one of them is made of the others by filters"
        )

    def score(self, estimates: Samples, targets: Sequence[int] | None = None) -> Floats:
        """Score estimates.

        Parameters
        ----------
        estimates : ndarray, shape (estimated targets, channels, samples)
            Estimates of the references, or of some of them.
        targets : sequence of int, optional
            Which references are estimated, in the order of `estimates`; all by default.

        Returns
        -------
        ndarray of float64, shape (4, estimated targets, frames)
            SDR, ISR, SIR and SAR in dB, with NaN and infinity as from `frame_sdr`.
        """
        chosen = list(range(len(self._references))) if targets is None else list(targets)
        references = self._references if targets is None else self._references[chosen]
        sdr = frame_sdr(references, estimates, self._window, self._hop)
        sdr[:, self.silent_frames] = np.nan
        scored = np.flatnonzero(~np.isnan(sdr).any(axis=0))
        scores = np.full((4, *sdr.shape), np.nan)
        scores[0] = sdr
        if scored.size:
            scores[1:, :, scored] = self._filtered(estimates, chosen, scored)
        return scores

    def _filtered(self, estimates: Samples, targets: list[int], scored: NDArray[np.intp]) -> Floats:
        window = min(self._window, estimates.shape[2])
        n_fft = _even_fast_length(window + FILTER_LENGTH - 1)
        channels = estimates.shape[1]
        rows = self._references.reshape(-1, self._references.shape[2])
        products = _lagged_products(rows, estimates.reshape(-1, estimates.shape[2]), FILTER_LENGTH)
        # From all references to all estimates, and from each reference to the estimate of it.
        whole = _spectra(self._all.solve(products), n_fft)
        own = []
        for index, target in enumerate(targets):
            inputs = slice(target * channels, (target + 1) * channels)
            outputs = slice(index * channels, (index + 1) * channels)
            if target not in self._own:
                self._own[target] = _NormalEquations(self._correlations[inputs, inputs])
            own.append(_spectra(self._own[target].solve(products[inputs, outputs]), n_fft))

        def score(frame: np.intp) -> Floats:
            reference = _spectra(self._references[:, :, self._spans[frame]], n_fft)
            estimate = _spectra(estimates[:, :, self._spans[frame]], n_fft)
            return _ratios(reference, estimate, targets, whole, own)

        return np.stack(_in_threads(score, scored), axis=-1)

    @cached_property
    def _correlations(self) -> Floats:
        rows = self._references.reshape(-1, self._references.shape[2])
        return _lagged_products(rows, rows, FILTER_LENGTH)

    @cached_property
    def silent_frames(self) -> NDArray[np.bool_]:
        """In which frames a reference is silent, shape (frames,)."""
        return np.array([silent(self._references[:, :, span]).any() for span in self._spans])

    @cached_property
    def _all(self) -> _NormalEquations:
        return _NormalEquations(self._correlations)


def frame_spans(samples: int, window: int, hop: int) -> list[slice]:
    """Where the frames of a song lie; a rest shorter than a frame is dropped, as in museval."""
    if min(samples, window, hop) < 1:
        raise AudioInputError(
            f"{samples} samples in frames of {window} every {hop}: all three must be at least 1"
        )
    count = 1 if window >= samples else (samples - window) // hop + 1
    return [slice(n * hop, min(n * hop + window, samples)) for n in range(count)]


def silent(audio: Samples) -> NDArray[np.bool_]:
    """Say which targets of audio (targets, channels, samples) are silent: see `frame_sdr`."""
    silence: NDArray[np.bool_] = ~audio.sum(axis=1, dtype=np.float64).any(axis=1)
    return silence


def check_stack(audio: Samples, name: str) -> None:
    """Raise AudioInputError unless `audio` is finite floats (targets, channels, samples)."""
    # With more channels, they have been taken for samples, and no memory would suffice.
    if audio.ndim != 3 or not audio.size or audio.shape[1] > _MOST_CHANNELS:
        raise AudioInputError(
            f"{name} must have the shape (targets, channels, samples): got {audio.shape}"
        )
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioInputError(
            f"{name} must be floating point, with full scale at -1 and 1: got {audio.dtype}"
        )
    if not np.isfinite(audio).all():
        raise AudioInputError(f"{name} hold samples that are infinite or not a number")


def _check_pair(references: Samples, estimates: Samples) -> None:
    check_stack(references, "references")
    check_stack(estimates, "estimates")
    if references.shape != estimates.shape:
        raise AudioInputError(
            "references and estimates must have the same shape (targets, channels, samples): "
            f"got {references.shape} and {estimates.shape}"
        )


def _energies(references: Samples, estimates: Samples) -> Floats:
    """``|s|²``, ``|d|²`` and ``<d, s>`` of each target with ``d = s - e``, shape (3, targets)."""
    sums = np.zeros((3, len(references)))
    for start in range(0, references.shape[2], _BLOCK):
        span = slice(start, start + _BLOCK)
        s = references[:, :, span].astype(np.float64, copy=False)
        d = s - estimates[:, :, span]
        sums += [np.einsum("tcs,tcs->t", *pair) for pair in ((s, s), (d, d), (d, s))]
    return sums


def _ratios(
    reference: Spectra, estimate: Spectra, targets: list[int], whole: Spectra, own: list[Spectra]
) -> Floats:
    # Energies of |s|², |e_spat|², |s + e_spat|², |e_interf|², |P e|², |e_artif|².
    energies = np.zeros((6, len(targets)))
    sources = reference.reshape(-1, reference.shape[2])
    channels = reference.shape[1]
    for index, target in enumerate(targets):
        for channel in range(channels):
            s = reference[target, channel]
            near = _filtered_sum(reference[target], own[index][:, channel])
            far = _filtered_sum(sources, whole[:, index * channels + channel])
            parts = s, near - s, near, far - near, far, estimate[index, channel] - far
            energies[:, index] += [_energy(part) for part in parts]
    good, bad = energies[::2], energies[1::2]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Floats = 10 * np.log10(np.where(bad == 0, np.inf, good / bad))
    return ratios


def _filtered_sum(sources: Spectra, filters: Spectra) -> Spectra:
    """Filter sources and add them up; both have the shape (signals, bins)."""
    mixed: Spectra = sources[0] * filters[0]
    for source, response in zip(sources[1:], filters[1:], strict=True):
        mixed += source * response
    return mixed


def _energy(spectrum: Spectra) -> float:
    """Energy in the time domain by Parseval's theorem."""
    # All bins but the first and the last stand for two of the full spectrum. Not np.vdot,
    # which brings threads of its own.
    values = spectrum.view(np.float64)
    ends = np.square(values[[0, 1, -2, -1]]).sum()
    return float(2 * np.einsum("i,i->", values, values) - ends)


def _spectra(signals: Samples, n_fft: int) -> Spectra:
    """Transform signals, shape (..., samples), padded with zeros, in double precision."""
    spectrum: Spectra = fft.rfft(signals.astype(np.float64, copy=False), n_fft)
    return spectrum


def _even_fast_length(samples: int) -> int:
    """Smallest even length from `samples` up for which transforms are quick."""
    return 2 * int(fft.next_fast_len((samples + 1) // 2, real=True))


def _in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Apply a function to each item, in as many threads as PyTorch has been given."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(function, items))


def _lagged_products(first: Samples, second: Samples, lags: int) -> Floats:
    """Correlate signals: ``c[i, j, lag] = sum over t of first[i, t] second[j, t + lag]``."""
    samples = first.shape[1]
    # A block is correlated with one that is longer by the largest lag: what the circular
    # correlation wraps round falls on lags that are not wanted.
    n_fft = min(_N_FFT, _even_fast_length(samples + lags))
    block = n_fft - lags + 1

    def summed(starts: range) -> Spectra:
        sums = np.zeros((len(first), len(second), n_fft // 2 + 1), np.complex128)
        for start in starts:
            windowed = _spectra(first[:, start : start + block], n_fft).conj()
            extended = _spectra(second[:, start : start + block + lags - 1], n_fft)
            for total, spectrum in zip(sums, windowed, strict=True):
                total += spectrum * extended
        return sums

    starts = range(0, samples, block)
    threads = min(torch.get_num_threads(), len(starts))
    products = np.sum(_in_threads(summed, [starts[n::threads] for n in range(threads)]), axis=0)
    correlations: Floats = fft.irfft(products, n_fft)[:, :, :lags]
    return correlations


class _NormalEquations:
    """Equations for the filters that bring signals, filtered and summed, closest to others."""

    def __init__(self, products: Floats) -> None:
        # Correlations of the signals with each other.
        signals, _, taps = products.shape
        # Row (i, a) and column (j, b) meet at lag a - b. Negative lags of a pair are the
        # positive ones of the pair turned round.
        lags = np.concatenate([products[:, :, :0:-1], products.swapaxes(0, 1)], axis=2)
        blocks = np.lib.stride_tricks.sliding_window_view(lags, taps, axis=2)[:, :, ::-1]
        matrix = blocks.transpose(0, 2, 1, 3).copy().reshape(signals * taps, signals * taps)
        # As in museval. It matters for channels that are zero throughout.
        matrix.flat[:: len(matrix) + 1] += _EPS
        # Signals may differ in level as music and rounding errors do: of equal level, neither
        # is taken for a rounding error.
        self._scale = 1 / np.sqrt(matrix.diagonal())
        matrix *= self._scale
        matrix *= self._scale[:, np.newaxis]
        self._factor, self._kept = _factorised(matrix)
        self._norm = linalg.norm(matrix[self._kept][:, self._kept], 1)

    @property
    def rank(self) -> int:
        """How many delayed signals there are that are not sums of others."""
        return len(self._factor)

    @property
    def reciprocal_condition(self) -> float:
        """Estimate of the reciprocal condition number, signals brought to equal level."""
        value, _ = linalg.lapack.dpocon(self._factor, self._norm, uplo="L")
        return float(value)

    def solve(self, products: Floats) -> Floats:
        """Find filters from correlations with outputs, both (signals, outputs, taps)."""
        signals, outputs, taps = products.shape
        scale = self._scale[:, np.newaxis]
        right = np.moveaxis(products, 1, 2).reshape(signals * taps, outputs) * scale
        solution = np.zeros_like(right)
        solution[self._kept] = linalg.cho_solve((self._factor, True), right[self._kept])
        solution *= scale
        return np.moveaxis(solution.reshape(signals, taps, outputs), 2, 1)


def _factorised(matrix: Floats) -> tuple[Floats, NDArray[np.intp] | slice]:
    """Give the lower Cholesky factor of a matrix with a diagonal of ones, and its rows."""
    rounding = len(matrix) * _EPS
    try:
        factor: Floats = linalg.cholesky(matrix, lower=True, check_finite=False)
        if factor.diagonal().min() ** 2 >= rounding:
            return factor, slice(None)
    except linalg.LinAlgError:
        pass
    # Some rows depend on others, as with vocals in mono on both channels. The projection is
    # the same whichever of them are left out. A pseudo-inverse would cut off the weakest
    # frequencies too.
    factor, order, rank, _ = linalg.lapack.dpstrf(matrix, tol=rounding, lower=1)
    return factor[:rank, :rank], order[:rank].astype(np.intp) - 1
