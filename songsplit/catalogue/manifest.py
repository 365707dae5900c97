"""From what names a catalogue (a table, a folder, a pattern) to a list of songs."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from songsplit.audio.formats import audio_files, is_audio_name
from songsplit.catalogue.stores import absolute, is_local, open_url, scheme
from songsplit.errors import DataError, MissingExtraError

_TABLES = (".parquet", ".csv")
_PATTERN = re.compile(r"[*?\[]")
# An ID names a folder on any file system.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class Entry(NamedTuple):
    """A song of a catalogue: where it is, and its ID if the catalogue gives one."""

    uri: str
    id: str | None = None

    @property
    def key(self) -> str:
        """Name of the song's outcome."""
        return sha256(self.uri.encode()).hexdigest()[:32]


def read_catalogue(source: str | os.PathLike[str], *, web: bool = False) -> list[Entry]:
    """List the songs of a table, a folder or a pattern, each URI once.

    Relative paths in a table start at the table's folder. A DataError says that there are no usable
    songs or IDs, a ConfigError that a URI cannot be opened, or is of the web, which `web` allows.
    """
    where = absolute(os.fspath(source))
    try:
        entries = list(dict.fromkeys(_entries(where, web=web)))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{where}: cannot be read ({reason}); check the name") from error
    if not entries:
        raise DataError(f"{where}: no songs were found; name a table, a folder or a pattern")
    for kind, uri in {scheme(entry.uri): entry.uri for entry in entries}.items():
        if kind != "file":
            open_url(uri, web=web)  # can it be opened at all?
    _check_ids(where, entries)
    return entries


def _entries(where: str, *, web: bool) -> Iterator[Entry]:
    file_system, path = open_url(where, web=web)
    if where.lower().endswith(_TABLES):
        base = posixpath.dirname(where) if not is_local(where) else str(Path(path).parent)
        with file_system.open(path, "rb") as file:
            table = _table(where, file)
        ids = table["id"].to_pylist() if "id" in table.column_names else [None] * len(table)
        for uri, name in zip(table["uri"].to_pylist(), ids, strict=True):
            if uri:
                yield Entry(absolute(str(uri), base), None if name is None else str(name))
    elif is_local(where) and not _PATTERN.search(path):
        if not Path(path).is_dir():
            raise DataError(
                f"{where}: not found; name a folder, a pattern, or a .parquet or .csv table"
            )
        for song in audio_files(Path(path)):
            yield Entry(str(song))
    else:
        is_pattern = _PATTERN.search(path)
        for found in sorted(file_system.glob(path) if is_pattern else file_system.find(path)):
            if is_audio_name(posixpath.basename(found)):
                yield Entry(found if is_local(where) else file_system.unstrip_protocol(found))


def _table(where: str, file: Any) -> Any:
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "catalogue") from error
    try:
        if where.lower().endswith(".parquet"):
            table = parquet.read_table(file)
        else:
            # An ID such as 007 stays as it is.
            texts = {"uri": pyarrow.string(), "id": pyarrow.string()}
            options = csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
            table = csv.read_csv(file, convert_options=options)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{where}: this is not a table ({error}); write it again") from error
    if "uri" not in table.column_names:
        columns = ", ".join(table.column_names)
        raise DataError(f"{where}: there is no column uri, only {columns}; name the songs there")
    return table


def _check_ids(where: str, entries: list[Entry]) -> None:
    owners: dict[str, Entry] = {}
    uris: set[str] = set()
    for entry in entries:
        if entry.uri in uris:
            raise DataError(f"{where}: {entry.uri} stands there with two IDs; remove one")
        uris.add(entry.uri)
        if entry.id is None:
            continue
        if not _ID.fullmatch(entry.id):
            raise DataError(
                f"{where}: the ID {entry.id!r} cannot name a folder: use up to 128 letters of "
                "English, digits, dots, hyphens and underscores"
            )
        # Some file systems take "A" for "a".
        owner = owners.setdefault(entry.id.lower(), entry)
        if owner is not entry:
            raise DataError(
                f"{where}: {owner.uri} and {entry.uri} have the same ID {entry.id!r}; change one"
            )
