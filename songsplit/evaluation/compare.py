"""Comparing two systems on the songs that both were scored on.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall,
   1993, chapter 13 (percentile intervals).
.. [2] F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin, 1945.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from songsplit.errors import DataError, MissingExtraError
from songsplit.evaluation.scores import Floats
from songsplit.evaluation.summary import ALL_MEASURES

_RESAMPLES = 10_000
_SEED = 0
# With fewer, neither an interval nor a test says anything.
_MIN_PAIRS = 3


@dataclass(frozen=True)
class PairedDifference:
    """What B has over A in one measure, over the songs that have a score in both.

    Parameters
    ----------
    target, measure : str
    by_song : mapping of str to float
        B - A of each song in dB.
    median, mean : float or None
        Of these differences, in dB. None where there is no pair.
    interval : tuple of float or None
        95 % bootstrap interval of the mean [1]_ (percentiles of the means of 10 000
        resamples of the songs, always the same ones). Of few songs, some ten or less, it is
        narrower than it should be. None with fewer than 3 pairs.
    p : float or None
        Two-sided p value of the Wilcoxon signed-rank test [2]_ of songs with a difference.
        None if fewer than 3 songs differ. It is that of this measure alone and not
        corrected for the number of measures and targets that are looked at.
    wins, losses, ties : int
        Songs in which B is better than A, worse, and equal to within 1e-5 dB.
    missing_first, missing_second : tuple of str
        Songs of the comparison that have no score in A, or in B, and so do not count here.
        The figure of a perfect estimate is infinite and counts as none.
    """

    target: str
    measure: str
    by_song: Mapping[str, float]
    median: float | None
    mean: float | None
    interval: tuple[float, float] | None
    p: float | None
    wins: int
    losses: int
    ties: int
    missing_first: tuple[str, ...]
    missing_second: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """Number of songs that have a score in both."""
        return len(self.by_song)


@dataclass(frozen=True)
class Comparison:
    """Two systems, A and B, on the same songs.

    Parameters
    ----------
    first, second : str
        Names of the systems A and B.
    first_file, second_file : str
        The summaries that they come from.
    first_backend, second_backend : str or None
        What computed SDR, ISR, SIR and SAR; None where the summary does not tell.
    songs : tuple of str
        Songs that were scored in both.
    only_first, only_second : tuple of str
        Songs that were scored in A or B alone, and so do not count.
    unscored : tuple of str
        Songs of A or B that have a score in neither, and so do not count.
    differences : tuple of PairedDifference
        B - A for each target that both have and each measure.
    """

    first: str
    second: str
    first_file: str
    second_file: str
    first_backend: str | None
    second_backend: str | None
    songs: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    unscored: tuple[str, ...]
    differences: tuple[PairedDifference, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give the comparison as values that JSON can hold.

        Returns
        -------
        dict
            Keys are the names of the fields.
        """
        return asdict(self)


@dataclass(frozen=True)
class _Scored:
    """What is needed of a summary: the first system, song by song."""

    path: Path
    name: str
    backend: str | None
    songs: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    unscored: tuple[str, ...]
    digests: Mapping[str, str]


def compare(first: Path, second: Path) -> Comparison:
    """Compare the systems that two summaries are about, song by song.

    Parameters
    ----------
    first, second : Path
        Summaries A and B (``summary.json``) as `store_summary` writes them, or the folders
        that hold them. Of each the first system counts.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If a file is missing or not a summary, if a figure in it is not a finite number, if
        the two have no song in common, or if songs of one name are not of the same audio.
    MissingExtraError
        If scipy is not installed.
    """
    a, b = _read(first), _read(second)
    common = tuple(song for song in a.songs if song in b.songs)
    if not common:
        raise DataError(
            f"{a.path} and {b.path} have no song with scores in common: "
            "score both systems on the same songs"
        )
    _check_audio(a, b, common)
    targets = dict.fromkeys(target for song in common for target in a.songs[song])
    in_both = [t for t in targets if any(t in b.songs[song] for song in common)]
    return Comparison(
        first=a.name,
        second=b.name,
        first_file=str(a.path),
        second_file=str(b.path),
        first_backend=a.backend,
        second_backend=b.backend,
        songs=common,
        only_first=tuple(song for song in a.songs if song not in b.songs),
        only_second=tuple(song for song in b.songs if song not in a.songs),
        unscored=tuple(
            song
            for song in dict.fromkeys(a.unscored + b.unscored)
            if song not in a.songs and song not in b.songs
        ),
        differences=tuple(
            _difference(a, b, common, target, measure)
            for target in in_both
            for measure in ALL_MEASURES
        ),
    )


