"""Estimates that need no model, between which every soft mask must fall.

The mixture as it is stands for doing nothing. The ideal ratio mask knows the true parts
and so shows how far a mask on the magnitudes of the mixture can get.

References
----------
.. [1] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power
   spectrograms", ICASSP 2015.
.. [2] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
   campaign", LVA/ICA 2018.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Samples: TypeAlias = NDArray[np.floating[Any]]

N_FFT = 4096
HOP = 1024


def mixture_as_estimates(mixture: Samples) -> dict[str, Samples]:
    """Take the mixture itself for the vocals and for the accompaniment.

    Parameters
    ----------
    mixture : ndarray, shape (channels, samples)
        The song.

    Returns
    -------
    dict of str to ndarray, shape (channels, samples)
        ``vocals`` and ``accompaniment``.
    """
    return {"vocals": mixture, "accompaniment": mixture}


def ideal_ratio_mask(
    mixture: Samples, vocals: Samples, accompaniment: Samples, power: float = 2.0
) -> dict[str, Samples]:
    """Filter the mixture with the soft mask made from the true parts.

    The short-time spectrum X of each channel of the mixture (periodic Hann window of 4096
    samples, hop 1024) is multiplied by ``|V|^p / (|V|^p + |A|^p)``, where V and A are the
    spectra of vocals and accompaniment: IRM1 and IRM2 of [2]_ for p = 1 and 2, after [1]_.

    Parameters
    ----------
    mixture, vocals, accompaniment : ndarray, shape (channels, samples)
        The song and its true parts.
    power : float, optional
        The exponent p.

    Returns
    -------
    dict of str to ndarray of float64, shape (channels, samples)
        ``vocals`` and ``accompaniment``, which sum to the mixture.
    """
    # Not songsplit.dsp.stft, which is float32 by design: a yardstick is kept exact.
    window = torch.hann_window(N_FFT, dtype=torch.float64)

    def spectrum(audio: Samples) -> Tensor:
        # Zeros, not reflection, at the ends: that also works for very short audio.
        return torch.stft(
            torch.from_numpy(audio.astype(np.float64)),
            N_FFT,
            HOP,
            window=window,
            pad_mode="constant",
            return_complex=True,
        )

    mask = ratio_mask(spectrum(vocals).abs(), spectrum(accompaniment).abs(), power)
    estimate = torch.istft(
        mask * spectrum(mixture), N_FFT, HOP, window=window, length=mixture.shape[1]
    ).numpy()
    return {"vocals": estimate, "accompaniment": mixture.astype(np.float64) - estimate}


def ratio_mask(magnitude: Tensor, other: Tensor, power: float) -> Tensor:
    """Share of `magnitude` in both: ``m^p / (m^p + o^p)``, and a half where both are 0.

    Parameters
    ----------
    magnitude, other : Tensor, the same shape
        Magnitudes of the wanted part and of the rest, not negative.
    power : float
        The exponent p.

    Returns
    -------
    Tensor
        Values from 0 to 1. The masks of the two parts sum to 1.
    """
    wanted = magnitude**power
    total = wanted + other**power
    half = torch.full_like(total, 0.5)
    return torch.where(total > 0, wanted / total, half)
