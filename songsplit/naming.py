"""Names of files that results are written to, from a template."""

from __future__ import annotations

import hashlib
import os
import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from songsplit.errors import ConfigError

FIELDS = ("track", "stem", "artist", "title", "album")
"""What templates may hold in braces."""
EXTENSION = ".{ext}"

_UNKNOWN = "unknown"
_MAX_BYTES = 180  # of a part of a path, of which most file systems take 255
_LEAST_BYTES = 24  # of a shortened value
# What no file name may hold on one of the common systems.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
# Control characters, line ends, changes of the direction of writing, halves of characters.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")

# Of each part of the path: text, and the field that follows it or None.
_Tokens: TypeAlias = list[list[tuple[str, str | None]]]


def check_template(template: str, *, several: bool = False) -> None:
    """Refuse a template that names cannot be made of.

    Parameters
    ----------
    template : str
        A path below the output folder with fields in braces: ``{track}``, the name of the
        song's file without its extension, ``{stem}``, ``{artist}``, ``{title}`` and
        ``{album}``. The extension is added; ``.{ext}`` at the end is allowed for it.
    several : bool, optional
        Whether each song gives several files, which only ``{stem}`` can tell apart.

    Raises
    ------
    ConfigError
        If it has other fields, is empty, absolute or leads out of the folder, or gives
        several files one name.
    """
    fields = [field for part in _parsed(template) for _, field in part]
    if several and "stem" not in fields:
        raise ConfigError(
            f"the template {template!r} gives all stems of a song one name: add {{stem}}"
        )


def fill_template(template: str, values: Mapping[str, str]) -> Path:
    """Make a relative path of a template.

    Parameters
    ----------
    template : str
        As :func:`check_template` takes it.
    values : mapping of str to str
        By field. Without a title it is the track's name; other fields without a value
        become "unknown".

    Returns
    -------
    Path
        Without extension. Values cannot add folders, lead out of the folder, or make
        names that a file system refuses. Values that make a name too long are shortened,
        with a mark of the whole at their end so that two names remain two.

    Raises
    ------
    ConfigError
        As :func:`check_template`.
    """
    given = {"title": values.get("track", ""), **{k: v for k, v in values.items() if v.strip()}}
    known = {field: _legal(given.get(field) or _UNKNOWN).strip() for field in FIELDS}
    return Path(*(_fill(part, known) for part in _parsed(template)))


def track_name(file: object) -> str:
    """Name a song after the name of its file, without the extension.

    Standard input, which Python calls ``<stdin>``, is "stdin"; what has no name is "song".
    """
    if not isinstance(file, str | os.PathLike):
        return "song"
    path = Path(os.fsdecode(file))
    # "...wav" has no extension, and what it has before it is no name.
    return (path.stem if path.stem.strip(".") else path.name).strip("<>")


def file_name(text: str) -> str:
    """Turn any text into a name that all common file systems take."""
    name = _legal(text).rstrip(". ")
    if not name.strip("."):
        return "_" * max(len(name), 1)
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def printable(text: str) -> str:
    """Escape what would steer a terminal, as Python does: names and tags may hold anything."""
    return _STEERING.sub(lambda found: repr(found[0])[1:-1], text)


def _parsed(template: str) -> _Tokens:
    template = template.removesuffix(EXTENSION)
    path = Path(template)
    if path.is_absolute() or ".." in path.parts or not path.parts or template.endswith(("/", "\\")):
        raise ConfigError(f"the template {template!r} must name a file below the output folder")
    return [_tokens(part, template) for part in path.parts]


def _tokens(part: str, template: str) -> list[tuple[str, str | None]]:
    try:
        found = list(string.Formatter().parse(part))
    except ValueError as error:
        raise ConfigError(f"the template {template!r} is not complete: {error}") from error
    for _, field, specification, conversion in found:
        if field is not None and (field not in FIELDS or specification or conversion):
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            wrong = field + (f"!{conversion}" if conversion else "")
            wrong += f":{specification}" if specification else ""
            raise ConfigError(f"the template {template!r} has an unknown {{{wrong}}}: use {known}")
    return [(text, field) for text, field, _, _ in found]


def _fill(tokens: list[tuple[str, str | None]], known: Mapping[str, str]) -> str:
    values = {field: known[field] for _, field in tokens if field is not None}

    def name() -> str:
        return file_name("".join(text + (values[field] if field else "") for text, field in tokens))

    while (excess := _size(name()) - _MAX_BYTES) > 0:
        # The stem is what tells results apart. Literal text is the user's own choice.
        others = [field for field in values if field != "stem"]
        longest = max(others, key=lambda field: _size(values[field]), default="")
        if not longest or _size(values[longest]) <= _LEAST_BYTES:
            break
        values[longest] = _shortened(
            known[longest], max(_LEAST_BYTES, _size(values[longest]) - excess)
        )
    return name()


def _legal(text: str) -> str:
    try:
        _encoded(text)
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode("utf-8")
    return _FORBIDDEN.sub("_", text)


def _shortened(value: str, size: int) -> str:
    """Cut text to a number of bytes, its last ones a mark of all of it."""
    mark = "~" + hashlib.sha256(_encoded(value)).hexdigest()[:8]
    # Not in the middle of a character.
    kept = _encoded(value)[: size - len(mark)].decode("utf-8", "ignore")
    return kept.rstrip(". ") + mark


def _size(text: str) -> int:
    return len(_encoded(text))


def _encoded(text: str) -> bytes:
    # As file systems get it: bytes of names that are no UTF-8 come back as they were.
    return text.encode("utf-8", "surrogateescape")
