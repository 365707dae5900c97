"""What is to be done for each song of a batch, and what stands in the way."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from songsplit.audio import Access, Tags, left_behind
from songsplit.batch.inputs import Song, identity
from songsplit.batch.outcomes import Outcome
from songsplit.errors import AudioFileError, OutputError
from songsplit.formats import Clip, OutputFormat
from songsplit.mixes import Mix, MixName
from songsplit.results import Files, result_files
from songsplit.song_files import is_plain

ONE_EACH, FOLDER_EACH = "{track} ({stem})", "{track}/{stem}"
"""How results are called by default: a single mix, and stems."""

_TOLERANCE = 0.02, 1.0  # share, and seconds, by which estimates of a duration are wrong


@dataclass(frozen=True)
class Request:
    """What is wanted of every song.

    Attributes
    ----------
    folder : Path
        Where results go.
    stems : tuple of str
        What the model separates.
    mix, filename, output, clip, picture, overwrite
        As for :meth:`songsplit.Separator.separate_to_files`. Without ``overwrite``, songs
        whose results are all there are skipped. Without ``filename``, files are called as
        is usual, in folders like those of the songs.
    access : Access
        How songs are opened.
    """

    folder: Path
    stems: tuple[str, ...]
    mix: Mix | None = None
    filename: str | None = None
    output: OutputFormat = field(default_factory=OutputFormat)
    clip: Clip = "scale"
    picture: bool = False
    overwrite: bool = False
    access: Access = field(default_factory=Access)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is written."""
        return self.stems if self.mix is None else (self.mix.name,)

    @property
    def template(self) -> str:
        """How results are called."""
        return self.filename or (FOLDER_EACH if self.mix is None else ONE_EACH)

    def place(self, song: Song) -> Path:
        """Return the folder below which results of a song go."""
        # Who names folders in the template has an order of their own.
        own = self.filename is not None and "/" in self.filename
        return self.folder if own else self.folder / song.below

    def files(self, song: Song, tags: Tags | None) -> Files:
        """Name the files that results of a song go to."""
        return result_files(
            self.place(song),
            self.names,
            self.output,
            filename=self.template,
            track=song.track,
            tags=tags,
            picture=self.picture,
        )


@dataclass(frozen=True)
class Task:
    """A song that is to be separated.

    Attributes
    ----------
    song : Song
    overwrite : bool
        Whether results that are there may be replaced.
    notes : tuple of str
        What is to be told of the song.
    folders : tuple of Path
        Where its results go.
    """

    song: Song
    overwrite: bool
    notes: tuple[str, ...]
    folders: tuple[Path, ...]


