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
        SDR, ISR, SIR and SAR in dB of each second by target, NaN where a second has no score.
        Empty if the song could not be scored at all.
    whole : mapping of str to mapping of str to float
        uSDR and SI-SDR in dB by target, NaN where there is none.
    remark : str
        Why scores are missing, and what was done to the estimates; empty if there is nothing
        to say.
    """

    frames: Mapping[str, Mapping[str, Floats]]
    whole: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    remark: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets that were scored, in order."""
        return tuple(self.frames)

    def value(self, target: str, measure: str) -> float:
        """Give the figure of a target in SDR, ISR, SIR, SAR, uSDR or SI-SDR, in dB.

        Of the first four it is the median over the seconds that have a finite score: as in
        museval, perfect seconds do not count. It is NaN if there is none.
        """
        if measure in WHOLE_MEASURES:
            return self.whole.get(target, {}).get(measure, float("nan"))
        if target not in self.frames:
            return float("nan")
        return finite_median(self.frames[target][measure])


class TrackScorer:
    """Scores any number of systems on one song: BSS Eval v4 in windows of a second, uSDR, SI-SDR.

    Targets are scored in the groups that museval forms, since interference is what the other
    references of the group explain: vocals and accompaniment are one group; of vocals, drums,
    bass and other, which are another, the scores of the last three are taken. Without an
    estimate of either vocals or accompaniment all targets are one group.

    If a stem sounds and its estimate is silent throughout, the song counts with 0 dB in all
    measures. By museval's rule it would not count, which favours systems that give up on it.

    Parameters
    ----------
    references : mapping of str to ndarray, shape (channels, samples)
        The true stems of the song by target, such as ``vocals`` and ``accompaniment``, all of
        one shape.
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
        self._backend, self._rate = backend, sample_rate
        self._references = {target: np.asarray(audio) for target, audio in references.items()}
        shapes = {target: audio.shape for target, audio in self._references.items()}
        if len(set(shapes.values())) != 1:
            raise AudioInputError(f"references must have the same shape: got {shapes}")
        for target, audio in self._references.items():
            check_stack(audio[np.newaxis], f"the reference of {target}")
        self._statistics: dict[tuple[str, ...], ReferenceStatistics] = {}

    def score(self, estimates: Mapping[str, Samples]) -> TrackScores:
        """Score one system.

        Parameters
        ----------
        estimates : mapping of str to ndarray, shape (channels, samples)
            Its estimates by target. Targets without a reference are left out. As in museval,
            estimates that are longer than the references are cut at the end, and shorter
            ones are continued with zeros.

        Returns
        -------
        TrackScores
            The remark tells what is unusual about the estimates or the references.

        Raises
        ------
        AudioInputError
            If there is no estimate to score, if channels differ in number from those of the
            references, or if samples are not finite.
        MissingExtraError, DataError
            If museval is not installed, lacks the ffmpeg program or has no scores of the song.
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
            elif not fitted[target].any():
                whole[target]["SI-SDR"] = 0.0
        return TrackScores(
            {target: frames[target] for target in targets}, whole, "; ".join(dict.fromkeys(remarks))
        )

    def _fitted(self, target: str, estimate: Samples, remarks: list[str]) -> Samples:
        channels, samples = self._references[target].shape
        if estimate.ndim != 2 or len(estimate) != channels or not estimate.size:
            raise AudioInputError(
                f"the estimate of {target} has the shape {estimate.shape}: it must be (channels, "
                f"samples) = ({channels}, {samples}), as the reference"
            )
        check_stack(estimate[np.newaxis], f"the estimate of {target}")
        excess = estimate.shape[1] - samples
        if excess:
            remarks.append(
                f"estimate of {target} {abs(excess) / self._rate:.3f} s "
                + ("longer: cut at the end" if excess > 0 else "shorter: continued with zeros")
            )
        return np.pad(estimate, ((0, 0), (0, max(0, -excess))))[:, :samples]

    def _group_scores(
        self, group: Sequence[str], estimates: Mapping[str, Samples], remarks: list[str]
    ) -> Floats:
        """Score targets together, shape (4, targets, frames)."""
        others = _partners(group, self._references)
        together = (*group, *others)
        if together not in self._statistics:
            references = np.stack([self._references[target] for target in together])
            self._statistics[together] = ReferenceStatistics(references, self._rate, self._rate)
        statistics = self._statistics[together]
        names = ", ".join(group)
        if mute := _silent(self._references, together):
            remarks.append(
                f"no SDR, ISR, SIR and SAR of {names}: the reference of {', '.join(mute)} is "
                "silent throughout (channels that sum to zero count as silent)"
            )
            return np.full((4, len(group), len(statistics.silent_frames)), np.nan)
        given_up = _silent(estimates, group)
        # References stand in for missing estimates, which do not matter to the other targets.
        stand_in = {*given_up, *others}
        stack = np.stack([(self._references if n in stand_in else estimates)[n] for n in together])
        if self._backend == "museval":
            scores = museval_scores(statistics.references, stack, self._rate, self._rate)
        else:
            scores = statistics.score(stack)
            if np.isfinite(scores).any() and statistics.caution:
                remarks.append(f"ISR, SIR and SAR are not to be relied on: {statistics.caution}")
        scores = scores[:, : len(group)]
        if others:
            remarks.append(f"{names} scored without an estimate of {' and '.join(others)}")
        if given_up:
            scores[:, np.isin(group, given_up)] = np.where(statistics.silent_frames, np.nan, 0.0)
            remarks.append(
                f"the estimate of {', '.join(given_up)} is silent throughout and counts with 0 dB"
            )
        missing = np.isnan(scores[0]).any(axis=0) & ~statistics.silent_frames
        if missing.any() and not missing.all():
            remarks.append(
                f"{names}: {missing.sum()} of {len(missing)} windows not scored, because an "
                "estimate is silent there"
            )
        return scores


