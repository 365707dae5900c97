"""Estimates made from the true sources: between them and the mixture every mask must fall.

The ideal ratio mask shows how far one soft mask for each channel can get, the multichannel
Wiener filter how far a filter can that also knows where each source lies between the channels.

Vocals and accompaniment are two sources that make up the song. Drums, bass and other, where
they are given, are separated as three of four sources, the fourth being the vocals. Songs are
worked through in stretches of time: memory does not grow with the song.

References
----------
.. [1] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power
   spectrograms", ICASSP 2015.
.. [2] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
   campaign", LVA/ICA 2018.
.. [3] N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio
   source separation using a full-rank spatial covariance model", IEEE Trans. Audio, Speech
   and Language Processing, 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from songsplit.data.songs import BACKING_PARTS, VOCALS
from songsplit.evaluation.projections import Samples
from songsplit.evaluation.track_scores import ACCOMPANIMENT, TWO_TARGETS

N_FFT = 4096
HOP = 1024

_OVERLAP = N_FFT // HOP
_FRAMES = 64  # of a stretch
# Not songsplit.dsp.stft, which is float32 by design: a yardstick is kept exact.
_WINDOW = torch.hann_window(N_FFT, dtype=torch.float64)
# What squared periodic Hann windows add up to at these distances, at every sample.
_WINDOW_SUM = 3 / 8 * _OVERLAP

_FOUR_SOURCES = (*BACKING_PARTS, VOCALS)

# Relative level of white noise that the filter supposes in each bin, without which sources
# that are alike in all channels could not be told apart. It is shared among the sources.
_NOISE = 1e-10
_NOISE_FLOOR = 1e-30

# From the spectra of mixture and sources, (channels, frames, bins) each, those of the
# estimates of all sources but the last.
_Filter: TypeAlias = Callable[[Tensor, Sequence[Tensor]], list[Tensor]]
_MakeFilter: TypeAlias = Callable[[Sequence[Samples]], _Filter]


def ideal_ratio_mask(
    mixture: Samples, references: Mapping[str, Samples], power: float = 2.0
) -> dict[str, Samples]:
    """Filter the mixture with the soft masks made from the true sources.

    The short-time spectrum of each channel of the mixture (periodic Hann window of 4096
    samples, hop 1024) is multiplied by ``|S_j|^p / (|S_1|^p + |S_2|^p + ...)``, where S_j
    is the spectrum of the source in that channel: IRM1 and IRM2 of [2]_ for p = 1 and 2,
    after [1]_. Where all sources are zero, the mask is one divided by their number.

    `references` are vocals and accompaniment, or these and drums, bass and other, all of the
    mixture's shape (channels, samples). There is an estimate of each, of the mixture's type;
    vocals and accompaniment sum to the mixture.
    """

    def make_filter(_: Sequence[Samples]) -> _Filter:
        return lambda mixed, sources: [
            mask * mixed for mask in ratio_masks([source.abs() for source in sources], power)[:-1]
        ]

    return _estimates(mixture, references, make_filter)


def ratio_masks(magnitudes: Sequence[Tensor], power: float) -> list[Tensor]:
    """Give the share of each source, ``m_j^p / (m_1^p + m_2^p + ...)``, from magnitudes."""
    powers = [magnitude**power for magnitude in magnitudes]
    total = reduce(torch.add, powers)
    return [torch.where(total > 0, part / total, 1 / len(powers)) for part in powers]


def wiener_filter(mixture: Samples, references: Mapping[str, Samples]) -> dict[str, Samples]:
    """Filter the mixture with the multichannel Wiener filter made from the true sources.

    Under the local Gaussian model [3]_ the short-time spectrum ``s_j(f, t)`` of source j, a
    vector over the channels, has the covariance ``v_j(f, t) R_j(f)``: a power spectral
    density and a spatial covariance. Of the sum x of the sources, the best linear estimate
    of one is ``v_j R_j (v_1 R_1 + v_2 R_2 + ...)^-1 x``, which with v and R of the true
    sources is the oracle called MWF in [2]_. Here, with C channels,

    * ``v_j(f, t) = |s_j(f, t)|² / C``
    * ``R_j(f) = sum_t s_j s_j^H / sum_t v_j``: the mean over time of ``s_j s_j^H / v_j``,
      weighted by ``v_j``

    Noise at -100 dB of the local level, shared equally among the sources, keeps the inverse
    finite for sources that are alike in all channels, and for silence. Spectra, references
    and estimates are as in `ideal_ratio_mask`. Of mono sources, the filter is the ideal ratio
    mask with p = 2.
    """
    return _estimates(mixture, references, _make_wiener_filter)


def _make_wiener_filter(sources: Sequence[Samples]) -> _Filter:
    spatial = [_spatial_covariance(source) for source in sources]

    def apply(mixed: Tensor, spectra: Sequence[Tensor]) -> list[Tensor]:
        covariances = [
            _power(spectrum) * covariance
            for spectrum, covariance in zip(spectra, spatial, strict=True)
        ]
        total = reduce(torch.add, covariances)
        levels = total.diagonal().real  # (frames, bins, channels)
        noise = _NOISE * levels.mean(dim=-1) + _NOISE_FLOOR
        for channel in range(len(mixed)):
            total[channel, channel] += noise
        whitened = _solve(total, mixed)
        rest = noise / len(spectra) * whitened
        return [
            (covariance * whitened).sum(dim=1) + rest  # a matrix times a vector
            for covariance in covariances[:-1]
        ]

    return apply


def _spatial_covariance(source: Samples) -> Tensor:
    """Spatial covariance R, (channels, channels, 1, bins): the identity where there is silence."""
    channels, bins = source.shape[0], N_FFT // 2 + 1
    covariance = torch.zeros(channels, channels, 1, bins, dtype=torch.complex128)
    power = torch.zeros(bins, dtype=torch.float64)
    frames = _hops(source) + _OVERLAP - 1
    for first in range(0, frames, _FRAMES):
        spectrum = _spectrum(source, first, min(first + _FRAMES, frames))
        covariance[:, :, 0] += torch.einsum("ctf,dtf->cdf", spectrum, spectrum.conj())
        power += _power(spectrum).sum(dim=0)
    identity = torch.eye(channels, dtype=torch.complex128)[:, :, None, None]
    return torch.where(power > 0, covariance / power, identity)


def _power(spectrum: Tensor) -> Tensor:
    return (spectrum.real.square() + spectrum.imag.square()).mean(dim=0)


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    """Solve ``matrix @ x = vector`` for each frame and bin, changing `matrix`.

    Gaussian elimination, which needs no pivoting as the matrices are Hermitian and positive
    definite; for millions of tiny systems many times faster than `torch.linalg.solve`. The
    shapes are (channels, channels, frames, bins) and (channels, frames, bins).
    """
    solution = vector.clone()
    channels = len(vector)
    for k in range(channels):
        for row in range(k + 1, channels):
            factor = matrix[row, k] / matrix[k, k].real
            matrix[row, k + 1 :] -= factor * matrix[k, k + 1 :]
            solution[row] -= factor * solution[k]
    for k in reversed(range(channels)):
        known = (matrix[k, k + 1 :] * solution[k + 1 :]).sum(dim=0)
        solution[k] = (solution[k] - known) / matrix[k, k].real
    return solution


def _estimates(
    mixture: Samples, references: Mapping[str, Samples], make_filter: _MakeFilter
) -> dict[str, Samples]:
    (vocals,) = _separated(mixture, references, TWO_TARGETS, make_filter)
    estimates = {VOCALS: vocals, ACCOMPANIMENT: mixture - vocals}
    if len(references) > len(TWO_TARGETS):
        parts = _separated(mixture, references, _FOUR_SOURCES, make_filter)
        estimates |= zip(_FOUR_SOURCES, parts, strict=False)
    return {target: estimates[target] for target in references}


def _separated(
    mixture: Samples,
    references: Mapping[str, Samples],
    names: Sequence[str],
    make_filter: _MakeFilter,
) -> list[Samples]:
    sources = [references[name] for name in names]
    separate = make_filter(sources)
    estimates = [np.empty_like(mixture) for _ in sources[:-1]]
    for hop in range(0, _hops(mixture), _FRAMES):
        end = min(hop + _FRAMES, _hops(mixture))
        # Of all frames that reach into these hops.
        spectra = [_spectrum(audio, hop, end + _OVERLAP - 1) for audio in (mixture, *sources)]
        for estimate, spectrum in zip(estimates, separate(spectra[0], spectra[1:]), strict=True):
            stretch = estimate[:, hop * HOP : end * HOP]
            stretch[:] = _samples(spectrum)[:, : stretch.shape[1]].numpy()
    return estimates


def _hops(audio: Samples) -> int:
    return -(-int(audio.shape[1]) // HOP)


def _spectrum(audio: Samples, first: int, end: int) -> Tensor:
    """Short-time spectrum of frames, (channels, end - first, bins), with zeros at the ends.

    Frame t is the last one that reaches into hop t: each hop, from the first on, lies in
    frames t to t + 3.
    """
    start, stop = (first - _OVERLAP + 1) * HOP, end * HOP
    cut = audio[:, max(start, 0) : stop].astype(np.float64)
    before = max(-start, 0)
    padded = np.pad(cut, ((0, 0), (before, stop - start - before - cut.shape[1])))
    frames = torch.from_numpy(padded).unfold(-1, N_FFT, HOP)
    spectrum: Tensor = torch.fft.rfft(frames * _WINDOW)
    return spectrum


def _samples(spectrum: Tensor) -> Tensor:
    """Overlap-add frames, and give the hops that lie in four of them."""
    frames: Tensor = torch.fft.irfft(spectrum, N_FFT) * (_WINDOW / _WINDOW_SUM)
    quarters = frames.reshape(*frames.shape[:2], _OVERLAP, HOP)
    hops = frames.shape[1] - _OVERLAP + 1
    # Hop h is the last quarter of frame h and the first of frame h + 3.
    parts = [quarters[:, shift : shift + hops, _OVERLAP - 1 - shift] for shift in range(_OVERLAP)]
    samples: Tensor = reduce(torch.add, parts)
    return samples.flatten(1)
