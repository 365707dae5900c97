"""Scoring one song: which targets are scored together, and what is unusual about them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from songsplit.data.songs import BACKING_PARTS, VOCALS
from songsplit.errors import AudioInputError, ConfigError, DataError, MissingExtraError
from songsplit.evaluation.bss_eval import (
    FILTER_LENGTH,
    ReferenceStatistics,
    check_stack,
    finite_median,
    si_sdr,
    silent,
    usdr,
)
from songsplit.evaluation.projections import Floats, Samples

Backend: TypeAlias = Literal["songsplit", "museval"]

ACCOMPANIMENT = "accompaniment"
TWO_TARGETS = (VOCALS, ACCOMPANIMENT)
FIVE_TARGETS = (*TWO_TARGETS, *BACKING_PARTS)
# In dB: of each frame of a second, and of the whole song.
METRICS = ("SDR", "ISR", "SIR", "SAR")
WHOLE_MEASURES = ("uSDR", "SI-SDR")
ALL_MEASURES = METRICS + WHOLE_MEASURES


@dataclass(frozen=True)
class TrackScores:
    """Scores of one system on one song.

    Parameters
    ----------
    frames : mapping of str to mapping of str to ndarray of float64, shape (frames,)
        For each target that was scored and each of SDR, ISR, SIR and SAR the value in dB of
        every frame of a second. NaN marks frames that cannot be scored. Empty if the song
        could not be scored at all.
    whole : mapping of str to mapping of str to float
        For each target that was scored uSDR and SI-SDR in dB, NaN where they cannot be
        computed.
    remark : str
        What a reader must know: why scores are missing, or what was done to the estimates
        before they were scored. Otherwise empty.
    """

    frames: Mapping[str, Mapping[str, Floats]]
    whole: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    remark: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets that were scored, in order."""
        return tuple(self.frames)

    def value(self, target: str, measure: str) -> float:
        """Give the figure of the song in one measure.

        Parameters
        ----------
        target : str
            A target, scored or not.
        measure : str
            SDR, ISR, SIR or SAR, of which the median over the frames that have a finite score
            is taken (infinite ones, of a perfect estimate, are left out as museval leaves
            them out), or uSDR or SI-SDR.

        Returns
        -------
        float
            The figure in dB, NaN if there is none.
        """
        if measure in WHOLE_MEASURES:
            return self.whole.get(target, {}).get(measure, float("nan"))
        if target not in self.frames:
            return float("nan")
        return finite_median(self.frames[target][measure])


