"""Summing up scores over songs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from songsplit.evaluation.scores import METRICS, WHOLE_MEASURES, TrackScores

Results: TypeAlias = Mapping[str, Mapping[str, TrackScores]]
"""Scores by system and by song. The first system is the one that is judged."""

ALL_MEASURES = METRICS + WHOLE_MEASURES

MEASURES: Mapping[str, str] = {
    "SDR": (
        "signal to distortion ratio in dB, BSS Eval v4 (images): windows of 1 s, "
        "median over the windows of a song; what papers on MUSDB18 call SDR or cSDR"
    ),
    "ISR": (
        "image to spatial distortion ratio in dB, BSS Eval v4 (images): windows of 1 s, "
        "median over the windows of a song"
    ),
    "SIR": (
        "signal to interference ratio in dB, BSS Eval v4 (images): windows of 1 s, "
        "median over the windows of a song"
    ),
    "SAR": (
        "signal to artifacts ratio in dB, BSS Eval v4 (images): windows of 1 s, "
        "median over the windows of a song"
    ),
    "uSDR": (
        "one signal to distortion ratio in dB for the whole song, without windows and "
        "filters, as in the music demixing challenges; not comparable with SDR"
    ),
    "SI-SDR": (
        "scale-invariant signal to distortion ratio in dB, one for the whole song; "
        "not comparable with SDR or uSDR"
    ),
}
"""What each measure is, in words for files and reports."""

_ORDER = ("vocals", "accompaniment", "drums", "bass", "other")


def target_order(results: Results) -> tuple[str, ...]:
    """Give the targets to report, in the order to report them in.

    Parameters
    ----------
    results : mapping of str to mapping of str to TrackScores
        By system and song.

    Returns
    -------
    tuple of str
        The targets that the first system was scored in, vocals and accompaniment before
        drums, bass and other; those of all systems if the first was not scored at all.
    """
    systems = [_targets(songs.values()) for songs in results.values()]
    if not systems or systems[0]:
        return systems[0] if systems else ()
    return _targets(scores for songs in results.values() for scores in songs.values())


def extremes(songs: Mapping[str, TrackScores], target: str = "vocals") -> tuple[str, str] | None:
    """Find the best and the worst song of a system by SDR.

    Parameters
    ----------
    songs : mapping of str to TrackScores
        Scores of one system by song.
    target : str, optional
        The target whose SDR (median over frames) counts.

    Returns
    -------
    tuple of str or None
        Names of the best and of the worst song, which are the same only if a single song
        has a score; None if there is none.
    """
    sdr = {name: scores.value(target, "SDR") for name, scores in songs.items()}
    ranked = sorted((name for name in sdr if not math.isnan(sdr[name])), key=sdr.__getitem__)
    return (ranked[-1], ranked[0]) if ranked else None


def summarize(results: Results) -> dict[str, Any]:
    """Sum up scores: one figure for each song, then statistics over songs.

    The figure of a song in SDR, ISR, SIR and SAR is its median over frames; the ``median``
    over songs is then the median of medians that SiSEC 2018 reports [1]_. uSDR and SI-SDR
    are one figure for each song to begin with. Quartiles are interpolated linearly between
    songs, the default of `numpy.quantile`.

    Parameters
    ----------
    results : mapping of str to mapping of str to TrackScores
        By system and song.

    Returns
    -------
    dict
        With, for each system,

        * ``["overall"][target][measure]``: a dict with ``median``, ``mean``,
          ``lower_quartile``, ``upper_quartile`` (in dB) and ``songs``, the number of songs
          that they are taken over. Songs without a finite figure are left out.
        * ``["songs"][song][target][measure]``: the figure in dB. A song that could not be
          scored has no targets.
        * ``["remarks"][song]``: why scores are missing, or what else to know.

        Figures are rounded to 5 decimals. None stands for what is not there or infinite,
        since JSON has no such numbers.

    References
    ----------
    .. [1] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
       campaign", LVA/ICA 2018.
    """
    return {
        system: {
            "overall": {
                target: {
                    measure: _statistics(scores.value(target, measure) for scores in songs.values())
                    for measure in ALL_MEASURES
                }
                for target in _targets(songs.values())
            },
            "songs": {
                name: {
                    target: {
                        measure: finite_or_none(scores.value(target, measure))
                        for measure in ALL_MEASURES
                    }
                    for target in _targets([scores])
                }
                for name, scores in songs.items()
            },
            "remarks": {name: scores.remark for name, scores in songs.items() if scores.remark},
        }
        for system, songs in results.items()
    }


def finite_or_none(value: float) -> float | None:
    """Prepare a figure for JSON: 5 decimals, as many as museval keeps.

    Parameters
    ----------
    value : float

    Returns
    -------
    float or None
        None for what is infinite or not a number, which JSON does not have.
    """
    return round(float(value), 5) if math.isfinite(value) else None


def _targets(songs: Iterable[TrackScores]) -> tuple[str, ...]:
    found = dict.fromkeys(target for scores in songs for target in scores.targets)
    known = tuple(target for target in _ORDER if target in found)
    return known + tuple(target for target in found if target not in _ORDER)


def _statistics(values: Iterable[float]) -> dict[str, float | int | None]:
    scored = np.array([value for value in values if math.isfinite(value)])
    if not scored.size:
        nothing = dict.fromkeys(("median", "mean", "lower_quartile", "upper_quartile"))
        return {**nothing, "songs": 0}
    lower, median, upper = np.quantile(scored, [0.25, 0.5, 0.75])
    return {
        "median": finite_or_none(median),
        "mean": finite_or_none(np.mean(scored)),
        "lower_quartile": finite_or_none(lower),
        "upper_quartile": finite_or_none(upper),
        "songs": int(scored.size),
    }