def _read(path: Path) -> _Scored:
    if path.is_dir():
        path = path / "summary.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        name, system = next(iter(content["systems"].items()))
        songs = {
            song: {
                target: {
                    measure: _figure(path, song, f"{measure} of {target}", measures[measure])
                    for measure in ALL_MEASURES
                }
                for target, measures in targets.items()
            }
            for song, targets in system["songs"].items()
        }
        digests = {
            song: about["reference_digest"]
            for song, about in content.get("songs", {}).items()
            if about.get("reference_digest")
        }
        backend = content.get("settings", {}).get("backend")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}): give a summary.json that evaluate.py "
            "wrote, or its folder"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(
            f"{path}: not a summary of scores, or of another version: give a summary.json that "
            "this version's evaluate.py wrote"
        ) from error
    scored = {song: targets for song, targets in songs.items() if _has_score(targets)}
    unscored = tuple(song for song in songs if song not in scored)
    return _Scored(path, name, None if backend is None else str(backend), scored, unscored, digests)


def _figure(path: Path, song: str, what: str, value: Any) -> float | None:
    if value is None:
        return None
    # bool is a kind of int; NaN and whole numbers beyond all floats fail the comparison.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not abs(value) <= sys.float_info.max
    ):
        raise DataError(
            f"{path}: {what} is no finite number in the song {song!r}: give a summary.json that "
            "evaluate.py wrote"
        )
    return float(value)


def _has_score(targets: Mapping[str, Mapping[str, float | None]]) -> bool:
    return any(value is not None for measures in targets.values() for value in measures.values())


def _check_audio(a: _Scored, b: _Scored, songs: tuple[str, ...]) -> None:
    """Refuse to compare scores against different references."""
    for scored in (a, b):
        unknown = [song for song in songs if song not in scored.digests]
        if unknown:
            raise DataError(
                f"{scored.path}: does not tell which audio {_listed(unknown)} was scored "
                "against: score again"
            )
    different = [song for song in songs if a.digests[song] != b.digests[song]]
    if different:
        raise DataError(
            f"{a.path} and {b.path}: the audio of {_listed(different)} differs between the two: "
            "score both systems against the same references"
        )


def _listed(songs: list[str]) -> str:
    shown = ", ".join(repr(song) for song in songs[:3])
    return shown if len(songs) <= 3 else f"{shown} and {len(songs) - 3} more"


def _difference(
    a: _Scored, b: _Scored, songs: tuple[str, ...], target: str, measure: str
) -> PairedDifference:
    before, after = (
        {song: scored.songs[song].get(target, {}).get(measure) for song in songs}
        for scored in (a, b)
    )
    by_song = {}
    for song in songs:
        old, new = before[song], after[song]
        if old is not None and new is not None:
            # Summaries have 5 decimals: rounding errors are no difference between songs.
            by_song[song] = round(new - old, 5)
    differences = np.array(list(by_song.values()))
    return PairedDifference(
        target=target,
        measure=measure,
        by_song=by_song,
        median=float(np.median(differences)) if by_song else None,
        mean=float(np.mean(differences)) if by_song else None,
        interval=_bootstrap_interval(differences),
        p=_wilcoxon_p(differences),
        wins=int(np.count_nonzero(differences > 0)),
        losses=int(np.count_nonzero(differences < 0)),
        ties=int(np.count_nonzero(differences == 0)),
        missing_first=tuple(song for song in songs if before[song] is None),
        missing_second=tuple(song for song in songs if after[song] is None),
    )


def _bootstrap_interval(differences: Floats) -> tuple[float, float] | None:
    if differences.size < _MIN_PAIRS:
        return None
    random = np.random.default_rng(_SEED)
    chosen = random.integers(differences.size, size=(_RESAMPLES, differences.size))
    low, high = np.quantile(differences[chosen].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _wilcoxon_p(differences: Floats) -> float | None:
    try:
        from scipy.stats import wilcoxon
    except ImportError as error:
        raise MissingExtraError("scipy", "eval") from error
    changed = differences[differences != 0]
    return float(wilcoxon(changed).pvalue) if changed.size >= _MIN_PAIRS else None
