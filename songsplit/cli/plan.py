"""What is to be done for each song of a batch, and what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from songsplit.audio import open_audio, read_tags
from songsplit.audio.formats import OutputFormat
from songsplit.cli.inputs import Song, identity
from songsplit.cli.records import read_record
from songsplit.errors import AudioFileError, OutputError, SongsplitError
from songsplit.naming import Files, folded, is_plain, result_files
from songsplit.stems import Mix

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
    finished: Mapping[str, Path] | None = None  # stems that need not be separated again

    @property
    def paths(self) -> list[Path]:
        """All files, each once."""
        return [*Files(self.files, self.picture)]

    def as_json(self) -> dict[str, Any]:
        """Return what programs want to know, ready for JSON."""
        return {
            "song": self.song,
            "status": self.status,
            "files": {name: str(path) for name, path in self.files.items()},
            "picture": self.picture and str(self.picture),
            "seconds": self.seconds and round(self.seconds, 3),
            "elapsed": round(self.elapsed, 3),
            "gain_db": round(self.gain_db, 3),
            "notes": list(self.notes),
            "error": self.error,
        }


def failure(song: object, error: Exception) -> Outcome:
    """Return the outcome of a song that an error stopped."""
    message = str(error)
    if not isinstance(error, SongsplitError):
        # A fault of ours, but the other songs may be spared it.
        message = f"{song}: unexpected {type(error).__name__}: {error}; please report it"
    return Outcome(str(song), "failed", error=message, cause=error)


@dataclass(frozen=True)
class Request:
    """What is wanted of every song; fields are as for ``Separator.separate_to_files``.

    Without `overwrite`, songs whose results are all there are skipped if they were made with
    the same `settings`. Without `filename`, results have their default names, in folders like
    those of the songs.
    """

    folder: Path
    stems: tuple[str, ...]  # what the model separates
    mix: Mix | None = None
    filename: str | None = None
    output: OutputFormat = field(default_factory=OutputFormat)
    picture: bool = False
    overwrite: bool = False
    sound_track: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def template(self) -> str:
        """How results are called; a mix that is called like a stem is that stem alone."""
        stems = "{track}" if self.output.holds_all else FOLDER_EACH
        is_stem = self.mix is None or self.mix.name in self.stems
        return self.filename or (stems if is_stem else ONE_EACH)

    def place(self, song: Song) -> Path:
        """Return the folder below which results of a song go."""
        # Who names folders in the template has an order of their own.
        own = self.filename is not None and "/" in self.filename
        return self.folder if own else self.folder / song.below


class Planner:
    """Decides song by song what is to be done."""

    def __init__(self, request: Request, songs: Iterable[Song]) -> None:
        self._request = request
        self._owners: dict[str, Song] = {}
        self._inputs = {identity(song.path): song for song in songs if song.path is not None}

    def plan(self, song: Song) -> Outcome:
        """Return an outcome "planned", or "skipped" where all results are there.

        A song that cannot be read, or whose results cannot be written, is a SongsplitError.
        """
        request, tags, seconds = self._request, None, None
        notes: list[str] = []
        # Pipes give what they have once only.
        if song.path is not None and is_plain(song.path):
            # A missing song must not be hidden by an old result.
            with open_audio(song.path, track=request.sound_track) as reader:
                seconds = reader.info.seconds
                notes.extend(reader.info.notes)
                request.output.check_channels(reader.info.channels)
                if reader.info.stems:
                    names = ", ".join(reader.info.stems)
                    notes.append(f"holds stems already ({names}); its mixture is separated")
            tags = read_tags(song.path)
        files = result_files(
            request.place(song),
            request.stems if request.mix is None else (request.mix.name,),
            request.output,
            filename=request.template,
            track=song.track,
            tags=tags,
            picture=request.picture,
        )
        try:
            self._claim(song, files)
            if request.overwrite or not any(map(os.path.lexists, files)):
                status: Status = "planned"
                finished = self._finished_stems(song)
            elif files.picture and not files.picture.exists() and request.mix is None:
                self._check_kept(song, seconds, Files(files.stems))
                status, finished = "planned", files.stems
            else:
                self._check_kept(song, seconds, files)
                status, finished = "skipped", None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{song}: results cannot go to {request.place(song)} ({reason}): use another folder"
            ) from error
        return Outcome(
            str(song), status, files.stems, files.picture, seconds, notes=notes, finished=finished
        )

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
            place = folded(str(path))
            owner = self._owners.setdefault(place, song)
            if owner is not song:
                raise OutputError(
                    f"{song}: {path} is already the result of {owner}: separate this one by "
                    "itself, to another folder, or name files by {artist} or {album}"
                )

    def _finished_stems(self, song: Song) -> Mapping[str, Path] | None:
        """Return lossless stems of a song in the output folder that the mix can be made of."""
        request = self._request
        if song.path is None or request.mix is None or request.mix.is_stretched:
            return None
        for kind in ("wav", "flac"):
            output = OutputFormat(kind)
            stems = result_files(
                request.place(song), request.stems, output, filename=FOLDER_EACH, track=song.track
            ).stems
            records = [read_record(path) for path in stems.values()]
            if all(r and r.is_of(song.path) and r.can_be_mixed(request.settings) for r in records):
                return stems
        return None

    def _check_kept(self, song: Song, seconds: float | None, files: Files) -> None:
        """Refuse to keep results that are not complete, or not what is asked of this song."""
        missing = [path for path in files if not os.path.lexists(path)]
        for path in files:
            reason = f"is there but {missing[0]} is not" if missing else None
            if path not in missing and path != files.picture:
                reason = reason or self._misfit(path, song, seconds)
            if reason:
                raise OutputError(
                    f"{song}: {path} {reason}; --overwrite replaces it, -o names another folder"
                )

    def _misfit(self, result: Path, song: Song, seconds: float | None) -> str | None:
        """Say in which way a result that is there is not what is asked of this song."""
        request, record = self._request, read_record(result)
        if record is not None and song.path is not None:
            if not record.is_of(song.path):
                return f"was made from another song, or from its older version ({record.source})"
            words = record.differences(request.settings)
            return f"was made with other settings: {words}" if words else None
        if seconds is None:
            return "is already there, made from this song or from another one"
        # Nothing else is known of results of older versions.
        expected = seconds / (request.mix.tempo if request.mix else 1)
        try:
            with open_audio(result) as reader:
                made = reader.info.seconds or expected
        except AudioFileError:
            return "is already there but cannot be read"
        share, least = _TOLERANCE
        if abs(made - expected) > max(least, share * expected):
            return f"lasts {made:.1f} s, not {expected:.1f} s: it was made from another song"
        return None


def without_results(songs: Sequence[Song]) -> list[Song]:
    """Leave out files found in folders that were made from others of the songs."""
    sources = {song.path.resolve() for song in songs if song.path}
    records = {song: read_record(song.path) for song in songs if song.found and song.path}
    results = {song for song, record in records.items() if record and record.source in sources}
    return [song for song in songs if song not in results]