class TrackScorer:
    """Scores any number of systems on one song.

    Targets are scored in the groups that museval forms, since interference is what the other
    references of the group explain: vocals and accompaniment are one group; of vocals, drums,
    bass and other, which are another, the scores of the last three are taken. Without an
    estimate of either vocals or accompaniment all targets are one group.

    A song whose stem sounds and whose estimate is silent throughout counts with 0 dB in SDR,
    ISR, SIR and SAR: museval gives no scores there, and a system that gives up on hard songs
    would have better medians.

    Parameters
    ----------
    references : mapping of str to ndarray, shape (channels, samples)
        The true stems of the song by target, all of one shape.
    sample_rate : int
        Samples per second.
    backend : {"songsplit", "museval"}, optional
        What computes SDR, ISR, SIR and SAR: this package, or the package `museval`, to
        certify the former.

    Raises
    ------
    AudioInputError
        If shapes disagree or samples are not finite.
    ConfigError
        If there is no such backend.
    MissingExtraError, DataError
        If museval is to compute and is not installed, or lacks the ffmpeg program.
    """

    def __init__(
        self,
        references: Mapping[str, Samples],
        sample_rate: int,
        *,
        backend: Backend = "songsplit",
    ) -> None:
        if backend not in get_args(Backend):
            raise ConfigError(f"backend {backend!r}: choose one of {get_args(Backend)}")
        self._museval = load_museval() if backend == "museval" else None
        self._references = {target: np.asarray(audio) for target, audio in references.items()}
        shapes = {target: audio.shape for target, audio in self._references.items()}
        if not shapes or len(set(shapes.values())) > 1:
            raise AudioInputError(f"references must have the same shape: got {shapes}")
        for target, audio in self._references.items():
            check_stack(audio[np.newaxis], f"the reference of {target}")
        self._rate = sample_rate
        self._statistics: dict[tuple[str, ...], ReferenceStatistics] = {}

    def score(self, estimates: Mapping[str, Samples]) -> TrackScores:
        """Score one system.

        Parameters
        ----------
        estimates : mapping of str to ndarray, shape (channels, samples)
            Its estimates by target. Targets without a reference are left out. Estimates that
            are longer than the references are cut at the end, shorter ones are continued
            with zeros, as in museval.

        Returns
        -------
        TrackScores
            With a remark if estimates were cut or continued, if one is silent in places or
            throughout, if a target had to be scored by itself, if an estimate is perfect,
            and if ISR, SIR and SAR are not to be relied on.

        Raises
        ------
        AudioInputError
            If there is no estimate to score, if channels differ in number from those of the
            references, or if samples are not finite.
        """
        targets = [target for target in self._references if target in estimates]
        if not targets:
            raise AudioInputError(
                f"no estimate of {' or '.join(self._references)}: got {sorted(estimates)}"
            )
        remarks: list[str] = []
        fitted = {
            name: self._fitted(name, np.asarray(estimates[name]), remarks) for name in targets
        }
        frames: dict[str, dict[str, Floats]] = {}
        for group in _groups(targets):
            scores = self._group_scores(group, fitted, remarks)
            for index, target in enumerate(group):
                # Vocals keep their scores from the first group.
                frames.setdefault(target, dict(zip(METRICS, scores[:, index], strict=True)))
        whole = {}
        for target in targets:
            pair = self._references[target][np.newaxis], fitted[target][np.newaxis]
            whole[target] = {"uSDR": float(usdr(*pair)[0]), "SI-SDR": float(si_sdr(*pair)[0])}
            if np.isnan(whole[target]["uSDR"]):
                remarks.append(f"no uSDR of {target}: its reference is silent")
        return TrackScores(
            {target: frames[target] for target in targets}, whole, "; ".join(dict.fromkeys(remarks))
        )

    def _group_scores(
        self, group: Sequence[str], estimates: Mapping[str, Samples], remarks: list[str]
    ) -> Floats:
        others = _partners(group, self._references)
        together = (*group, *others)
        if together not in self._statistics:
            references = np.stack([self._references[target] for target in together])
            self._statistics[together] = ReferenceStatistics(references, self._rate, self._rate)
        statistics = self._statistics[together]
        scores = np.full((4, len(group), len(statistics.silent_frames)), np.nan)
        names = ", ".join(group)
        mute = [name for name in together if _mute(self._references[name])]
        if mute:
            remarks.append(
                f"no SDR, ISR, SIR and SAR of {names}: the reference of {', '.join(mute)} is "
                "silent throughout (channels that sum to zero count as silent)"
            )
            return scores
        given_up = [index for index, name in enumerate(group) if _mute(estimates[name])]
        if given_up:
            scores[:, given_up] = np.where(statistics.silent_frames, np.nan, 0.0)
            remarks.append(
                f"the estimate of {', '.join(group[index] for index in given_up)} is silent "
                "throughout and counts with 0 dB"
            )
        chosen = [index for index in range(len(group)) if index not in given_up]
        if not chosen:
            return scores
        stack = np.stack([estimates[group[index]] for index in chosen])
        if self._museval is not None:
            scores[:, chosen] = self._museval_scores(group, chosen, stack, remarks)
        else:
            if others:
                remarks.append(f"{names} scored without an estimate of {' and '.join(others)}")
            scores[:, chosen] = statistics.score(stack, chosen)
            if np.isfinite(scores[:, chosen]).any() and statistics.caution:
                remarks.append(f"ISR, SIR and SAR are not to be relied on: {statistics.caution}")
        frames = scores.shape[2]
        missing = np.isnan(scores[0, chosen]).any(axis=0) & ~statistics.silent_frames
        if missing.any() and not missing.all():
            remarks.append(
                f"{names}: {missing.sum()} of {frames} windows not scored, because an estimate is "
                "silent there"
            )
        for name, values in zip(group, scores[0], strict=True):
            if perfect := np.count_nonzero(values == np.inf):
                remarks.append(
                    f"{name}: {perfect} of {frames} windows perfect, which medians leave out"
                )
        return scores

    def _museval_scores(
        self, group: Sequence[str], chosen: list[int], stack: Samples, remarks: list[str]
    ) -> Floats:
        if len(chosen) < 2:
            remarks.append(f"museval scores nothing: {group[chosen[0]]} is the only target")
            return np.full((4, 1, 1), np.nan)
        references = np.stack([self._references[group[index]] for index in chosen])
        try:
            return museval_scores(self._museval, references, stack, self._rate, self._rate)
        except np.linalg.LinAlgError as error:
            remarks.append(f"museval scores nothing: {error}")
            return np.full((4, 1, 1), np.nan)

    def _fitted(self, target: str, estimate: Samples, remarks: list[str]) -> Samples:
        channels, samples = self._references[target].shape
        if estimate.ndim != 2 or len(estimate) != channels or not estimate.size:
            raise AudioInputError(
                f"the estimate of {target} has the shape {estimate.shape}: it must be (channels, "
                f"samples) = ({channels}, {samples}), as the reference"
            )
        check_stack(estimate[np.newaxis], f"the estimate of {target}")
        difference = estimate.shape[1] - samples
        seconds = abs(difference) / self._rate
        if difference > 0:
            remarks.append(f"estimate of {target} {seconds:.3f} s longer: cut at the end")
            return estimate[:, :samples]
        if difference < 0:
            remarks.append(
                f"estimate of {target} {seconds:.3f} s shorter: continued with zeros, so that "
                "whole seconds that it lacks do not count"
            )
            return np.pad(estimate, ((0, 0), (0, -difference)))
        return estimate


