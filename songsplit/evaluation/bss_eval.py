"""Signal-to-distortion ratios: BSS Eval v4 (images) as `museval` computes it, uSDR and SI-SDR.

In BSS Eval (E. Vincent et al. 2006, version 4 by F.-R. Stöter et al. 2018) an estimate of the
stem s is decomposed as ``e = s + e_spat + e_interf + e_artif``. Let P_s e be the projection of e
onto the reference delayed by 0 to 511 samples (filters of 512 taps from each channel to each),
and P e that onto all references likewise:

* ``e_spat = P_s e - s``, what filters make of the reference,
* ``e_interf = P e - P_s e``, what they make of the other references,
* ``e_artif = e - P e``, the rest.

The filters are those of the whole song. In each frame, with ``|x|²`` the energy over frame, tail
of the filters and channels, the measures are in dB the ratios SDR ``|s|² / |e - s|²``,
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
# Music in 16 bits has some 1e-11. From 1e-13 down, as for AAC in floating point, scores fall.
_LEAST_CONDITION = 1e-12
_BLOCK = 1 << 15  # samples in float64 that fit the processor's cache


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

    return np.stack(in_threads(score, frame_spans(references.shape[2], window, hop)), axis=1)


def usdr(references: Samples, estimates: Samples) -> Floats:
    """SDR of whole songs, the measure of the Music Demixing Challenge (Y. Mitsufuji et al. 2022).

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
    """Scale-invariant SDR of whole songs (J. Le Roux et al. 2019).

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
    """

    def __init__(self, references: Samples, window: int, hop: int) -> None:
        check_stack(references, "references")
        self.references = references
        self._window, self._hop = window, hop
        self._spans = frame_spans(references.shape[2], window, hop)

    @property
    def caution(self) -> str:
        """Why ISR, SIR and SAR are not to be relied on, empty if they are.

        They are not where many filters fit equally well. Channels that are copies of others, as
        of vocals in mono, do not matter.
        """
        targets, channels, samples = self.references.shape
        signals = targets * channels
        if samples < signals * FILTER_LENGTH:
            return f"the song is too short for filters of {FILTER_LENGTH} taps"
        # With the addition that the equations have for channels that are empty.
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
            "(export them with 16 bits), or one of them is made of the others by filters"
        )

    def score(self, estimates: Samples) -> Floats:
        """Score estimates of the references, which are of the same shape.

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
        # From all references to all estimates, and from each reference to the estimate of it.
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
        """In which frames a reference is silent, shape (frames,)."""
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
    """Where the frames of a song lie; a rest shorter than a frame is dropped, as in museval."""
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


def _ratios(reference: Spectra, estimate: Spectra, whole: Spectra, own: list[Spectra]) -> Floats:
    """ISR, SIR and SAR of a frame from its spectra and those of the filters."""
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