class Planner:
    """Decides song by song what is to be done.

    Parameters
    ----------
    request : Request
    songs : sequence of Song
        All of the batch.
    """

    def __init__(self, request: Request, songs: Sequence[Song]) -> None:
        self._request = request
        self._owners: dict[str, Song] = {}
        results = _results_of_songs(request, songs)
        self.songs = [s for s in songs if not (s.found and _bare(s.path) in results)]
        """The songs, but for files in folders that are results of other songs."""
        self._inputs = {identity(s.path): s for s in self.songs if s.path is not None}

    def plan(self, song: Song) -> Task | Outcome:
        """Return what is to be done for a song, or its outcome if that is certain.

        An outcome "planned" never comes: see :meth:`foretell`.

        Raises
        ------
        SongsplitError
            If the song cannot be read, or its results cannot be written.
        """
        outcome, there = self._examine(song)
        if outcome.status == "skipped":
            _clear_up(outcome.paths)
            return outcome
        folders = dict.fromkeys(path.parent for path in outcome.paths)
        overwrite = self._request.overwrite or there
        return Task(song, overwrite, tuple(outcome.notes), tuple(folders))

    def foretell(self, song: Song) -> Outcome:
        """Return what would become of a song; raises as :meth:`plan`."""
        return self._examine(song)[0]

    def _examine(self, song: Song) -> tuple[Outcome, bool]:
        """Return "skipped" or "planned", and whether parts of results are there."""
        request, tags, seconds, notes = self._request, None, None, []
        # Pipes give what they have once only.
        if song.path is not None and is_plain(song.path):
            # A missing song must not be hidden by an old result.
            with request.access.audio(song.path) as reader:
                seconds = reader.info.seconds
                request.output.output_channels(reader.info.channels)
                if reader.info.stems:
                    names = ", ".join(reader.info.stems)
                    notes.append(f"holds stems already ({names}); its mixture is what is taken")
            tags = request.access.tags(song.path)
        files = request.files(song, tags)
        outcome = Outcome(str(song), "planned", files.stems, files.picture, seconds, notes=notes)
        try:
            self._claim(song, files)
            there = [path for path in files if os.path.lexists(path)]
            if not there or request.overwrite:
                return outcome, False
            missing = [path for path in files if path not in there]
            if missing:
                # Left by a run that was killed while it put files into their places.
                if any(left_behind(path) for path in missing):
                    return outcome, True
                raise OutputError(
                    f"{song}: {missing[0]} is not there but {there[0]} is: use --overwrite, or "
                    "another folder"
                )
            self._check_made_from(song, seconds, there[0])
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{song}: results cannot go to {request.place(song)} ({reason}): use another folder"
            ) from error
        return replace(outcome, status="skipped"), False

    def _claim(self, song: Song, paths: Iterable[Path]) -> None:
        for path in paths:
            if os.path.lexists(path) and (owner := self._inputs.get(identity(path))):
                raise OutputError(
                    f"{song}: its result {path} would replace "
                    f"{'the song itself' if owner is song else 'a song that is to be separated'}"
                    ": use another folder"
                )
            # As file systems compare names that take "A" for "a".
            place = unicodedata.normalize("NFC", str(path)).casefold()
            owner = self._owners.setdefault(place, song)
            if owner is not song:
                raise OutputError(
                    f"{song}: {path} is already the result of {owner}: separate this one by "
                    "itself, to another folder, or name files by {artist} or {album}"
                )

    def _check_made_from(self, song: Song, seconds: float | None, result: Path) -> None:
        """Refuse to take results of another song of the same name for those of this one."""
        if seconds is None:
            raise OutputError(
                f"{song}: {result} is already there, and nobody can tell if it was made from this "
                "song: use --overwrite, or another folder"
            )
        if self._request.mix is not None and self._request.mix.is_stretched:
            return
        try:
            with self._request.access.audio(result) as reader:
                made = reader.info.seconds
        except AudioFileError as error:
            raise OutputError(
                f"{song}: {result} is already there but cannot be read: use --overwrite, or "
                "another folder"
            ) from error
        share, least = _TOLERANCE
        if made is not None and abs(made - seconds) > max(least, share * seconds):
            raise OutputError(
                f"{song}: {result} is already there but lasts {made:.1f} s, not {seconds:.1f} s: "
                "it was made from another song; use --overwrite, or another folder"
            )


def _results_of_songs(request: Request, songs: Sequence[Song]) -> set[Path | None]:
    """Name all that this and the other commands make of songs, without extensions.

    Where results are kept among the songs, the next run must not take them for songs.
    """
    names = {FOLDER_EACH: (*request.stems, "stems"), ONE_EACH: get_args(MixName)}
    plain = OutputFormat("wav")
    results: set[Path | None] = set()
    for song in songs:
        if song.found and song.path is not None:
            for template, stems in names.items():
                made = request.folder / song.below
                files = result_files(made, stems, plain, filename=template, track=song.track)
                results.update(_bare(path) for path in files)
            if request.filename is not None:
                results.update(
                    _bare(path) for path in request.files(song, request.access.tags(song.path))
                )
    return results


def _clear_up(paths: Iterable[Path]) -> None:
    """Remove what a run that was killed left beside files that are whole."""
    with suppress(OSError):
        for path in paths:
            for part in left_behind(path):
                part.unlink(missing_ok=True)


def _bare(path: Path | None) -> Path | None:
    if path is None:
        return None
    name = path.name.lower()
    suffix = ".stem.mp4" if name.endswith(".stem.mp4") else path.suffix
    return path.parent.resolve() / path.name[: len(path.name) - len(suffix)]
