"""Names of result files: fill templates, and check that the files can be written."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from songsplit.errors import ConfigError, OutputError, OutputExistsError

if TYPE_CHECKING:
    from songsplit.audio import Tags
    from songsplit.audio.formats import OutputFormat

FIELDS = ("track", "stem", "artist", "title", "album")
"""The fields that a template may contain in braces."""
EXTENSION = ".{ext}"
STEM_ONLY = "{stem}"
"""The template for a song that has its own folder."""

_UNKNOWN = "unknown"
_MAX_BYTES = 180  # of a path component; most file systems allow 255
_LEAST_BYTES = 24  # of a shortened value
_BRACES = re.compile(r"\{([^{}]*)\}|[{}]")
# Characters that a common system forbids in file names, and lone surrogates.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udc7f\udd00-\udfff]')
# Control characters, line ends, changes of text direction and lone surrogates.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def check_template(template: str, *, several: bool = False) -> None:
    """Raise ConfigError for a template that does not give valid file names.

    A template is a path below the output folder with fields in braces. The extension is added, and
    ``.{ext}`` at the end is accepted. If each song gives `several` files, the template must contain
    ``{stem}``.
    """
    template = template.removesuffix(EXTENSION)
    path = Path(template)
    if path.is_absolute() or ".." in path.parts or not path.parts or template.endswith(("/", "\\")):
        raise ConfigError(f"the template {template!r} must name a file below the output folder")
    for found in _BRACES.finditer(template):
        if found[1] not in FIELDS:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ConfigError(f"the template {template!r} has an unknown {found[0]}: use {known}")
    if several and STEM_ONLY not in template:
        raise ConfigError(
            f"the template {template!r} gives all stems of a song one name: add {STEM_ONLY}"
        )


def fill_template(template: str, values: Mapping[str, str]) -> Path:
    """Fill a template and return a relative path without extension.

    Values cannot add folders, leave the output folder, or form names that a file system refuses.
    Long values are cut and end with a hash of the whole value, so that names stay distinct.
    """
    given = {"title": values.get("track", ""), **{k: v for k, v in values.items() if v.strip()}}
    known = {field: _FORBIDDEN.sub("_", given.get(field) or _UNKNOWN).strip() for field in FIELDS}

    def filled(part: str) -> str:
        # Use the longest values that fit. The stem is never cut, because it distinguishes results.
        for limit in range(_MAX_BYTES, _LEAST_BYTES - 1, -1):
            shown = {k: v if k == "stem" else shortened(v, limit) for k, v in known.items()}
            name = file_name(part.format_map(shown))
            if len(_encoded(name)) <= _MAX_BYTES:
                break
        return name

    return Path(*map(filled, Path(template).parts))


@dataclass(frozen=True)
class Files:
    """The file of each stem or of a mix, and the file of the picture, if there is one."""

    stems: Mapping[str, Path]
    picture: Path | None = None

    def __iter__(self) -> Iterator[Path]:
        """Iterate over all distinct files."""
        yield from dict.fromkeys(self.stems.values())
        if self.picture is not None:
            yield self.picture


def result_files(
    folder: str | os.PathLike[str],
    names: Iterable[str],
    output: OutputFormat,
    *,
    filename: str = STEM_ONLY,
    track: str = "",
    tags: Tags | None = None,
    picture: bool = False,
) -> Files:
    """Return the paths of the results of a song.

    `filename` is a template for :func:`check_template`, and `track` is the name of the song's file
    without extension. The picture is named like a stem "picture".
    """
    names = list(names)
    check_template(filename, several=len(names) > 1 and not output.holds_all)
    fields = {} if tags is None else tags.fields
    values = {key: fields[key][0] for key in ("artist", "title", "album") if fields.get(key)}

    # A template may end with the extension.
    filename = filename.removesuffix(EXTENSION).removesuffix(f".{output.name}")

    def path(stem: str, extension: str) -> Path:
        path = Path(folder, fill_template(filename, {**values, "track": track, "stem": stem}))
        return path.with_name(f"{path.name}.{extension}")

    stems = {name: path("stems" if output.holds_all else name, output.name) for name in names}
    return Files(stems, path("picture", "png") if picture else None)


def check_free(folder: str | os.PathLike[str], paths: Iterable[Path], *, overwrite: bool) -> None:
    """Raise OutputError if results cannot be written to `folder` or already exist."""
    try:
        with suppress(FileNotFoundError):
            os.lstat(folder)
            if not Path(folder).is_dir():
                raise OutputError(f"{folder} is a file: name a folder for the stems")
        for path in paths:
            if not overwrite and os.path.lexists(path):
                raise OutputExistsError(f"{path} already exists: pass overwrite=True, or move it")
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder} cannot be a folder ({error}): name another") from error


def is_plain(file: Path | BinaryIO) -> bool:
    """Return whether a file can be read again, unlike pipes and devices."""
    try:
        if isinstance(file, Path):
            return not file.exists() or file.is_file()
        return file.seekable() and stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):
        return True  # in memory, or an invalid name
    except AttributeError:
        return False


def track_name(file: object) -> str:
    """Return the name of a song's file without its extension."""
    if not isinstance(file, str | os.PathLike):
        return "song"
    name = Path(os.fsdecode(file)).name
    suffix = ".stem.mp4" if name.lower().endswith(".stem.mp4") else Path(name).suffix
    track = name[: len(name) - len(suffix)]
    # "...wav" would leave only dots. Python calls standard input "<stdin>".
    return (track if track.strip(".") else name).strip("<>")


def folded(name: str) -> str:
    """Return the same text for names that differ only in case or in the encoding of accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def file_name(text: str) -> str:
    """Convert any text to a name that all common file systems accept."""
    name = _FORBIDDEN.sub("_", text).rstrip(". ")
    return f"_{name}" if not name or _RESERVED.fullmatch(name) else name


def printable(text: str) -> str:
    """Escape control characters, which names and tags may contain, as Python does."""
    return _STEERING.sub(lambda found: repr(found[0])[1:-1], text)


def shortened(value: str, size: int) -> str:
    """Cut text to `size` bytes, which end with a hash of the whole text."""
    data = _encoded(value)
    if len(data) <= size:
        return value
    mark = "~" + hashlib.sha256(data).hexdigest()[:8]
    # "ignore" drops a character that is cut in half.
    return data[: size - len(mark)].decode("utf-8", "ignore").rstrip(". ") + mark


def _encoded(text: str) -> bytes:
    # File names that are not UTF-8 keep their bytes.
    return text.encode("utf-8", "surrogateescape")
