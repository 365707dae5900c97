"""Plan the work for each song of a batch, and check existing results."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias

from songsplit.audio import OutputFormat, open_audio, read_tags
from songsplit.cli.inputs import Song, identity
from songsplit.cli.options import MUTE, Options
from songsplit.errors import OutputError, SongsplitError
from songsplit.models.weights import DEFAULT_MODEL, registry
from songsplit.naming import Files, folded, result_files
from songsplit.stems import Mix

Status: TypeAlias = Literal["done", "planned", "skipped", "failed"]

_RECORDS = ".songsplit.jsonl"  # a hidden file in each folder that holds results
_STEMS_NAME = "{track}/{stem}"
_OF_STEMS = ("model", "quality", "sound track")  # settings that affect the sound of stems
_DEPTHS = ("16", "default", "24", "32f")  # in rising order


@dataclass(frozen=True)
class Outcome:
    """The outcome of a song, or its plan in a dry run."""

    song: str
    status: Status
    files: Files = field(default_factory=lambda: Files({}))
    seconds: float | None = None  # duration of the song, if known
    elapsed: float = 0.0  # duration of the work in seconds
    gain_db: float = 0.0  # gain of all stems, 0 or less
    notes: Sequence[str] = ()
    error: str | None = None
    cause: BaseException | None = None
    finished: Mapping[str, Path] | None = None  # stems of an earlier run that are used again

    def as_json(self) -> dict[str, Any]:
        """Return the fields of the JSON output."""
        return {
            "song": self.song,
            "status": self.status,
            "files": {name: str(path) for name, path in self.files.stems.items()},
            "picture": self.files.picture and str(self.files.picture),
            "seconds": self.seconds and round(self.seconds, 3),
            "elapsed": round(self.elapsed, 3),
            "gain_db": round(self.gain_db, 3),
            "notes": list(self.notes),
            "error": self.error,
        }


def failure(song: object, error: Exception) -> Outcome:
    """Return the outcome of a song that failed."""
    message = str(error)
    if not isinstance(error, SongsplitError):
        # A bug in songsplit must not stop the other songs.
        message = f"{song}: unexpected {type(error).__name__}: {error}; report this error"
    return Outcome(str(song), "failed", error=message, cause=error)


@dataclass(frozen=True)
class Request:
    """The request for every song: `stems` are those of the model, `mix` is a mix of them.

    A mix with the name of a stem is that stem alone.
    """

    options: Options
    stems: tuple[str, ...]
    mix: Mix | None = None

    @property
    def output(self) -> OutputFormat:
        """Format of the results."""
        return OutputFormat(
            self.options.output_format, self.options.bit_depth, self.options.bitrate
        )

    @property
    def template(self) -> str:
        """Template of the names of results."""
        if self.options.filename is not None:
            return self.options.filename
        if self.is_new_mix:
            return "{track} ({stem})"
        return "{track}" if self.output.holds_all else _STEMS_NAME

    @property
    def is_new_mix(self) -> bool:
        """Whether the mix is not one of the stems."""
        return self.mix is not None and self.mix.name not in self.stems

    def place(self, song: Song) -> Path:
        """Return the folder for a song's results; subfolders repeat those of the songs."""
        # A template with folders replaces these subfolders.
        own = "/" in (self.options.filename or "")
        return self.options.output if own else self.options.output / song.below

    @functools.cached_property
    def settings(self) -> dict[str, str]:
        """The settings in which results of the same name can differ, as text."""
        options, model = self.options, self.options.model or DEFAULT_MODEL
        # The checksum distinguishes versions of a model with the same name.
        known = registry()
        digest = (
            known[model].weights.sha256
            if model in known
            else sha256(Path(model).read_bytes()).hexdigest()
        )
        settings = {
            "model": f"{model} ({digest[:8]})",
            "quality": options.quality,
            "format": options.output_format,
            "bit depth": options.bit_depth or "default",
            "bit rate": str(options.bitrate or "default"),
        }
        if options.track is not None:
            settings["sound track"] = str(options.track)
        if self.mix is not None and self.is_new_mix:
            for stem in self.stems:
                gain = self.mix.gains.get(stem, 0.0)
                settings[stem] = "off" if gain == MUTE else f"{gain:+g} dB"
            settings |= {"tempo": f"{self.mix.tempo:.4g}", "key": f"{self.mix.key:+g}"}
        return settings


