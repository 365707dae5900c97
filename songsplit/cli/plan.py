"""What is to be done for each song of a batch, and what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        finished: Mapping[str, Path] | None = None
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
            missing = [path for path in files if not os.path.lexists(path)]
            kept = not request.overwrite and len(missing) < len([*files])
            if not kept:
                finished = self._finished_stems(song)
            else:
                if missing == [files.picture] and not (request.mix or request.output.holds_all):
                    finished, missing = files.stems, []
                self._check_made_from(song, seconds, files, missing)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{song}: results cannot go to {request.place(song)} ({reason}): use another folder"
            ) from error
        status: Status = "skipped" if kept and not finished else "planned"
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

    def _check_made_from(
        self, song: Song, seconds: float | None, files: Files, missing: Sequence[Path]
    ) -> None:
        """Refuse to keep results that are not complete, or not what is asked of this song."""

        def refuse(reason: str) -> OutputError:
            advice = "--overwrite replaces it, -o names another folder"
            return OutputError(f"{song}: {reason}; {advice}")

        if missing:
            there = next(path for path in files if path not in missing)
            raise refuse(f"{missing[0]} is not there but {there} is")
        for result in files.stems.values():
            record = read_record(result)
            if song.path is None or not record:
                self._compare_lengths(result, seconds, refuse)
            elif not record.is_of(song.path):
                source = f"another song, or from an older version of it ({record.source})"
                raise refuse(f"{result} was made from {source}")
            elif words := record.differences(self._request.settings):
                raise refuse(f"{result} was made with other settings: {words}")

    def _compare_lengths(
        self, result: Path, seconds: float | None, refuse: Callable[[str], OutputError]
    ) -> None:
        """Refuse a result that nothing is known of unless it is as long as the song."""
        if seconds is None:
            raise refuse(f"{result} is already there, made from this song or from another one")
        if self._request.mix is not None:
            seconds /= self._request.mix.tempo
        try:
            with open_audio(result) as reader:
                made = reader.info.seconds
        except AudioFileError as error:
            raise refuse(f"{result} is already there but cannot be read") from error
        share, least = _TOLERANCE
        if made is not None and abs(made - seconds) > max(least, share * seconds):
            raise refuse(
                f"{result} is already there but lasts {made:.1f} s, not {seconds:.1f} s: it was "
                "made from another song"
            )


def without_results(songs: Sequence[Song]) -> list[Song]:
    """Leave out files found in folders that were made from others of the songs."""
    sources = {song.path.resolve() for song in songs if song.path}

    def is_result(song: Song) -> bool:
        record = read_record(song.path) if song.found and song.path else None
        return record is not None and record.source in sources

    return [song for song in songs if not is_result(song)]
