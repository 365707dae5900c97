"""Signal-to-distortion ratios: of frames, and two of whole songs.

They differ, and are called by different names for that reason:

- **SDR** is that of BSS Eval v4: one value for every second of a song, of which the median
  is reported. Seconds in which a part is silent do not count.
- **uSDR** is one value for a whole song, as in the Music Demixing Challenges. Loud passages
  weigh more, and silent ones count with the noise that the estimate has there.
- **SI-SDR** is the same with the estimate's level left out of account.

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

from collections.abc import Iterator

import numpy as np

from songsplit.errors import AudioInputError
from songsplit.evaluation.framing import Framing, silent
from songsplit.evaluation.scores import Floats, Samples
from songsplit.evaluation.threads import in_threads

# Samples that are converted to float64 at a time: they fit the processor's cache.
_BLOCK = 1 << 15


def frame_sdr(references: Samples, estimates: Samples, window: int, hop: int) -> Floats:
    """SDR of every frame, equal to that of museval without its filters.

    In BSS Eval v4 [1]_ [2]_ the three error terms of SDR add up to the plain difference, so
    that ``SDR = 10 log10(|s|² / |s - ŝ|²)``, energies summed over the frame and all channels.

    As in museval, a frame has no score (NaN) for any target when a single reference or
    estimate is silent in it, which means that its channels sum to exactly zero at each
    sample; a rest at the end, shorter than a frame, is dropped; and audio that is not
    longer than a frame is one frame.

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
    check_pair(references, estimates)
    framing = Framing(references.shape[2], window, hop)

    def score(span: slice) -> Floats:
        reference, estimate = references[:, :, span], estimates[:, :, span]
        energy, error = np.zeros((2, len(references)))
        for s, difference in _blocks(reference, estimate):
            energy += _inner(s, s)
            error += _inner(difference, difference)
        if silent(reference).any() or silent(estimate).any():
            return np.full(len(references), np.nan)
        with np.errstate(divide="ignore"):
            ratio: Floats = 10 * np.log10(energy / error)
        return ratio

    return np.stack(in_threads(score, framing), axis=1)


def usdr(references: Samples, estimates: Samples) -> Floats:
    """SDR of whole songs, the measure of the Music Demixing Challenge [3]_.

    ``uSDR = 10 log10((|s|² + ε) / (|s - ŝ|² + ε))`` with energies summed over the song and
    all channels, and ``ε = 1e-7``, which keeps it finite for silence.

    Parameters
    ----------
    references, estimates : ndarray, shape (targets, channels, samples)
        True and estimated audio.

    Returns
    -------
    ndarray of float64, shape (targets,)
        uSDR in dB.

    Raises
    ------
    AudioInputError
        If shapes disagree or samples are not finite.
    """
    energy, error, _ = _whole(references, estimates)
    ratio: Floats = 10 * np.log10((energy + 1e-7) / (error + 1e-7))
    return ratio


def si_sdr(references: Samples, estimates: Samples) -> Floats:
    """Scale-invariant SDR of whole songs [4]_.

    ``SI-SDR = 10 log10(|a s|² / |a s - ŝ|²)`` with ``a = <ŝ, s> / |s|²``, the factor that
    brings the reference closest to the estimate; sums run over the song and all channels,
    so one factor serves for all of them.

    Parameters
    ----------
    references, estimates : ndarray, shape (targets, channels, samples)
        True and estimated audio.

    Returns
    -------
    ndarray of float64, shape (targets,)
        SI-SDR in dB; +inf for a scaled copy of the reference, -inf for an estimate that has
        nothing in common with it, NaN where the reference or the estimate is digital silence.

    Raises
    ------
    AudioInputError
        If shapes disagree or samples are not finite.
    """
    energy, error, common = _whole(references, estimates)
    with np.errstate(divide="ignore", invalid="ignore"):
        # With d = s - ŝ: a s = (1 - <d, s> / |s|²) s, and the rest is what of d lies across s.
        # From |ŝ|² it would be the small difference of large numbers.
        projected = (energy - common) ** 2 / energy
        rest = np.maximum(error - common**2 / energy, 0.0)
        ratio: Floats = 10 * np.log10(projected / rest)
    return ratio


def check_pair(references: Samples, estimates: Samples) -> None:
    """Raise AudioInputError unless both are stacks of targets of the same shape."""
    check_stack(references, "references")
    check_stack(estimates, "estimates")
    if references.shape != estimates.shape:
        raise AudioInputError(
            "references and estimates must have the same shape (targets, channels, samples): "
            f"got {references.shape} and {estimates.shape}"
        )


def check_stack(audio: Samples, name: str) -> None:
    """Raise AudioInputError unless `audio` is finite and has three dimensions."""
    if audio.ndim != 3 or not audio.size:
        raise AudioInputError(
            f"{name} must have the shape (targets, channels, samples): got {audio.shape}"
        )
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioInputError(
            f"{name} must be floating point, with full scale at -1 and 1: got {audio.dtype}"
        )
    # The sum of all is finite only if each is. Not isfinite on each: that takes longer than
    # to score.
    if not all(in_threads(_finite, audio)):
        raise AudioInputError(f"{name} hold samples that are infinite or not a number")


def _finite(audio: Samples) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(audio.sum(dtype=np.float64)))


def _whole(references: Samples, estimates: Samples) -> tuple[Floats, Floats, Floats]:
    """Give ``|s|²``, ``|d|²`` and ``<d, s>`` of each target, with ``d = s - ŝ``."""
    check_pair(references, estimates)
    sums = np.zeros((3, len(references)))
    for s, difference in _blocks(references, estimates):
        sums += _inner(s, s), _inner(difference, difference), _inner(difference, s)
    energy, error, common = sums
    return energy, error, common


def _blocks(references: Samples, estimates: Samples) -> Iterator[tuple[Floats, Floats]]:
    """Yield reference, and reference less estimate, piece by piece in double precision."""
    for start in range(0, references.shape[2], _BLOCK):
        span = slice(start, start + _BLOCK)
        reference = references[:, :, span].astype(np.float64, copy=False)
        yield reference, reference - estimates[:, :, span]


def _inner(first: Floats, second: Floats) -> Floats:
    products: Floats = np.einsum("tcs,tcs->t", first, second)
    return products
