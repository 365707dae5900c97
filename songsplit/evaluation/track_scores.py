"""Score one song: group its targets, and remark on unusual audio."""

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
# In dB, for each frame of one second, and for the whole song.
METRICS = ("SDR", "ISR", "SIR", "SAR")
WHOLE_MEASURES = ("uSDR", "SI-SDR")
ALL_MEASURES = METRICS + WHOLE_MEASURES


@dataclass(frozen=True)
class TrackScores:
    """Scores of one system on one song.

    Parameters
    ----------
    frames : mapping of str to mapping of str to ndarray of float64, shape (frames,)
        SDR, ISR, SIR and SAR in dB of each second by target, NaN for seconds without a score.
        Empty if the song could not be scored.
    whole : mapping of str to mapping of str to float
        uSDR and SI-SDR in dB by target, NaN if there is none.
    remark : str
        Reasons for missing scores, and changes to the estimates; may be empty.
    """

    frames: Mapping[str, Mapping[str, Floats]]
    whole: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    remark: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """The scored targets in order."""
        return tuple(self.frames)

    def value(self, target: str, measure: str) -> float:
        """Return the SDR, ISR, SIR, SAR, uSDR or SI-SDR of a target in dB.

        The first four are medians over the seconds with a finite score; as in museval, perfect
        seconds do not count. A missing figure is NaN.
        """
        if measure in WHOLE_MEASURES:
            return self.whole.get(target, {}).get(measure, float("nan"))
        if target not in self.frames:
            return float("nan")
        return finite_median(self.frames[target][measure])


class TrackScorer:
    """Scores systems on one song: BSS Eval v4 in windows of a second, uSDR and SI-SDR.

    Targets are scored in the groups of museval, because interference depends on the other
    references of a group. Vocals and accompaniment are one group. Vocals, drums, bass and other
    are a second group, which gives the scores of the last three. Without an estimate of vocals or
    accompaniment, all targets are one group.

    If a stem is not silent but its estimate is silent throughout, the song counts with 0 dB in all
    measures. In museval it does not count, which favours systems that give no estimate.

    Parameters
    ----------
    references : mapping of str to ndarray, shape (channels, samples)
        The true stems of the song by target, such as ``vocals`` and ``accompaniment``, all with
        the same shape.
    sample_rate : int
        Rate in Hz.
    backend : {"songsplit", "museval"}, optional
        Package that computes SDR, ISR, SIR and SAR. `museval` serves to verify songsplit.

    Raises
    ------
    AudioInputError
        If shapes differ or samples are not finite.
    ConfigError
        If the backend is unknown.
    """

    def __init__(
        self,
        references: Mapping[str, Samples],
        sample_rate: int,
        *,
        backend: Backend = "songsplit",
    ) -> None:
        if backend not in get_args(Backend):
            raise ConfigError(f"unknown backend {backend!r}: use one of {get_args(Backend)}")
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
            The system's estimates by target. Targets without a reference are left out. As in
            museval, estimates longer than the references are cut at the end, and shorter ones
            are padded with zeros.

        Returns
        -------
        TrackScores
            The scores, with a remark on unusual estimates or references.

        Raises
        ------
        AudioInputError
            If there is no estimate to score, if the number of channels differs from that of the
            references, or if samples are not finite.
        MissingExtraError, DataError
            If museval is not installed, lacks the ffmpeg program or cannot score the song.
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
                # Vocals keep the scores of the first group.
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
                f"samples) = ({channels}, {samples}), like the reference"
            )
        check_stack(estimate[np.newaxis], f"the estimate of {target}")
        excess = estimate.shape[1] - samples
        if excess:
            remarks.append(
                f"estimate of {target} {abs(excess) / self._rate:.3f} s "
                + ("longer: cut at the end" if excess > 0 else "shorter: padded with zeros")
            )
        return np.pad(estimate, ((0, 0), (0, max(0, -excess))))[:, :samples]

    def _group_scores(
        self, group: Sequence[str], estimates: Mapping[str, Samples], remarks: list[str]
    ) -> Floats:
        """Return the scores of a group of targets (4, targets, frames)."""
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
        # References replace missing estimates, which do not affect the other targets.
        stand_in = {*given_up, *others}
        stack = np.stack([(self._references if n in stand_in else estimates)[n] for n in together])
        if self._backend == "museval":
            scores = museval_scores(statistics.references, stack, self._rate, self._rate)
        else:
            scores = statistics.score(stack)
            if np.isfinite(scores).any() and statistics.caution:
                remarks.append(f"ISR, SIR and SAR are unreliable: {statistics.caution}")
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
                "estimate is silent in them"
            )
        return scores


def score_track(
    references: Mapping[str, Samples],
    estimates: Mapping[str, Samples],
    sample_rate: int,
    *,
    backend: Backend = "songsplit",
) -> TrackScores:
    """Score one system on one song with a :class:`TrackScorer`.

    Parameters and errors are those of :class:`TrackScorer` and its `score`; the measures are
    defined in :mod:`songsplit.evaluation.bss_eval`.
    """
    return TrackScorer(references, sample_rate, backend=backend).score(estimates)


def museval_scores(references: Samples, estimates: Samples, window: int, hop: int) -> Floats:
    """Return SDR, ISR, SIR and SAR of the package museval (4, targets, frames).

    A DataError is raised if museval cannot score the references.
    """
    if len(references) == 1:
        raise DataError("museval cannot score a single target: add an estimate of another target")
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
            # museval 0.4.1 expects LinAlgError in a module that numpy 2.4 lacks.
            raise DataError(
                f"museval cannot score linearly dependent references ({error}): use songsplit"
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
    """Return the other references against which a single estimate is scored."""
    if len(group) > 1:
        return []
    if group[0] in TWO_TARGETS and set(TWO_TARGETS) <= set(references):
        return [target for target in TWO_TARGETS if target != group[0]]
    return [target for target in references if target not in (group[0], ACCOMPANIMENT)]
