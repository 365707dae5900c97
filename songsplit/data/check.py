"""Checking training data: what would be used, and what is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from songsplit.data.decoding import LENGTH_TOLERANCE
from songsplit.data.findings import Finding, Severity
from songsplit.data.layout import (
    STEM_FILE_SUFFIX,
    FolderScan,
    find_recordings,
    find_songs,
    musdb_song,
    scan_folder,
)
from songsplit.data.measures import Measures
from songsplit.data.musdb import STEM_NAMES, musdb_tracks
from songsplit.data.song_measures import SongMeasures, measure_song
from songsplit.data.songs import INSTRUMENTAL, VOCALS, AudioPart, Song
from songsplit.data.stem_names import MIXTURE
from songsplit.errors import ConfigError, DataError

Kind = Literal["songs", "vocals", "instrumentals", "musdb"]

_SILENCE = 1e-3  # root mean square: -60 dBFS
_OFFSET = 0.02  # less is found in music of some seconds
_CLIPPED_RUNS = 3  # a few runs at full scale are no harm
_CHUNK_SECONDS = 6.0
_NARROW = 10_000.0  # Hz
_SUM_ERROR = -15.0  # dB; lossy coding of each stem leaves -20 to -25
_GAIN = 0.3  # by which the vocals in a mixture may be louder or softer than alone
_WIDE_STEMS = (VOCALS, INSTRUMENTAL, MIXTURE)  # a bass has nothing up there


@dataclass(frozen=True)
class CheckedSong:
    """What was found out about a song.

    Attributes
    ----------
    song : Song
    seconds : float or None
        Duration of what can be used; None if a file cannot be decoded.
    peak : float or None
        Largest absolute sample of all its files; full scale is 1.
    sum_error : float or None
        As in :class:`~songsplit.data.song_measures.SongMeasures`.
    findings : list of Finding
        Errors first.
    """

    song: Song
    seconds: float | None
    peak: float | None
    sum_error: float | None
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """Whether nothing keeps the song from being used."""
        return all(finding.severity != "error" for finding in self.findings)

    @property
    def stems(self) -> list[str]:
        """Names of the stems, with an instrumental that is found by subtraction."""
        return [*self.song.stems, *([INSTRUMENTAL] if self.song.subtracts else [])]


@dataclass(frozen=True)
class Report:
    """What was found in a folder.

    Attributes
    ----------
    folder : Path
    kind : {"songs", "vocals", "instrumentals", "musdb"}
        What the folder was taken for.
    songs : list of CheckedSong
    passed_over : list of Finding
        Files and folders that belong to none of the songs.
    """

    folder: Path
    kind: Kind
    songs: list[CheckedSong]
    passed_over: list[Finding]

    @property
    def usable(self) -> list[CheckedSong]:
        """Songs without errors."""
        return [song for song in self.songs if song.usable]

    @property
    def hours(self) -> dict[str, float]:
        """Hours of each stem in the usable songs."""
        total: dict[str, float] = defaultdict(float)
        for checked in self.usable:
            for stem in checked.stems:
                total[stem] += (checked.seconds or 0.0) / 3600
        return dict(total)

    def count(self, severity: Severity) -> int:
        """Count the findings of a severity, those passed over included."""
        found = [*self.passed_over, *(f for song in self.songs for f in song.findings)]
        return sum(finding.severity == severity for finding in found)


def check_folder(
    folder: Path,
    kind: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Decode everything in a folder of training data and look for faults.

    Parameters
    ----------
    folder : Path
    kind : {"songs", "vocals", "instrumentals", "musdb"}, optional
        ``"songs"`` as :func:`~songsplit.data.layout.scan_folder` describes, ``"musdb"``
        for MUSDB18 and MUSDB18-HQ, the others for recordings of one stem alone. By
        default MUSDB18 or songs, whichever is found.
    progress : callable, optional
        Gets the number of songs done, that of all, and the name of the next one.

    Returns
    -------
    Report

    Raises
    ------
    ConfigError
        If the kind is unknown.
    DataError
        If there is no such folder or nothing of that kind in it.
    """
    root = Path(folder).expanduser()
    taken_for = _kind(root, kind)
    scan = _scan(root, taken_for)
    known: dict[str, tuple[Song, AudioPart]] = {}
    checked = []
    for number, song in enumerate(scan.songs):
        if progress:
            progress(number, len(scan.songs), song.name)
        checked.append(_checked(song, known, root))
    return Report(root, taken_for, checked, scan.problems)


