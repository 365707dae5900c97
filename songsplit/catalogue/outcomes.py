"""What became of each song: one small Parquet file for a song, beside the stems."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

from songsplit.catalogue.stores import Store, absolute
from songsplit.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow

FOLDER = "outcomes"
_READERS = 32
_READ_AT_ONCE = 100
_SETTINGS = ("model", "quality", "format")  # that results differ in
COMPARED = ("uri", "id", "source", "status", "files", *_SETTINGS)
"""Columns that say whether something is left to do."""

Outcome: TypeAlias = dict[str, Any]
"""A row; :func:`read_outcomes` describes its columns."""


def schema() -> pyarrow.Schema:
    """Return names and types of the columns."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", "catalogue") from error
    files = pa.list_(pa.struct([("path", pa.string()), ("size", pa.int64())]))
    texts = ("id", "uri", "source", "audio", *_SETTINGS, "version", "status", "error", "node")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("files", files),
            ("seconds", pa.float64()),
            ("work", pa.float64()),
            ("attempts", pa.int32()),
            ("finished", pa.timestamp("ms", tz="UTC")),
        ]
    )


class OutcomeLog:
    """The outcomes in a store. A later outcome of a song takes the place of the earlier one."""

    def __init__(self, store: Store) -> None:
        self._store, self._schema = store, schema()

    def write(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Write the outcome of the song with that key."""
        import pyarrow
        from pyarrow import parquet

        content = io.BytesIO()
        table = pyarrow.Table.from_pylist([dict(outcome)], self._schema)
        parquet.write_table(table, content, compression="NONE", write_statistics=False)
        self._store.write(f"{FOLDER}/{key}.parquet", content.getvalue())

    def read(self, key: str) -> Outcome | None:
        """Read the outcome of a song, if there is one."""
        table = self._read(f"{FOLDER}/{key}.parquet")
        return table.to_pylist()[0] if table is not None and len(table) else None

    def read_all(self) -> pyarrow.Table:
        """Read all outcomes."""
        import pyarrow

        names = [name for name in self._store.sizes(FOLDER) if name.endswith(".parquet")]
        parts = [
            names[start : start + _READ_AT_ONCE] for start in range(0, len(names), _READ_AT_ONCE)
        ]

        def combined(part: list[str]) -> pyarrow.Table:
            tables = [table for name in part if (table := self._read(name)) is not None]
            # A million small tables would take gigabytes.
            return pyarrow.concat_tables([self._schema.empty_table(), *tables]).combine_chunks()

        with ThreadPoolExecutor(_READERS) as pool:
            return pyarrow.concat_tables([self._schema.empty_table(), *pool.map(combined, parts)])

    def _read(self, name: str) -> pyarrow.Table | None:
        import pyarrow
        from pyarrow import parquet

        if (content := self._store.read(name)) is None:
            return None
        try:
            table = parquet.read_table(pyarrow.BufferReader(content))
            return table.select(self._schema.names).cast(self._schema)
        except (pyarrow.ArrowException, KeyError) as error:
            path = f"{self._store.root}/{name}"
            raise DataError(f"{path}: this outcome is damaged; delete the file") from error


def is_settled(
    outcome: Outcome,
    name: str | None,
    version: str | None,
    size: Callable[[str], int | None],
    *,
    retry_damaged: bool = False,
) -> bool:
    """Say whether nothing is left to do for a song.

    `name` is the ID that the catalogue gives it and `version` that of its file now; `size` gives
    the size of a file of the store, or None.
    """
    if outcome["source"] != version or name not in (None, outcome["id"]):
        return False
    if outcome["status"] == "damaged":
        return not retry_damaged
    files = outcome["files"] or ()
    return outcome["status"] == "done" and all(size(f["path"]) == f["size"] for f in files)


def settings_of(outcome: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what results of one folder have in common: model, quality and format."""
    return tuple(outcome[name] for name in _SETTINGS)


def read_outcomes(output: str | os.PathLike[str]) -> pyarrow.Table:
    """Read what became of the songs of a catalogue.

    Parameters
    ----------
    output : path or URL
        The folder that :func:`separate_catalogue` was given.

    Returns
    -------
    pyarrow.Table
        A row for each song: ``id``, ``uri``, ``source`` (size and checksum or time of the file),
        ``audio`` (SHA-256 of the file), ``model`` (SHA-256), ``quality``, ``format``,
        ``version`` of songsplit, ``status`` (``"done"``, ``"damaged"``, ``"failed"``,
        ``"started"``), ``error``, ``node``, ``files`` (paths below the folder, sizes in bytes),
        ``seconds`` of audio, ``work`` in seconds, ``attempts``, ``finished`` (UTC).

    Raises
    ------
    DataError
        If an outcome cannot be read.
    MissingExtraError
        If the extra ``catalogue`` is not installed.
    """
    return OutcomeLog(Store(absolute(os.fspath(output)))).read_all()
