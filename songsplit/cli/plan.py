"""What is to be done for each song of a batch, and what stands in the way."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from songsplit.audio import Tags, clear_stale_parts, open_audio, read_tags
from songsplit.audio.formats import OutputFormat
from songsplit.cli.inputs import Song, identity
from songsplit.errors import AudioFileError, OutputError
from songsplit.naming import Files, is_plain, result_files
from songsplit.stems import Mix, MixName

ONE_EACH, FOLDER_EACH = "{track} ({stem})", "{track}/{stem}"
"""How results are called by default: a single mix, and stems."""

Status: TypeAlias = Literal["done", "planned", "skipped", "failed"]

_TOLERANCE = 0.02, 1.0  # share, and seconds, by which estimates of a duration are wrong


@dataclass(frozen=True)
class Outcome:
    """What became of a song, or in a dry run would become of it."""

    song: str
    status: Status
    files: Mapping[str, Path] = field(default_factory=dict)  # by stem
    picture: Path | None = None
    seconds: float | None = None  # duration of the song, where it is known
    elapsed: float = 0.0  # seconds that the work took
    gain_db: float = 0.0  # what all stems were turned down by, 0 or less
    notes: Sequence[str] = ()
    error: str | None = None
    cause: BaseException | None = None

    @property
    def result(self) -> str:
        """Where results are, or why there are none."""
        return self.error or ", ".join(map(str, self.paths))

    @property
    def paths(self) -> list[Path]:
        """All files, each once."""
        found = dict.fromkeys(self.files.values())
        return [*found] if self.picture is None else [*found, self.picture]

    def as_json(self) -> dict[str, Any]:
        """Return what programs want to know, ready for JSON."""
        return {
            "song": self.song,
            "status": self.status,
            "files": {name: str(path) for name, path in self.files.items()},
            "picture": None if self.picture is None else str(self.picture),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "elapsed": round(self.elapsed, 3),
            "gain_db": round(self.gain_db, 3),
            "notes": list(self.notes),
            "error": self.error,
        }


@dataclass(frozen=True)
class Request:
    """What is wanted of every song; fields are as for ``Separator.separate_to_files``.

    Without `overwrite`, songs whose results are all there are skipped. Without `filename`,
    files are called as is usual, in folders like those of the songs.
    """

    folder: Path
    stems: tuple[str, ...]  # what the model separates
    mix: Mix | None = None
    filename: str | None = None
    output: OutputFormat = field(default_factory=OutputFormat)
    picture: bool = False
    overwrite: bool = False

    @property
    def template(self) -> str:
        """How results are called."""
        stems = "{track}" if self.output.holds_all else FOLDER_EACH
        return self.filename or (stems if self.mix is None else ONE_EACH)

    def place(self, song: Song) -> Path:
        """Return the folder below which results of a song go."""
        # Who names folders in the template has an order of their own.
        own = self.filename is not None and "/" in self.filename
        return self.folder if own else self.folder / song.below

    def files(self, song: Song, tags: Tags | None) -> Files:
        """Name the files that results of a song go to."""
        return result_files(
            self.place(song),
            self.stems if self.mix is None else (self.mix.name,),
            self.output,
            filename=self.template,
            track=song.track,
            tags=tags,
            picture=self.picture,
        )


class Task(NamedTuple):
    """A song, and what is to become of it."""

    song: Song
    outcome: Outcome


class Planner:
    """Decides song by song what is to be done.

    `songs` are all of the batch but files in folders that are results of other songs.
    """

    def __init__(self, request: Request, songs: Sequence[Song]) -> None:
        self._request = request
        self._owners: dict[str, Song] = {}
        results = _results_of_songs(request, songs)
        self.songs = [s for s in songs if not (s.found and _bare(s.path) in results)]
        self._inputs = {identity(s.path): s for s in self.songs if s.path is not None}

    def plan(self, song: Song) -> Task:
        """Return a task whose outcome is "planned", or "skipped" where all results are there.

        A song that cannot be read, or whose results cannot be written, is a SongsplitError.
        """
        request, tags, seconds, notes = self._request, None, None, []
        # Pipes give what they have once only.
        if song.path is not None and is_plain(song.path):
            # A missing song must not be hidden by an old result.
            with open_audio(song.path) as reader:
                seconds = reader.info.seconds
                request.output.check_channels(reader.info.channels)
                if reader.info.stems:
                    names = ", ".join(reader.info.stems)
                    notes.append(f"holds stems already ({names}); its mixture is what is taken")
            tags = read_tags(song.path)
        files = request.files(song, tags)
        outcome = Outcome(str(song), "planned", files.stems, files.picture, seconds, notes=notes)
        try:
            self._claim(song, files)
            there = [path for path in files if os.path.lexists(path)]
            if not there or request.overwrite:
                return Task(song, outcome)
            missing = [path for path in files if path not in there]
            if missing:
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
        return Task(song, replace(outcome, status="skipped"))

    def _claim(self, song: Song, paths: Iterable[Path]) -> None:
        """Refuse results that would replace a song, or another song's results."""
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
        """Refuse to keep results that were not made from this song, or by another request.

        Only lengths are compared. A mix at another tempo, key or level looks the same from
        here; what would tell them apart belongs in this function.
        """
        if seconds is None:
            raise OutputError(
                f"{song}: {result} is already there, and nobody can tell if it was made from this "
                "song: use --overwrite, or another folder"
            )
        if self._request.mix is not None and self._request.mix.is_stretched:
            return
        try:
            with open_audio(result) as reader:
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


def clear_up(outcome: Outcome) -> None:
    """Remove what runs that were killed left in the folders of results."""
    for folder in {path.parent for path in outcome.paths}:
        clear_stale_parts(folder)


def _results_of_songs(request: Request, songs: Sequence[Song]) -> set[Path | None]:
    """Name all that this and the other commands make of songs, without extensions.

    Where results are kept among the songs, the next run must not take them for songs.
    """
    names = {FOLDER_EACH: request.stems, "{track}.stem": ("",), ONE_EACH: get_args(MixName)}
    plain = OutputFormat("wav")
    results: set[Path | None] = set()
    for song in songs:
        if song.found and song.path is not None:
            made: set[Path] = set()
            for template, stems in names.items():
                folder = request.folder / song.below
                made.update(result_files(folder, stems, plain, filename=template, track=song.track))
            if request.filename is not None:
                made.update(request.files(song, read_tags(song.path)))
            results.update({_bare(path) for path in made} - {_bare(song.path)})
    return results


def _bare(path: Path | None) -> Path | None:
    """Return a path without links and without its extension."""
    if path is None:
        return None
    return path.parent.resolve() / path.stem