def _kind(root: Path, kind: str | None) -> Kind:
    if kind is not None:
        if kind not in get_args(Kind):
            raise ConfigError(f"kind {kind!r} is unknown: use {', '.join(get_args(Kind))}")
        return cast(Kind, kind)
    if _is_musdb(root):
        return "musdb"
    try:
        find_songs(root, "")
    except DataError as error:
        raise DataError(
            f"{error}. For recordings of one stem alone, use --kind vocals or --kind instrumentals"
        ) from None
    return "songs"


def _is_musdb(root: Path) -> bool:
    train = root / "train"
    if not train.is_dir():
        return False
    names = {f"{name}.wav" for name in (MIXTURE, *STEM_NAMES)}
    return any(train.glob(f"[!.]*{STEM_FILE_SUFFIX}")) or any(
        names <= {file.name for file in folder.glob("*.wav")} for folder in train.glob("[!.]*/")
    )


def _scan(root: Path, kind: Kind) -> FolderScan:
    if kind == "vocals":
        return FolderScan(find_recordings(root, "", "vocals"), [])
    if kind == "instrumentals":
        return FolderScan(find_recordings(root, "", "instrumental"), [])
    if kind == "musdb":
        return FolderScan(list(_musdb_songs(root)), [])
    scan = scan_folder(root, "")
    # Songs that are all incomplete are worth a report, an empty folder is not.
    return scan if scan.problems else FolderScan(find_songs(root, ""), [])


def _musdb_songs(root: Path) -> Iterator[Song]:
    for subset in ("train", "test"):
        if subset == "test" and not (root / subset).is_dir():
            continue  # training needs none
        for track in musdb_tracks(root, subset):
            yield musdb_song(track, f"{subset}/{track.name}", "")


def _checked(song: Song, known: dict[str, tuple[Song, AudioPart]], root: Path) -> CheckedSong:
    measured = measure_song(song)
    findings = [
        *_failures(song, measured),
        *_lengths(song, measured.parts),
        *_levels(song, measured.parts),
        *_duplicates(song, measured.parts, known, root),
        *_sums(song, measured),
    ]
    severities = get_args(Severity)
    findings.sort(key=lambda finding: severities.index(finding.severity))
    used = [measured.parts[part] for part in song.parts if part in measured.parts]
    return CheckedSong(
        song,
        min(m.seconds for m in used) if len(used) == len(song.parts) else None,
        max((m.peak for m in measured.parts.values()), default=None),
        measured.sum_error,
        findings,
    )


def _roles(song: Song) -> dict[AudioPart, str]:
    """Stem that each part belongs to, the mixture last."""
    roles = {part: stem for stem, parts in song.stems.items() for part in parts}
    return roles | ({song.mixture: MIXTURE} if song.mixture else {})


def _finding(song: Song, part: AudioPart, text: str, severity: Severity = "warning") -> Finding:
    """Say something of a part, naming the stem where the file does not."""
    roles = _roles(song)
    shared = sum(other.path == part.path for other in roles) > 1
    return Finding(part.path, f"{roles[part]}: {text}" if shared else text, severity)


def _failures(song: Song, measured: SongMeasures) -> Iterator[Finding]:
    needed = {part.path for part in song.parts}
    for path, text in measured.failures.items():
        yield Finding(path, text, "error" if path in needed else "warning")


