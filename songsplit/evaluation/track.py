"""Scoring one song: which targets are scored together, and what is unusual about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from songsplit.data.songs import VOCALS
from songsplit.errors import AudioInputError, ConfigError
from songsplit.evaluation.bsseval import FILTER_LENGTH, ReferenceStatistics
from songsplit.evaluation.framing import Framing, silent
from songsplit.evaluation.kept import load_correlations, store_correlations
from songsplit.evaluation.museval_backend import NoScoresError, load_museval, museval_scores
from songsplit.evaluation.ratios import check_stack, si_sdr, usdr
from songsplit.evaluation.scores import (
    ACCOMPANIMENT,
    HOP_SECONDS,
    METRICS,
    WHOLE_MEASURES,
    WINDOW_SECONDS,
    Floats,
    Samples,
    TrackScores,
)

Backend: TypeAlias = Literal["songsplit", "museval"]


class TrackScorer:
    """Scores any number of systems on one song.

    Targets are scored in the groups that museval forms, since interference is what the other
    references of the group explain: vocals and accompaniment are one group; of vocals, drums,
    bass and other, which are another, the scores of the last three are taken. Without an
    estimate of either vocals or accompaniment all targets are one group.

    Statistics of the references are computed once for each group and serve for all systems.

    Parameters
    ----------
    references : mapping of str to ndarray, shape (channels, samples)
        The true parts of the song by target, all of one shape.
    sample_rate : int
        Samples per second.
    backend : {"songsplit", "museval"}, optional
        What computes SDR, ISR, SIR and SAR: this package, or the package `museval`, to
        certify the former.
    keep : Path, optional
        Folder that keeps correlations of the references by the hash of their samples, for
        the next time that these references are scored on.

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
        keep: Path | None = None,
    ) -> None:
        if backend not in get_args(Backend):
            raise ConfigError(f"backend {backend!r}: choose one of {get_args(Backend)}")
        if backend == "museval":
            load_museval()
        self._references = {target: np.asarray(audio) for target, audio in references.items()}
        shapes = {target: audio.shape for target, audio in self._references.items()}
        if not shapes or len(set(shapes.values())) > 1:
            raise AudioInputError(f"references must have the same shape: got {shapes}")
        for target, audio in self._references.items():
            check_stack(audio[np.newaxis], f"the reference of {target}")
        self._rate = sample_rate
        self._backend = backend
        self._keep = keep
        self._window = round(WINDOW_SECONDS * sample_rate)
        self._hop = round(HOP_SECONDS * sample_rate)
        self._statistics: dict[tuple[str, ...], ReferenceStatistics] = {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names, samples and rate of the references."""
        return audio_digest(self._references, self._rate)

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
            With a remark if estimates were cut or continued, if one is silent
            in places or throughout, if a target had to be scored by itself, if an estimate is
            perfect, and if ISR, SIR and SAR are not to be relied on.

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
            target: self._fitted(target, np.asarray(estimates[target]), remarks)
            for target in targets
        }
        frames: dict[str, dict[str, Floats]] = {}
        for group in _groups(targets):
            scores = self._group_scores(group, fitted, remarks)
            remarks += self._unscored(group, scores[0])
            for index, target in enumerate(group):
                # Vocals have their scores from the first group already.
                measures = zip(METRICS, scores[:, index], strict=True)
                frames.setdefault(target, dict(measures))
        whole = {}
        for target in targets:
            pair = self._references[target][np.newaxis], fitted[target][np.newaxis]
            values = (float(measure(*pair)[0]) for measure in (usdr, si_sdr))
            whole[target] = dict(zip(WHOLE_MEASURES, values, strict=True))
        return TrackScores(
            {target: frames[target] for target in targets}, whole, "; ".join(dict.fromkeys(remarks))
        )

    def _group_scores(
        self, group: Sequence[str], estimates: Mapping[str, Samples], remarks: list[str]
    ) -> Floats:
        """SDR, ISR, SIR and SAR of a group of targets, shape (4, targets, frames)."""
        stack = np.stack([estimates[target] for target in group])
        others = _partners(group, self._references)
        silence = [
            f"{kind} of {target}"
            for kind, parts in (("reference", self._references), ("estimate", estimates))
            for target in ((*group, *others) if kind == "reference" else group)
            if silent(parts[target][np.newaxis]).any()
        ]
        if silence:
            remarks.append(
                f"no SDR, ISR, SIR and SAR of {', '.join(group)}: {' and '.join(silence)} silent "
                "throughout (channels that sum to zero count as silent)"
            )
        if self._backend == "museval":
            return self._museval_scores(group, stack, remarks)
        if others:
            remarks.append(
                f"{group[0]} scored by itself, without an estimate of {' and '.join(others)}"
            )
        statistics = self._group_statistics((*group, *others))
        scores = statistics.score(stack, range(len(group)))
        if np.isfinite(scores).any() and statistics.caution:
            remarks.append(f"ISR, SIR and SAR are not to be relied on: {statistics.caution}")
        return scores

    def _unscored(self, group: Sequence[str], sdr: Floats) -> list[str]:
        """Tell of windows without finite scores for which the estimates are the reason."""
        framing = Framing(self._references[group[0]].shape[1], self._window, self._hop)
        sounding = [
            not any(silent(self._references[name][np.newaxis, :, span]).any() for name in group)
            for span in framing
        ]
        names, windows = ", ".join(group), f"of {len(framing)} windows"
        remarks = []
        missing = np.isnan(sdr).any(axis=0) & np.array(sounding)
        if missing.any() and not missing.all():
            remarks.append(
                f"{names}: {missing.sum()} {windows} not scored, because an estimate is silent "
                "there"
            )
        for name, values in zip(group, sdr, strict=True):
            if perfect := np.count_nonzero(values == np.inf):
                remarks.append(f"{name}: {perfect} {windows} perfect, which medians leave out")
        return remarks

    def _museval_scores(
        self, group: Sequence[str], estimates: Samples, remarks: list[str]
    ) -> Floats:
        references = np.stack([self._references[target] for target in group])
        try:
            if len(group) < 2:
                raise NoScoresError(f"museval scores nothing: {group[0]} is the only target")
            return museval_scores(references, estimates, self._window, self._hop)
        except NoScoresError as error:
            remarks.append(str(error))
            frames = len(Framing(estimates.shape[2], self._window, self._hop))
            return np.full((4, len(group), frames), np.nan)

    def _group_statistics(self, group: tuple[str, ...]) -> ReferenceStatistics:
        if group not in self._statistics:
            references = np.stack([self._references[target] for target in group])
            path = self._keep and self._keep / f"{self.digest}-{'-'.join(group)}.f64"
            signals = references.shape[0] * references.shape[1]
            shape = (signals, signals, FILTER_LENGTH)
            kept = load_correlations(path, shape) if path else None
            statistics = ReferenceStatistics(references, self._window, self._hop, kept)
            if path and kept is None:
                store_correlations(path, statistics.correlations)
            self._statistics[group] = statistics
        return self._statistics[group]

    def _fitted(self, target: str, estimate: Samples, remarks: list[str]) -> Samples:
        """Check an estimate and bring it to the length of its reference."""
        channels, samples = self._references[target].shape
        if estimate.ndim != 2 or len(estimate) != channels or not estimate.size:
            raise AudioInputError(
                f"the estimate of {target} has the shape {estimate.shape} where (channels, "
                f"samples) = ({channels}, {samples}) is due"
            )
        check_stack(estimate[np.newaxis], f"the estimate of {target}")
        difference = estimate.shape[1] - samples
        if difference == 0:
            return estimate
        seconds = abs(difference) / self._rate
        if difference > 0:
            remarks.append(f"estimate of {target} {seconds:.3f} s longer: cut at the end")
            return estimate[:, :samples]
        remarks.append(
            f"estimate of {target} {seconds:.3f} s shorter: continued with zeros, so that whole "
            "seconds that it lacks do not count"
        )
        return np.pad(estimate, ((0, 0), (0, -difference)))


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
        :mod:`songsplit.evaluation.bsseval` for the definitions.

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


def audio_digest(parts: Mapping[str, Samples], sample_rate: int) -> str:
    """Hash audio, to tell it from other audio.

    Parameters
    ----------
    parts : mapping of str to ndarray, shape (channels, samples)
        Audio by name, in any order.
    sample_rate : int
        Samples per second.

    Returns
    -------
    str
        SHA-256 over names, types, shapes, samples and rate.
    """
    digest = hashlib.sha256(str(sample_rate).encode())
    for name, audio in sorted(parts.items()):
        digest.update(f"{name} {audio.dtype.str} {audio.shape}".encode())
        digest.update(np.ascontiguousarray(audio).data)
    return digest.hexdigest()


def _groups(targets: Sequence[str]) -> list[list[str]]:
    """Sort targets into groups that are scored together, as museval does."""
    if VOCALS not in targets or ACCOMPANIMENT not in targets:
        return [list(targets)]
    parts = [target for target in targets if target != ACCOMPANIMENT]
    return [[VOCALS, ACCOMPANIMENT], *([parts] if len(parts) > 1 else [])]


def _partners(group: Sequence[str], references: Mapping[str, Samples]) -> list[str]:
    """Name what else to tell a target from that has no other estimate beside it."""
    if len(group) > 1:
        return []
    other = {VOCALS: ACCOMPANIMENT, ACCOMPANIMENT: VOCALS}.get(group[0])
    if other in references:
        return [str(other)]
    return [target for target in references if target not in (group[0], ACCOMPANIMENT)]
