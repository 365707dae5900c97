"""Names of files that results are written to, from a template."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path

from songsplit.errors import ConfigError

FIELDS = ("song", "stem", "artist", "title", "album")
DEFAULT_TEMPLATE = "{song}/{stem}"
DEFAULT_TEMPLATE_OF_ALL = "{song}"

_UNKNOWN = "unknown"
_MAX_BYTES = 180  # of a part of a path, of which most file systems take 255
# What no file name may hold on one of the common systems.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def check_template(template: str) -> None:
    """Refuse a template that names cannot be made of.

    Parameters
    ----------
    template : str
        A path below the output folder, without extension, with fields in braces:
        ``{song}``, the name of the song's file without its extension, ``{stem}``,
        ``{artist}``, ``{title}`` and ``{album}``.

    Raises
    ------
    ConfigError
        If it has other fields, is empty, absolute or leads out of the folder.
    """
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ConfigError(f"the template {template!r} is not complete: {error}") from error
    for name in names:
        if name not in FIELDS:
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise ConfigError(f"the template {template!r} has an unknown {{{name}}}: use {known}")
    path = Path(template)
    if not template.strip("/ ") or path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"the template {template!r} must name a file below the output folder")


def fill_template(template: str, values: Mapping[str, str]) -> Path:
    """Make a relative path of a checked template.

    Parameters
    ----------
    template : str
    values : mapping of str to str
        By field. Fields without a value become "unknown".

    Returns
    -------
    Path
        Without extension. Values cannot add folders, lead out of the folder, or make
        names that a file system refuses.
    """
    safe = {field: file_name(values.get(field) or _UNKNOWN) for field in FIELDS}
    return Path(*(_short(part) for part in Path(template.format_map(safe)).parts))


def file_name(text: str) -> str:
    """Turn any text into a name that all common file systems take."""
    name = _FORBIDDEN.sub("_", text).rstrip(". ")
    if not name.strip("."):
        return "_" * max(len(name), 1)
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def _short(part: str) -> str:
    encoded = part.encode("utf-8", "surrogateescape")
    if len(encoded) <= _MAX_BYTES:
        return part
    # Not in the middle of a character.
    return encoded[:_MAX_BYTES].decode("utf-8", "ignore").rstrip(". ")
