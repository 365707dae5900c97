"""Estimates made from the true sources, which show how far masks and filters can get.

Vocals and accompaniment are two sources. Drums, bass and other are three of four sources, the
fourth being the vocals. Memory does not grow with the song.

References
----------
.. [1] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power
   spectrograms", ICASSP 2015.
.. [2] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
   campaign", LVA/ICA 2018.
.. [3] N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio
   source separation using a full-rank spatial covariance model", IEEE TASLP, 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from songsplit.data.songs import BACKING_PARTS, OTHER, VOCALS
from songsplit.evaluation.projections import Samples
from songsplit.evaluation.track_scores import ACCOMPANIMENT, TWO_TARGETS

N_FFT = 4096
HOP = 1024

# Samples of a stretch, and those around it, in which frames reach into it.
_STRETCH = 128 * HOP
_AROUND = N_FFT
# Not songsplit.dsp.stft, which is float32 by design: a yardstick is kept exact.
_TRANSFORM: Any = {
    "n_fft": N_FFT,
    "hop_length": HOP,
    "window": torch.hann_window(N_FFT, dtype=torch.float64),
}

# Relative level of white noise in each bin, shared equally among the sources. It keeps the inverse
# finite for sources that are alike in all channels, and for silence.
_NOISE = 1e-10
_NOISE_FLOOR = 1e-30

# From the spectra of mixture and sources, (channels, bins, frames) each, those of the
# estimates of all sources but the last.
_Filter: TypeAlias = Callable[[Tensor, Sequence[Tensor]], list[Tensor]]


def ideal_ratio_mask(
    mixture: Samples, references: Mapping[str, Samples], power: float = 2.0
) -> dict[str, Samples]:
    """Multiply the spectrum by ``|S_j|^p / (|S_1|^p + |S_2|^p + ...)`` in each channel [1]_ [2]_.

    `references` are vocals and accompaniment, or these and drums, bass and other, all of the
    mixture's shape (channels, samples). There is an estimate of each, of the mixture's type;
    vocals and accompaniment sum to the mixture.
    """

    def apply(mixed: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
        powers = [source.abs() ** power for source in sources]
        total = reduce(torch.add, powers)
        masks = [torch.where(total > 0, part / total, 1 / len(powers)) for part in powers[:-1]]
        return [mask * mixed for mask in masks]

    return _estimates(mixture, references, lambda _: apply)


def wiener_filter(mixture: Samples, references: Mapping[str, Samples]) -> dict[str, Samples]:
    """Filter the mixture with the multichannel Wiener filter, called MWF in [2]_.

    Under the local Gaussian model [3]_ the short-time spectrum ``s_j(f, t)`` of source j, a
    vector over C channels, has the covariance ``v_j(f, t) R_j(f)``. Of the sum x of the sources,
    the best linear estimate of one is ``v_j R_j (v_1 R_1 + v_2 R_2 + ...)^-1 x``, here with
    ``v_j(f, t) = |s_j(f, t)|² / C`` and ``R_j(f) = sum_t s_j s_j^H / sum_t v_j``.
    """
    return _estimates(mixture, references, _make_wiener_filter)


def _make_wiener_filter(sources: Sequence[Samples]) -> _Filter:
    spatial = [_spatial_covariance(source) for source in sources]

    def apply(mixed: Tensor, spectra: Sequence[Tensor]) -> list[Tensor]:
        covariances = [_power(s) * r for s, r in zip(spectra, spatial, strict=True)]
        total = reduce(torch.add, covariances)
        levels = total.diagonal().real  # (bins, frames, channels)
        noise = _NOISE * levels.mean(dim=-1) + _NOISE_FLOOR
        for channel in range(len(mixed)):
            total[channel, channel] += noise
        whitened = _solve(total, mixed)
        rest = noise / len(spectra) * whitened
        # A matrix times a vector.
        return [(covariance * whitened).sum(dim=1) + rest for covariance in covariances[:-1]]

    return apply


def _spatial_covariance(source: Samples) -> Tensor:
    """Give R_j, shape (channels, channels, bins, 1); identity where there is silence."""
    covariance, power = torch.zeros(()), torch.zeros(())
    # From the first frame that has a part of the song to the last.
    for start in range(-N_FFT // 2, source.shape[1] + N_FFT // 2, _STRETCH):
        around = _AROUND // HOP
        spectrum = _spectrum(source, start)[:, :, around : around + _STRETCH // HOP]
        covariance = covariance + torch.einsum("cft,dft->cdf", spectrum, spectrum.conj())
        power = power + _power(spectrum).sum(dim=-1)
    identity = torch.eye(len(source), dtype=torch.complex128)[:, :, None]
    return torch.where(power > 0, covariance / power, identity)[..., None]


def _power(spectrum: Tensor) -> Tensor:
    return (spectrum.real.square() + spectrum.imag.square()).mean(dim=0)


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    """Solve ``matrix @ x = vector`` for each frame and bin, changing `matrix`.

    Gaussian elimination, which needs no pivoting as the matrices are Hermitian and positive
    definite; for millions of tiny systems many times faster than `torch.linalg.solve`. The
    shapes are (channels, channels, bins, frames) and (channels, bins, frames).
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
    mixture: Samples,
    references: Mapping[str, Samples],
    make_filter: Callable[[Sequence[Samples]], _Filter],
) -> dict[str, Samples]:
    estimates: dict[str, Samples] = {}
    four_sources = (*BACKING_PARTS, VOCALS)
    for names in (four_sources, TWO_TARGETS) if OTHER in references else (TWO_TARGETS,):
        sources = [references[name] for name in names]
        separate = make_filter(sources)
        found = [np.empty_like(mixture) for _ in sources[:-1]]
        for start in range(0, mixture.shape[1], _STRETCH):
            spectra = [_spectrum(audio, start) for audio in (mixture, *sources)]
            for estimate, spectrum in zip(found, separate(spectra[0], spectra[1:]), strict=True):
                stretch = estimate[:, start : start + _STRETCH]
                samples = torch.istft(spectrum, **_TRANSFORM)[:, _AROUND:]
                stretch[:] = samples[:, : stretch.shape[1]].numpy()
        estimates |= zip(names, found, strict=False)
    estimates[ACCOMPANIMENT] = mixture - estimates[VOCALS]
    return {target: estimates[target] for target in references}


def _spectrum(audio: Samples, start: int) -> Tensor:
    """Short-time spectrum of a stretch and what is around it, with zeros beyond the ends."""
    first, end = start - _AROUND, start + _STRETCH + _AROUND
    cut = audio[:, max(first, 0) : end].astype(np.float64)
    before = max(-first, 0)
    padded = np.pad(cut, ((0, 0), (before, end - first - before - cut.shape[1])))
    spectrum: Tensor = torch.stft(
        torch.from_numpy(padded), **_TRANSFORM, pad_mode="constant", return_complex=True
    )
    return spectrum