def score_track(
    references: Mapping[str, Samples],
    estimates: Mapping[str, Samples],
    sample_rate: int,
    *,
    backend: Backend = "songsplit",
) -> TrackScores:
    """Score one system on one song: BSS Eval v4 over windows of one second, uSDR and SI-SDR.

    Parameters
    ----------
    references, estimates : mapping of str to ndarray, shape (channels, samples)
        True and estimated audio by target, such as ``vocals`` and ``accompaniment``.
    sample_rate : int
        Samples per second.
    backend : {"songsplit", "museval"}, optional
        What computes SDR, ISR, SIR and SAR.

    Returns
    -------
    TrackScores
        See :class:`TrackScorer` for what is scored together and how lengths are matched, and
        :mod:`songsplit.evaluation.bss_eval` for the definitions.

    Raises
    ------
    AudioInputError
        If shapes disagree or samples are not finite.
    MissingExtraError
        If a package is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from songsplit.evaluation import score_track
    >>> noise = np.random.default_rng(0).normal(size=(2, 2, 24000))
    >>> references = {"vocals": noise[0], "accompaniment": noise[1]}
    >>> estimates = {"vocals": noise[0] + 0.1 * noise[1], "accompaniment": 0.9 * noise[1]}
    >>> scores = score_track(references, estimates, 8000)
    >>> round(scores.value("vocals", "SDR")), round(scores.value("accompaniment", "SI-SDR")) > 100
    (20, True)
    """
    return TrackScorer(references, sample_rate, backend=backend).score(estimates)


def museval_scores(
    museval: Any, references: Samples, estimates: Samples, window: int, hop: int
) -> Floats:
    """SDR, ISR, SIR and SAR by the package museval, shape (4, targets, frames)."""
    try:
        with warnings.catch_warnings():
            # scipy.fftpack, which museval uses, may announce its end; not for our readers.
            warnings.simplefilter("ignore", DeprecationWarning)
            *measures, _ = museval.metrics.bss_eval(
                np.moveaxis(references.astype(np.float64), 1, 2),
                np.moveaxis(estimates.astype(np.float64), 1, 2),
                window=window,
                hop=hop,
                compute_permutation=False,
                filters_len=FILTER_LENGTH,
                framewise_filters=False,
                bsseval_sources_version=False,
            )
    except AttributeError as error:
        # museval 0.4.1 guards against a singular system of equations by naming the
        # exception np.linalg.linalg.LinAlgError, a module that numpy 2.4 does not have.
        if "linalg" not in str(error):
            raise
        raise np.linalg.LinAlgError("the references depend linearly on each other") from error
    return np.stack(measures)


def load_museval() -> Any:
    """Import museval, which is optional and needs the ffmpeg program."""
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


def _mute(audio: Samples) -> bool:
    return bool(silent(audio[np.newaxis])[0])


def _groups(targets: Sequence[str]) -> list[list[str]]:
    if VOCALS not in targets or ACCOMPANIMENT not in targets:
        return [list(targets)]
    parts = [target for target in targets if target != ACCOMPANIMENT]
    return [[VOCALS, ACCOMPANIMENT], *([parts] if len(parts) > 1 else [])]


def _partners(group: Sequence[str], references: Mapping[str, Samples]) -> list[str]:
    """Name the references that a single estimate is scored against besides its own."""
    if len(group) > 1:
        return []
    other = {VOCALS: ACCOMPANIMENT, ACCOMPANIMENT: VOCALS}.get(group[0])
    if other in references:
        return [str(other)]
    return [target for target in references if target not in (group[0], ACCOMPANIMENT)]