class Planner:
    """Plans the work song by song."""

    def __init__(self, request: Request, songs: Iterable[Song]) -> None:
        self._request, self._settings = request, request.settings  # reads the weights now
        self._owners: dict[str, Song] = {}
        self._inputs = {identity(song.path): song for song in songs if song.path is not None}

    def plan(self, song: Song) -> Outcome:
        """Return an outcome "planned", "skipped" if all results exist, or "failed"."""
        try:
            return self._plan(song)
        except Exception as error:
            return failure(song, error)

    def _plan(self, song: Song) -> Outcome:
        request, tags, seconds = self._request, None, None
        notes: list[str] = []
        # A pipe can be read only once.
        if song.path is not None and song.is_plain:
            # Open the song first: an old result must not hide that it is missing.
            with open_audio(song.path, track=request.options.track) as reader:
                seconds = reader.info.seconds
                notes.extend(reader.info.notes)
                request.output.check_channels(reader.info.channels)
                if reader.info.stems:
                    names = ", ".join(reader.info.stems)
                    notes.append(f"the file holds stems ({names}); its mixture is separated")
            tags = read_tags(song.path)
        files = result_files(
            request.place(song),
            request.stems if request.mix is None else (request.mix.name,),
            request.output,
            filename=request.template,
            track=song.track,
            tags=tags,
            picture=request.options.plot,
        )
        self._claim(song, files)
        status: Status = "planned"
        if request.options.overwrite or not any(map(os.path.lexists, files)):
            finished = self._finished_stems(song)
        elif request.mix is None and files.picture and not os.path.lexists(files.picture):
            self._check_kept(song, Files(files.stems))
            finished = files.stems
        else:
            self._check_kept(song, files)
            status, finished = "skipped", None
        return Outcome(str(song), status, files, seconds, notes=notes, finished=finished)

    def _finished_stems(self, song: Song) -> Mapping[str, Path] | None:
        """Return lossless stems of an earlier run from which the mix can be made."""
        request, asked = self._request, self._settings
        if not (song.path and request.mix and request.is_new_mix) or request.mix.is_stretched:
            return None
        known = {name: asked[name] for name in _OF_STEMS if name in asked}
        depths = _DEPTHS[_DEPTHS.index(asked["bit depth"]) :]
        for kind in ("wav", "flac"):
            files = {"format": kind, "bit rate": "default"}
            fitting = [known | files | {"bit depth": depth} for depth in depths]
            folder, output = request.options.output / song.below, OutputFormat(kind)
            stems = result_files(
                folder, request.stems, output, filename=_STEMS_NAME, track=song.track
            ).stems
            records = [_record(path) for path in stems.values()]
            if all(
                record
                and _is_of(record, song.path)
                and record["settings"] in fitting
                and record.get("gain_db") == 0
                for record in records
            ):
                return stems
        return None

    def _claim(self, song: Song, paths: Iterable[Path]) -> None:
        """Refuse results that would replace a song, or another song's results."""
        for path in paths:
            if os.path.lexists(path) and (owner := self._inputs.get(identity(path))):
                whom = "the song itself" if owner is song else "a song of this batch"
                raise OutputError(f"{song}: {path} would replace {whom}: use another folder")
            # Compare names as file systems do that ignore case.
            owner = self._owners.setdefault(folded(str(path)), song)
            if owner is not song:
                raise OutputError(
                    f"{song}: {path} is already the result of {owner}: separate this song alone "
                    "to another folder, or name files by {artist} or {album}"
                )

    def _check_kept(self, song: Song, files: Files) -> None:
        """Refuse to keep results that are incomplete or do not fit this song and its settings."""
        there = [path for path in files if os.path.lexists(path)]
        missing = [path for path in files if path not in there]
        for path in there:
            reason = f"exists but {missing[0]} does not" if missing else None
            if path != files.picture:
                reason = reason or self._misfit(path, song)
            if reason:
                raise OutputError(
                    f"{song}: {path} {reason}; --overwrite replaces it, -o names another folder"
                )

    def _misfit(self, result: Path, song: Song) -> str | None:
        """Return how an existing result differs from the request for this song."""
        record = _record(result)
        if record is None or song.path is None:
            return "exists, but has no record that it was made from this song"
        if not _is_of(record, song.path):
            return f"was made from another song or an older version of it ({record['source']})"
        old, new, default = record["settings"], self._settings, "default"
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        words = [f"{n} {old.get(n, default)}, not {new.get(n, default)}" for n in names]
        return f"was made with other settings: {', '.join(words)}" if words else None


def _is_of(record: Mapping[str, Any], song: Path) -> bool:
    """Return whether a record is of this song, which may have moved."""
    status = song.stat()
    is_same = song.resolve() == record["source"] or status.st_mtime_ns == record.get("modified")
    return is_same and status.st_size == record.get("size")


def _record(result: Path) -> dict[str, Any] | None:
    """Return the record of a result, or None if there is none or the result has changed."""
    with suppress(KeyError, OSError, ValueError):
        file = result.parent / _RECORDS
        status = file.stat()
        record = _records(file, status.st_mtime_ns, status.st_size)[result.name]
        if record["bytes"] == result.stat().st_size:
            return record
    return None


@functools.lru_cache(64)
def _records(file: Path, modified: int, size: int) -> dict[str, dict[str, Any]]:
    """Read the records of a folder by the names of results."""
    records = {}
    for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
        # Ignore lines that are cut off or not records.
        with suppress(ValueError, TypeError, KeyError, AttributeError, OSError):
            read = json.loads(line)
            read["source"] = Path(file.parent, read["source"]).resolve()
            read["settings"] = {str(name): str(value) for name, value in read["settings"].items()}
            records[str(read["result"])] = read
    return records


def write_records(
    results: Iterable[Path], song: Path, settings: Mapping[str, str], gain_db: float
) -> None:
    """Append records of the source and settings of results; later records replace earlier ones."""
    status = song.stat()
    for result in dict.fromkeys(results):
        folder = result.parent
        try:
            source = os.path.relpath(song.resolve(), folder.resolve())
        except ValueError:  # another drive on Windows
            source = str(song.resolve())
        record = {
            "result": result.name,
            "bytes": result.stat().st_size,
            "source": source,
            "size": status.st_size,
            "modified": status.st_mtime_ns,
            "settings": dict(settings),
            "gain_db": gain_db,
        }
        with (folder / _RECORDS).open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(record))  # the line before may be cut off


def without_results(songs: Sequence[Song]) -> list[Song]:
    """Leave out files in folders that are results of other songs in the list."""
    sources = {song.path.resolve() for song in songs if song.path}
    records = [_record(song.path) if song.found and song.path else None for song in songs]
    pairs = zip(songs, records, strict=True)
    return [song for song, record in pairs if record is None or record["source"] not in sources]
