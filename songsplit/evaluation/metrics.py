"""Measures of separation quality.

`score_track` gives the four measures of BSS Eval v4 as the `museval` package computes
them, which is what papers on MUSDB18 report. `frame_sdr` gives the first of them, SDR,
without museval and some hundred times faster, and `usdr` the single figure for a whole
clip of the Music Demixing Challenge; both are fit for use after each epoch of training.

References
----------
.. [1] E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio
   source separation", IEEE Trans. Audio, Speech and Language Processing, 2006.
.. [2] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
   campaign", LVA/ICA 2018.
.. [3] Y. Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal
   Processing, 2022.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import AudioInputError, DataError, MissingExtraError

Floats: TypeAlias = NDArray[np.float64]
Samples: TypeAlias = NDArray[np.floating[Any]]

TARGETS = ("vocals", "accompaniment")
METRICS = ("SDR", "ISR", "SIR", "SAR")
WINDOW_SECONDS = 1.0
HOP_SECONDS = 1.0


@dataclass(frozen=True)
class TrackScores:
    """Scores of one system on one song.

    Parameters
    ----------
    frames : mapping of str to mapping of str to ndarray of float64, shape (frames,)
        For each target of `TARGETS` and each measure of `METRICS` the value in dB of
        every frame. NaN marks frames that cannot be scored.
    remark : str
        Why scores are missing, where that concerns the whole song; otherwise empty.
    """

    frames: Mapping[str, Mapping[str, Floats]]
    remark: str = ""

    def median(self, target: str, metric: str) -> float:
        """Median over the frames that have a finite score.

        Infinite scores (a perfect estimate) are left out as museval leaves them out.

        Parameters
        ----------
        target : str
            One of `TARGETS`.
        metric : str
            One of `METRICS`.

        Returns
        -------
        float
            The median in dB, NaN if no frame has a finite score.
        """
        return finite_median(self.frames[target][metric])


def finite_median(values: Floats) -> float:
    """Median of the values that are finite.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)

    Returns
    -------
    float
        NaN if no value is finite.
    """
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def score_track(
    references: Mapping[str, Samples], estimates: Mapping[str, Samples], sample_rate: int
) -> TrackScores:
    """Score vocals and accompaniment with museval: BSS Eval v4 over windows of one second.

    An estimate is decomposed as ``s + e_spat + e_interf + e_artif``: the reference, and
    the errors that filters of 512 taps make from the reference itself, from all references,
    and that they cannot make [1]_. With ``|x|²`` the energy over window and channels, the
    measures are ten times the decimal logarithm of

    * SDR ``|s|² / |e_spat + e_interf + e_artif|²``
    * ISR ``|s|² / |e_spat|²``
    * SIR ``|s + e_spat|² / |e_interf|²``
    * SAR ``|s + e_spat + e_interf|² / |e_artif|²``

    Parameters
    ----------
    references, estimates : mapping of str to ndarray, shape (channels, samples)
        True and estimated audio of the two `TARGETS`.
    sample_rate : int
        Samples per second.

    Returns
    -------
    TrackScores
        NaN in all frames in which a reference or an estimate is silent. If one is silent
        throughout, nothing can be scored, and if the references depend linearly on each
        other, only SDR can: the remark then says so.

    Raises
    ------
    AudioInputError
        If shapes disagree or samples are not finite.
    MissingExtraError
        If museval is not installed.
    DataError
        If museval cannot work because the ffmpeg program is missing.
    """
    museval_metrics = load_museval().metrics
    reference = _stack(references, "reference")
    estimate = _stack(estimates, "estimate")
    window = round(WINDOW_SECONDS * sample_rate)
    hop = round(HOP_SECONDS * sample_rate)
    # Serves as a check of the shapes as well.
    sdr = frame_sdr(reference, estimate, window, hop)

    silent = [
        f"{kind} of {target}"
        for kind, stack in (("reference", reference), ("estimate", estimate))
        for target, is_silent in zip(TARGETS, _silent(stack), strict=True)
        if is_silent
    ]
    nothing = np.full_like(sdr, np.nan)
    if silent:
        return _track_scores(
            (nothing,) * 4,
            f"not scored: {' and '.join(silent)} silent throughout "
            "(channels that sum to zero count as silent)",
        )
    try:
        with warnings.catch_warnings():
            # scipy.fftpack, which museval uses, may announce its end; not for our readers.
            warnings.simplefilter("ignore", DeprecationWarning)
            *measures, _ = museval_metrics.bss_eval(
                np.moveaxis(reference, 1, 2),
                np.moveaxis(estimate, 1, 2),
                window=window,
                hop=hop,
                compute_permutation=False,
                filters_len=512,
                framewise_filters=False,
                bsseval_sources_version=False,
            )
    except (np.linalg.LinAlgError, AttributeError) as error:
        # museval 0.4.1 guards against a singular system of equations by naming the
        # exception np.linalg.linalg.LinAlgError, a module that numpy 2.4 does not have.
        if isinstance(error, AttributeError) and "linalg" not in str(error):
            raise
        return _track_scores(
            (sdr, nothing, nothing, nothing),
            "only SDR scored: the references depend linearly on each other",
        )
    return _track_scores(measures, "")


def frame_sdr(references: Samples, estimates: Samples, window: int, hop: int) -> Floats:
    """SDR of every frame, equal to that of museval without its filters.

    In BSS Eval v4 the three error terms of SDR add up to the plain difference, so that
    ``SDR = 10 log10(|s|² / |s - ŝ|²)``, energies summed over the frame and all channels.

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
    _check_stacks(references, estimates)
    samples = references.shape[2]
    frames = (samples - window) // hop + 1 if window < samples else 1
    sdr = np.full((references.shape[0], frames), np.nan)
    for frame in range(frames):
        span = slice(frame * hop, frame * hop + window)
        reference = references[:, :, span].astype(np.float64)
        estimate = estimates[:, :, span].astype(np.float64)
        if _silent(reference).any() or _silent(estimate).any():
            continue
        with np.errstate(divide="ignore"):
            sdr[:, frame] = 10 * np.log10(_energy(reference) / _energy(reference - estimate))
    return sdr


