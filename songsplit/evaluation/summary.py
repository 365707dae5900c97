"""Summing up scores over songs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from songsplit.evaluation.scores import FIVE_TARGETS, METRICS, WHOLE_MEASURES, TrackScores

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

STATISTICS: Mapping[str, str] = {
    "overall": (
        "statistics over songs, of every system over the songs that the first system has a "
        "figure in (for each target and measure), so that systems can be compared also where "
        "the first lacks songs; where it has no figure at all, over all songs of the system"
    ),
    "overall_all_songs": (
        "the same statistics over all songs that the system itself has a figure in; not "
        "comparable between systems where songs are missing"
    ),
    "songs": "the figure of each song, of every song that the system was scored on",
}
"""What the figures of `summarize` are taken over, in words for files."""


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


def compared_songs(results: Results, target: str, measure: str) -> frozenset[str]:
    """Give the songs over which systems can be compared in a target and a measure.

    Parameters
    ----------
    results : mapping of str to mapping of str to TrackScores
        By system and song.
    target, measure : str

    Returns
    -------
    frozenset of str
        The songs that the first system has a finite figure in; if it has none, so that
        there is nothing to compare with, all songs.
    """
    judged = next(iter(results.values()), {})
    scored = frozenset(
        name for name, scores in judged.items() if math.isfinite(scores.value(target, measure))
    )
    return scored or frozenset(name for songs in results.values() for name in songs)


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

    A median over fewer songs than another, because some could not be scored, cannot be
    compared with it: the songs that are missing may be the easy or the hard ones. So the
    ``overall`` figures of all systems are taken over the songs that the first system has a
    figure in (`compared_songs`, for each target and measure).

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
          that they are taken over: those with a finite figure both of the system and of
          the first system; if the first has no figure at all, those of the system.
        * ``["overall_all_songs"]``: the same over all songs that the system itself has a
          finite figure in.
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
    targets = _targets(scores for songs in results.values() for scores in songs.values())
    compared = {
        target: {measure: compared_songs(results, target, measure) for measure in ALL_MEASURES}
        for target in targets
    }
    return {
        system: {
            "overall": {
                target: {
                    measure: _statistics(
                        scores.value(target, measure)
                        for name, scores in songs.items()
                        if name in compared[target][measure]
                    )
                    for measure in ALL_MEASURES
                }
                for target in _targets(songs.values())
            },
            "overall_all_songs": {
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


def songs_counted(systems: Mapping[str, Any]) -> list[str]:
    """Say which of the ``overall`` figures are not over all songs.

    Parameters
    ----------
    systems : mapping of str to JSON values
        What `summarize` gave.

    Returns
    -------
    list of str
        Lines of plain text; none if all figures are over all songs. Only the targets of
        the first system count, or those of all systems if it has none.
    """
    if not systems:
        return []
    judged = next(iter(systems))
    own = systems[judged]["overall"]
    total = len({song for content in systems.values() for song in content["songs"]})
    # What is said, and of which targets and measures.
    said: dict[str, dict[str, list[str]]] = {}
    for system, content in systems.items():
        for target, measures in content["overall"].items():
            if own and target not in own:
                continue
            for measure in ALL_MEASURES:
                count = measures[measure]["songs"]
                available = (own[target][measure]["songs"] if own else 0) or total
                if system != judged:
                    text = f"{system} over {_counted(count)}" if count != available else ""
                elif not count:
                    text = f"{judged} has no score, and other systems are over all their songs"
                elif count != total:
                    text = f"over the {_counted(count)} of {total} that {judged} has scores in"
                else:
                    text = ""
                if text:
                    said.setdefault(text, {}).setdefault(target, []).append(measure)
    return [
        f"{text}: "
        + ", ".join(
            f"{target} ({'all measures' if len(found) == len(ALL_MEASURES) else ', '.join(found)})"
            for target, found in targets.items()
        )
        for text, targets in said.items()
    ]


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


def _counted(songs: int) -> str:
    return f"{songs} song" if songs == 1 else f"{songs} songs"


def _targets(songs: Iterable[TrackScores]) -> tuple[str, ...]:
    found = dict.fromkeys(target for scores in songs for target in scores.targets)
    known = tuple(target for target in FIVE_TARGETS if target in found)
    return known + tuple(target for target in found if target not in FIVE_TARGETS)


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
