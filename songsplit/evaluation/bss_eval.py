"""Signal-to-distortion ratios: BSS Eval v4 (images) as in `museval`, uSDR and SI-SDR.

In BSS Eval (E. Vincent et al. 2006, version 4 by F.-R. Stöter et al. 2018) an estimate e of the
stem s is decomposed as ``e = s + e_spat + e_interf + e_artif``. Let P_s e be the projection of e
onto the reference delayed by 0 to 511 samples (filters of 512 taps between all channels), and P e
the same projection onto all references:

* ``e_spat = P_s e - s``, filtered copies of the reference,
* ``e_interf = P e - P_s e``, filtered copies of the other references,
* ``e_artif = e - P e``, the rest.

The filters are computed for the whole song. In each frame, with ``|x|²`` the energy over frame,
tail of the filters and channels, the measures are these ratios in dB: SDR ``|s|² / |e - s|²``,
ISR ``|s|² / |e_spat|²``, SIR ``|s + e_spat|² / |e_interf|²`` and
SAR ``|s + e_spat + e_interf|² / |e_artif|²``. SDR needs no filters (`frame_sdr`).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import AudioInputError
from songsplit.evaluation.projections import (
    EPS,
    Floats,
    NormalEquations,
    Samples,
    Spectra,
    even_fast_length,
    filtered_sum,
    in_threads,
    lagged_products,
    spectra,
    spectral_energy,
)

FILTER_LENGTH = 512

_EPSILON = 1e-7  # the constant of uSDR
_MOST_CHANNELS = 64
# 16-bit music has about 1e-11. At 1e-13 and below, as for AAC in floating point, scores fall.
_LEAST_CONDITION = 1e-12
_BLOCK = 1 << 15  # float64 samples that fit into the processor's cache


def frame_sdr(references: Samples, estimates: Samples, window: int, hop: int) -> Floats:
    """Return the SDR of every frame, ``10 log10(|s|² / |s - e|²)``, as in museval.

    If a reference or estimate is silent in a frame (its channels sum to exactly zero at each
    sample), the frame has no score (NaN) for any target. A rest shorter than a frame is dropped;
    audio no longer than a frame is one frame.

    Parameters
    ----------
    references, estimates : ndarray, shape (targets, channels, samples)
        True and estimated audio.
    window, hop : int
        Length and hop of the frames in samples.

    Returns
    -------
    ndarray of float64, shape (targets, frames)
        SDR in dB, +inf for a perfect estimate.

    Raises
    ------
    AudioInputError
        If shapes differ or samples are not finite.
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

    return np.stack(in_threads(score, frame_spans(references.shape[2], window, hop)), axis=1)


def usdr(references: Samples, estimates: Samples) -> Floats:
    """Return the SDR of whole songs (Music Demixing Challenge, Y. Mitsufuji et al. 2022).

    ``uSDR = 10 log10((|s|² + c) / (|s - e|² + c))`` with energies summed over the song and
    all channels, and ``c = 1e-7``. Arguments and errors are those of `frame_sdr`.

    Returns
    -------
    ndarray of float64, shape (targets,)
        uSDR in dB. It is NaN if the reference is silent (``|s|² <= c``), because an estimate of
        usual level would score -88 dB and outweigh all other songs in a mean.
    """
    _check_pair(references, estimates)
    energy, error, _ = _energies(references, estimates)
    ratio: Floats = 10 * np.log10((energy + _EPSILON) / (error + _EPSILON))
    return np.where(energy > _EPSILON, ratio, np.nan)