def score_track(
    references: Mapping[str, Samples],
    estimates: Mapping[str, Samples],
    sample_rate: int,
    *,
    backend: Backend = "songsplit",
) -> TrackScores:
    """Score one system on one song: :class:`TrackScorer` in one call.

    Parameters and errors are those of :class:`TrackScorer` and its `score`; the measures are
    defined in :mod:`songsplit.evaluation.bss_eval`.
    """
    return TrackScorer(references, sample_rate, backend=backend).score(estimates)


def museval_scores(references: Samples, estimates: Samples, window: int, hop: int) -> Floats:
    """SDR, ISR, SIR and SAR by the package museval, shape (4, targets, frames).

    A DataError says that museval has no scores of such references.
    """
    if len(references) == 1:
        raise DataError("museval scores no target by itself: give an estimate of another one")
    pair = (np.moveaxis(audio.astype(np.float64), 1, 2) for audio in (references, estimates))
    with warnings.catch_warnings():
        # museval uses scipy.fftpack, which is deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            *measures, _ = load_museval().metrics.bss_eval(
                *pair,
                window=window,
                hop=hop,
                compute_permutation=False,
                filters_len=FILTER_LENGTH,
                framewise_filters=False,
                bsseval_sources_version=False,
            )
        except (np.linalg.LinAlgError, AttributeError) as error:
            # museval 0.4.1 looks for the former in a module that numpy 2.4 does not have.
            raise DataError(
                f"museval cannot score references that depend linearly on each other ({error})"
            ) from error
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


def _silent(audio: Mapping[str, Samples], names: Sequence[str]) -> list[str]:
    return [name for name in names if silent(audio[name][np.newaxis])[0]]


def _groups(targets: Sequence[str]) -> list[list[str]]:
    if not set(TWO_TARGETS) <= set(targets):
        return [list(targets)]
    parts = [target for target in targets if target != ACCOMPANIMENT]
    return [[*TWO_TARGETS], *([parts] if len(parts) > 1 else [])]


def _partners(group: Sequence[str], references: Mapping[str, Samples]) -> list[str]:
    """Name the references that a single estimate is scored against besides its own."""
    if len(group) > 1:
        return []
    if group[0] in TWO_TARGETS and set(TWO_TARGETS) <= set(references):
        return [target for target in TWO_TARGETS if target != group[0]]
    return [target for target in references if target not in (group[0], ACCOMPANIMENT)]
