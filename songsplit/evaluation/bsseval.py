"""BSS Eval v4 (images): SDR, ISR, SIR and SAR as the package `museval` computes them.

An estimate ŝ of the part s is decomposed as ``ŝ = s + e_spat + e_interf + e_artif``. Let P_s ŝ
be the projection of ŝ onto the reference delayed by 0 to 511 samples (each channel of it, so
filters of 512 taps from each channel to each), and P ŝ that onto all references likewise:

* ``e_spat   = P_s ŝ - s``, what filtering the reference explains,
* ``e_interf = P ŝ - P_s ŝ``, what the other references explain,
* ``e_artif  = ŝ - P ŝ``, the rest.

The filters are found once for the whole song; then in each frame, with ``|x|²`` the energy
over frame, tail of the filters and channels, the measures are ten times the decimal
logarithm of

* SDR ``|s|² / |e_spat + e_interf + e_artif|²``
* ISR ``|s|² / |e_spat|²``
* SIR ``|s + e_spat|² / |e_interf|²``
* SAR ``|s + e_spat + e_interf|² / |e_artif|²``

The definitions are those of [1]_ and [2]_; what follows is our own way to the same numbers:

- SDR needs no filters, since the errors add up to the plain difference (`frame_sdr`).
- Correlations are summed up block by block over spectra (`lagged_products`), so that memory
  does not grow with the song.
- The system of normal equations is factorised once (Cholesky) for all estimates. It depends on
  the references alone, so the factors also serve for the next system that is scored.
- The energies of the projections come from spectra by Parseval's theorem: no inverse
  transform is needed.

References
----------
.. [1] E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio
   source separation", IEEE Trans. Audio, Speech and Language Processing, 2006.
.. [2] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
   campaign", LVA/ICA 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import AudioInputError
from songsplit.evaluation.correlations import Spectra, even_fast_length, lagged_products, spectra
from songsplit.evaluation.framing import Framing, silent
from songsplit.evaluation.normal_equations import NormalEquations
from songsplit.evaluation.ratios import check_stack, frame_sdr
from songsplit.evaluation.scores import Floats, Samples
from songsplit.evaluation.threads import in_threads

FILTER_LENGTH = 512

# More are samples and channels mixed up, for which no memory would suffice.
_MOST_CHANNELS = 64

# Music in 16 bits, which nearly fill the spectrum with noise, has some 1e-11. From 1e-13 down,
# as for music decoded from AAC in floating point, ISR, SIR and SAR are many dB lower.
_LEAST_CONDITION = 1e-12


class ReferenceStatistics:
    """All of BSS Eval v4 that depends on the references alone, for scoring many estimates.

    Correlations and factors are computed when they are first needed and then kept.

    Parameters
    ----------
    references : ndarray, shape (targets, channels, samples)
        The true parts of a song. They are kept, not copied: do not change them.
    window, hop : int
        Length and distance of the frames in samples; one second each for MUSDB18.
    correlations : ndarray of float64, optional
        `correlations` of an earlier object with the same references, which then need not
        be computed again.

    Raises
    ------
    AudioInputError
        If a shape is another, there are no samples, or some are not finite.

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

    def __init__(
        self, references: Samples, window: int, hop: int, correlations: Floats | None = None
    ) -> None:
        check_stack(references, "references")
        self._references = references
        self._framing = Framing(references.shape[2], window, hop)
        self._own: dict[int, NormalEquations] = {}
        if references.shape[1] > _MOST_CHANNELS:
            raise AudioInputError(
                f"references of {references.shape[1]} channels: the shape must be (targets, "
                "channels, samples)"
            )
        self._signals = references.shape[0] * references.shape[1]
        shape = (self._signals, self._signals, FILTER_LENGTH)
        if correlations is not None and correlations.shape != shape:
            raise AudioInputError(
                f"correlations of other references: shape {correlations.shape}, not {shape}"
            )
        self._correlations = correlations

    @property
    def correlations(self) -> Floats:
        """Correlations of all channels at lags from 0 to 511, shape (channels, channels, 512)."""
        if self._correlations is None:
            rows = _rows(self._references)
            self._correlations = lagged_products(rows, rows, FILTER_LENGTH)
        return self._correlations

    @property
    def caution(self) -> str:
        """Why ISR, SIR and SAR are not to be relied on, empty if they are.

        A song can be shorter than all filters together, or a reference another one filtered
        or delayed: the projections then have many values. Channels that are copies of others,
        as of vocals in mono, do not matter. Where a part of the spectrum is empty, filters
        take any value there, to which the edges of the frames add what they make of it.
        """
        if self._framing.samples < self._signals * FILTER_LENGTH:
            return f"the song is too short for filters of {FILTER_LENGTH} taps"
        # With the addition that the equations have for channels that are empty.
        products = self.correlations[:, :, 0] + np.finfo(np.float64).eps * np.eye(self._signals)
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
            SDR, ISR, SIR and SAR in dB. All are NaN in frames in which any reference or
            estimate is silent (see :func:`songsplit.evaluation.framing.silent`), and +inf
            where the energy of the error is zero.

        Raises
        ------
        AudioInputError
            If shapes disagree or samples are not finite.
        """
        chosen = list(range(len(self._references))) if targets is None else list(targets)
        sdr = frame_sdr(
            self._references[chosen] if targets is not None else self._references,
            estimates,
            self._framing.window,
            self._framing.hop,
        )
        sdr[:, self._silent_frames] = np.nan
        scored = np.flatnonzero(~np.isnan(sdr).any(axis=0))
        scores = np.full((4, *sdr.shape), np.nan)
        scores[0] = sdr
        if scored.size:
            scores[1:, :, scored] = self._filtered(estimates, chosen, scored)
        return scores

    def _filtered(self, estimates: Samples, targets: list[int], scored: NDArray[np.intp]) -> Floats:
        """ISR, SIR and SAR of some frames, shape (3, estimated targets, frames)."""
        window = min(self._framing.window, estimates.shape[2])
        n_fft = even_fast_length(window + FILTER_LENGTH - 1)
        filters = self._filters(estimates, targets, n_fft)
        spans = list(self._framing)

        def score(frame: np.intp) -> Floats:
            reference = spectra(self._references[:, :, spans[frame]], n_fft)
            estimate = spectra(estimates[:, :, spans[frame]], n_fft)
            return _ratios(reference, estimate, targets, filters)

        return np.stack(in_threads(score, scored), axis=-1)

    def _filters(self, estimates: Samples, targets: list[int], n_fft: int) -> _Filters:
        """Find the filters that bring the references closest to each estimate."""
        channels = estimates.shape[1]
        products = lagged_products(_rows(self._references), _rows(estimates), FILTER_LENGTH)
        whole = self._all.solve(products)
        own = []
        for index, target in enumerate(targets):
            inputs = slice(target * channels, (target + 1) * channels)
            outputs = slice(index * channels, (index + 1) * channels)
            own.append(self._equations(target).solve(products[inputs, outputs]))
        return _Filters(spectra(whole, n_fft), spectra(np.stack(own), n_fft))

    @cached_property
    def _silent_frames(self) -> NDArray[np.bool_]:
        return np.array([silent(self._references[:, :, span]).any() for span in self._framing])

    @cached_property
    def _all(self) -> NormalEquations:
        return NormalEquations(self.correlations)

    def _equations(self, target: int) -> NormalEquations:
        """Give the normal equations of one reference by itself."""
        if target not in self._own:
            channels = self._references.shape[1]
            rows = slice(target * channels, (target + 1) * channels)
            self._own[target] = NormalEquations(self.correlations[rows, rows])
        return self._own[target]


@dataclass(frozen=True)
class _Filters:
    """Spectra of the filters from references to estimates.

    `whole` has the shape (references x channels, estimates x channels, bins), `own`, from each
    reference to the estimate of it, (estimates, channels, channels, bins).
    """

    whole: Spectra
    own: Spectra


def _rows(audio: Samples) -> Samples:
    return audio.reshape(-1, audio.shape[2])


def _ratios(reference: Spectra, estimate: Spectra, targets: list[int], filters: _Filters) -> Floats:
    """ISR, SIR and SAR, shape (3, estimates), of one frame.

    Its spectra have the shape (targets, channels, bins).
    """
    # Energies of |s|², |e_spat|², |s + e_spat|², |e_interf|², |P ŝ|², |e_artif|².
    energies = np.zeros((6, len(targets)))
    sources = reference.reshape(-1, reference.shape[2])
    channels = reference.shape[1]
    for index, target in enumerate(targets):
        for channel in range(channels):
            s = reference[target, channel]
            own = _mixed(reference[target], filters.own[index, :, channel])
            whole = _mixed(sources, filters.whole[:, index * channels + channel])
            parts = s, own - s, own, whole - own, whole, estimate[index, channel] - whole
            energies[:, index] += [_energy(part) for part in parts]
    good, bad = energies[::2], energies[1::2]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Floats = 10 * np.log10(np.where(bad == 0, np.inf, good / bad))
    return ratios


def _mixed(sources: Spectra, filters: Spectra) -> Spectra:
    """Filter sources and add them up; both have the shape (signals, bins)."""
    mixed: Spectra = sources[0] * filters[0]
    product = np.empty_like(mixed)
    for source, response in zip(sources[1:], filters[1:], strict=True):
        mixed += np.multiply(source, response, out=product)
    return mixed


def _energy(spectrum: Spectra) -> float:
    """Energy in the time domain by Parseval's theorem, up to the length of the transform.

    All bins but the first and the last stand for two of the full spectrum. Not np.vdot, which
    brings threads of its own.
    """
    values = spectrum.view(np.float64)
    ends = np.square(values[[0, 1, -2, -1]]).sum()
    return float(2 * np.einsum("i,i->", values, values) - ends)