def _lengths(song: Song, measured: dict[AudioPart, Measures]) -> Iterator[Finding]:
    used = {part: measured[part] for part in song.parts if part in measured}
    if not used:
        return
    shortest = min(used, key=lambda part: used[part].seconds)
    longest = max(used, key=lambda part: used[part].seconds)
    seconds = used[shortest].seconds
    difference = used[longest].seconds - seconds
    if difference > LENGTH_TOLERANCE:
        text = (
            f"{seconds:.2f} s long, {difference:.2f} s shorter than {longest.path.name}: export "
            "all stems from start to end alike"
        )
        yield _finding(song, shortest, text, "error")
    elif difference:
        text = f"{difference:.4f} s shorter than {longest.path.name}: the excess is cut"
        yield _finding(song, shortest, text, "info")
    rates = sorted({m.sample_rate for m in measured.values()})
    if len(rates) > 1:
        text = f"files of different sample rates ({', '.join(map(str, rates))} Hz)"
        yield Finding(shortest.path, text, "info")
    if seconds < _CHUNK_SECONDS:
        text = f"{seconds:.2f} s long, shorter than a training chunk of {_CHUNK_SECONDS:g} s"
        yield _finding(song, shortest, text)


def _levels(song: Song, measured: dict[AudioPart, Measures]) -> Iterator[Finding]:
    needed = set(song.parts)
    if all(part in measured and not measured[part].peak for part in needed):
        yield Finding(song.parts[0].path, "all stems are silent: take the song out", "error")
    for part, stem in _roles(song).items():
        if part not in measured:
            continue
        m = measured[part]
        if m.loudest < _SILENCE:
            heard = any(
                other not in measured or measured[other].loudest >= _SILENCE
                for other in song.stems.get(stem, ())
            )
            text = f"below -60 dBFS throughout, peak {m.peak:.5f}" if m.peak else "silent"
            # Songs without bass are common, songs without vocals are mistakes.
            severity: Severity = "info" if heard or stem not in _WIDE_STEMS else "warning"
            yield _finding(song, part, f"{text}: is it the right file?", severity)
        if part not in needed:
            continue
        if m.clipped_runs > _CLIPPED_RUNS:
            text = f"clipped at {m.clipped_runs} places: export it at a lower level"
            yield _finding(song, part, text)
        if m.offset > _OFFSET:
            yield _finding(song, part, f"offset from zero of {m.offset:.3f}: remove it")
        if m.bandwidth is not None and m.bandwidth < _NARROW and stem in _WIDE_STEMS:
            text = (
                f"nothing above {m.bandwidth / 1000:.1f} kHz (sample rate {m.sample_rate} Hz): "
                f"give its source bandwidth: {m.bandwidth:.0f}"
            )
            yield _finding(song, part, text)


def _duplicates(
    song: Song,
    measured: dict[AudioPart, Measures],
    known: dict[str, tuple[Song, AudioPart]],
    root: Path,
) -> Iterator[Finding]:
    """Compare with everything before, which is in `known` by its digest."""
    roles = _roles(song)
    for part, stem in roles.items():
        if part not in measured or not measured[part].peak:
            continue
        first_song, first = known.setdefault(measured[part].digest, (song, part))
        if (first_song, first) == (song, part):
            continue
        first_stem = _roles(first_song)[first]
        where = f"the {first_stem} in {first.path.relative_to(root).as_posix()}"
        if first_song is not song:
            yield _finding(song, part, f"same audio as {where}: remove one")
            continue
        # A voice that is also the backing cannot be told from it.
        mixed_up = VOCALS in (stem, first_stem) and stem != first_stem
        severity: Severity = "error" if mixed_up else "warning"
        yield _finding(song, part, f"same audio as {where}: export it again", severity)


def _sums(song: Song, measured: SongMeasures) -> Iterator[Finding]:
    if song.mixture is None:
        return
    if measured.sum_error is not None and measured.sum_error > _SUM_ERROR:
        text = (
            f"differs from the sum of the stems by {measured.sum_error:.1f} dB: are all stems "
            "there, at their levels in the mixture and in time with it?"
        )
        yield _finding(song, song.mixture, text)
    gain = measured.vocals_gain
    if gain is not None and abs(gain - 1) > _GAIN:
        text = (
            f"holds the vocals at {gain:.2f} times their level, so that taking them away leaves "
            "some: export both from one session, without mastering"
        )
        yield _finding(song, song.mixture, text)