def usdr(references: Samples, estimates: Samples) -> Floats:
    """SDR of whole clips, the measure of the Music Demixing Challenge [3]_.

    ``uSDR = 10 log10((|s|² + ε) / (|s - ŝ|² + ε))`` with energies summed over the clip and
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
    _check_stacks(references, estimates)
    reference = references.astype(np.float64)
    error = _energy(reference - estimates)
    ratio: Floats = 10 * np.log10((_energy(reference) + 1e-7) / (error + 1e-7))
    return ratio


def load_museval() -> Any:
    """Import museval, which is optional and needs the ffmpeg program.

    Returns
    -------
    module
        The package `museval`.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    DataError
        If the programs ffmpeg and ffprobe, which it looks for on import, are missing.
    """
    try:
        import museval
    except ImportError as error:
        raise MissingExtraError("museval", "eval") from error
    except RuntimeError as error:
        raise DataError(
            "museval needs the programs ffmpeg and ffprobe: install ffmpeg from "
            "https://ffmpeg.org or the system's packages and put it on the PATH"
        ) from error
    return museval


def _stack(audio: Mapping[str, Samples], kind: str) -> Floats:
    """Put the targets' audio into one array (targets, channels, samples)."""
    missing = [target for target in TARGETS if target not in audio]
    if missing:
        raise AudioInputError(f"no {kind} of {' and '.join(missing)}: got {sorted(audio)}")
    shapes = {target: audio[target].shape for target in TARGETS}
    if len(set(shapes.values())) != 1:
        raise AudioInputError(f"each {kind} must have the same shape: got {shapes}")
    return np.stack([audio[target].astype(np.float64) for target in TARGETS])


def _check_stacks(references: Samples, estimates: Samples) -> None:
    if references.ndim != 3 or references.shape != estimates.shape or not references.size:
        raise AudioInputError(
            "references and estimates must both have the shape (targets, channels, samples): "
            f"got {references.shape} and {estimates.shape}"
        )
    for name, audio in (("references", references), ("estimates", estimates)):
        if not np.isfinite(audio).all():
            raise AudioInputError(f"{name} hold samples that are infinite or not a number")


def _silent(audio: Samples) -> NDArray[np.bool_]:
    """Tell which targets of (targets, channels, samples) museval takes for silent."""
    silent: NDArray[np.bool_] = (audio.sum(axis=1) == 0).all(axis=1)
    return silent


def _energy(audio: Floats) -> Floats:
    energy: Floats = np.einsum("tcs,tcs->t", audio, audio)
    return energy


def _track_scores(measures: tuple[Floats, ...] | list[Floats], remark: str) -> TrackScores:
    """Sort measures, each of shape (targets, frames), by target and name."""
    return TrackScores(
        {
            target: {
                metric: values[index] for metric, values in zip(METRICS, measures, strict=True)
            }
            for index, target in enumerate(TARGETS)
        },
        remark,
    )