def si_sdr(references: Samples, estimates: Samples) -> Floats:
    """Return the scale-invariant SDR of whole songs (J. Le Roux et al. 2019).

    ``SI-SDR = 10 log10(|a s|² / |a s - e|²)`` with ``a = <e, s> / |s|²``, the factor that brings
    the reference closest to the estimate, the same for all channels. Arguments and errors are
    those of `frame_sdr`.

    Returns
    -------
    ndarray of float64, shape (targets,)
        SI-SDR in dB; +inf for a scaled copy of the reference, -inf for an estimate orthogonal to
        it, NaN if reference or estimate is digital silence.
    """
    _check_pair(references, estimates)
    energy, error, common = _energies(references, estimates)
    with np.errstate(divide="ignore", invalid="ignore"):
        # With d = s - e: a s = (1 - <d, s> / |s|²) s, and the rest is the part of d orthogonal to
        # s. Computed from |e|², it would be a small difference of large numbers.
        projected = (energy - common) ** 2 / energy
        rest = np.maximum(error - common**2 / energy, 0.0)
        ratio: Floats = 10 * np.log10(projected / rest)
    return ratio


def finite_median(values: Floats) -> float:
    """Return the median of the finite values of shape (n,); NaN if there are none."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


class ReferenceStatistics:
    """BSS Eval v4 of any number of estimates of the same references.

    Values that depend only on the references are computed at first use and kept.

    Parameters
    ----------
    references : ndarray, shape (targets, channels, samples)
        The true stems of a song. They are not copied: do not change them.
    window, hop : int
        Length and hop of the frames in samples; one second each for MUSDB18.

    Raises
    ------
    AudioInputError
        If the shape is invalid or samples are not finite.
    """

    def __init__(self, references: Samples, window: int, hop: int) -> None:
        check_stack(references, "references")
        self.references = references
        self._window, self._hop = window, hop
        self._spans = frame_spans(references.shape[2], window, hop)

    @property
    def caution(self) -> str:
        """Reason why ISR, SIR and SAR are unreliable, empty if they are reliable.

        They are unreliable if many filters fit equally well. Copies of channels, as in mono
        vocals, do not matter.
        """
        targets, channels, samples = self.references.shape
        signals = targets * channels
        if samples < signals * FILTER_LENGTH:
            return f"the song is too short for filters of {FILTER_LENGTH} taps"
        # The equations contain the same addition for empty channels.
        products = self._correlations[:, :, 0] + EPS * np.eye(signals)
        level = np.sqrt(products.diagonal())
        unlike = np.linalg.matrix_rank(products / np.outer(level, level), hermitian=True)
        if (
            self._all.rank == unlike * FILTER_LENGTH
            and self._all.reciprocal_condition >= _LEAST_CONDITION
        ):
            return ""
        return (
            "part of the spectrum of the references is empty, as after resampling or lossy coding "
            "(export them with 16 bits), or a reference is a filtered mix of the others"
        )

    def score(self, estimates: Samples) -> Floats:
        """Score estimates of the references, which have the same shape.

        Returns
        -------
        ndarray of float64, shape (4, targets, frames)
            SDR, ISR, SIR and SAR in dB, with NaN and infinity as from `frame_sdr`.
        """
        sdr = frame_sdr(self.references, estimates, self._window, self._hop)
        scored = np.flatnonzero(~np.isnan(sdr).any(axis=0))
        scores = np.full((4, *sdr.shape), np.nan)
        scores[0] = sdr
        if scored.size:
            scores[1:, :, scored] = self._filtered(estimates, scored)
        return scores

    def _filtered(self, estimates: Samples, scored: NDArray[np.intp]) -> Floats:
        targets, channels, samples = estimates.shape
        n_fft = even_fast_length(min(self._window, samples) + FILTER_LENGTH - 1)
        rows = self.references.reshape(-1, samples)
        products = lagged_products(rows, estimates.reshape(-1, samples), FILTER_LENGTH)
        # From all references to all estimates, and from each reference to its estimate.
        whole = spectra(self._all.solve(products), n_fft)
        pairs = products.reshape(targets, channels, targets, channels, FILTER_LENGTH)
        own = [spectra(self._each[n].solve(pairs[n, :, n]), n_fft) for n in range(targets)]

        def score(frame: np.intp) -> Floats:
            reference = spectra(self.references[:, :, self._spans[frame]], n_fft)
            estimate = spectra(estimates[:, :, self._spans[frame]], n_fft)
            return _ratios(reference, estimate, whole, own)

        return np.stack(in_threads(score, scored), axis=-1)

    @cached_property
    def _correlations(self) -> Floats:
        rows = self.references.reshape(-1, self.references.shape[2])
        return lagged_products(rows, rows, FILTER_LENGTH)

    @cached_property
    def silent_frames(self) -> NDArray[np.bool_]:
        """Whether a reference is silent in each frame, shape (frames,)."""
        return np.array([silent(self.references[:, :, span]).any() for span in self._spans])

    @cached_property
    def _all(self) -> NormalEquations:
        return NormalEquations(self._correlations)

    @cached_property
    def _each(self) -> list[NormalEquations]:
        targets, channels, _ = self.references.shape
        pairs = self._correlations.reshape(targets, channels, targets, channels, FILTER_LENGTH)
        return [NormalEquations(pairs[n, :, n]) for n in range(targets)]


def frame_spans(samples: int, window: int, hop: int) -> list[slice]:
    """Return the slices of the frames; a rest shorter than a frame is dropped, as in museval."""
    count = 1 if window >= samples else (samples - window) // hop + 1
    return [slice(n * hop, min(n * hop + window, samples)) for n in range(count)]


def silent(audio: Samples) -> NDArray[np.bool_]:
    """Return which targets of audio (targets, channels, samples) are silent, as in `frame_sdr`."""
    silence: NDArray[np.bool_] = ~audio.sum(axis=1, dtype=np.float64).any(axis=1)
    return silence


def check_stack(audio: Samples, name: str) -> None:
    """Raise AudioInputError unless `audio` is finite floats (targets, channels, samples)."""
    # More channels are most likely samples, for which the matrices would not fit into memory.
    if audio.ndim != 3 or not audio.size or audio.shape[1] > _MOST_CHANNELS:
        raise AudioInputError(
            f"{name} must have the shape (targets, channels, samples): got {audio.shape}"
        )
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioInputError(
            f"{name} must be floating point, with full scale at -1 and 1: got {audio.dtype}"
        )
    if not np.isfinite(audio).all():
        raise AudioInputError(f"{name} must be finite: samples are infinite or NaN")


def _check_pair(references: Samples, estimates: Samples) -> None:
    check_stack(references, "references")
    check_stack(estimates, "estimates")
    if references.shape != estimates.shape:
        raise AudioInputError(
            "references and estimates must have the same shape (targets, channels, samples): "
            f"got {references.shape} and {estimates.shape}"
        )


def _energies(references: Samples, estimates: Samples) -> Floats:
    """Return ``|s|²``, ``|d|²`` and ``<d, s>`` with ``d = s - e``, shape (3, targets)."""
    sums = np.zeros((3, len(references)))
    for start in range(0, references.shape[2], _BLOCK):
        span = slice(start, start + _BLOCK)
        s = references[:, :, span].astype(np.float64, copy=False)
        d = s - estimates[:, :, span]
        sums += [np.einsum("tcs,tcs->t", *pair) for pair in ((s, s), (d, d), (d, s))]
    return sums


def _ratios(reference: Spectra, estimate: Spectra, whole: Spectra, own: list[Spectra]) -> Floats:
    """Return ISR, SIR and SAR of a frame from its spectra and those of the filters."""
    targets, channels, bins = reference.shape
    # Energies of |s|², |e_spat|², |s + e_spat|², |e_interf|², |P e|², |e_artif|².
    energies = np.zeros((6, targets))
    sources = reference.reshape(-1, bins)
    for target, channel in np.ndindex(targets, channels):
        s = reference[target, channel]
        near = filtered_sum(reference[target], own[target][:, channel])
        far = filtered_sum(sources, whole[:, target * channels + channel])
        parts = s, near - s, near, far - near, far, estimate[target, channel] - far
        energies[:, target] += [spectral_energy(part) for part in parts]
    good, bad = energies[::2], energies[1::2]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Floats = 10 * np.log10(np.where(bad == 0, np.inf, good / bad))
    return ratios
