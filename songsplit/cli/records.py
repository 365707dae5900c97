"""What results were made from and how: a hidden file in each folder that holds some."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_FILE = ".songsplit.jsonl"
_DEPTHS = ("16", "default", "24", "32f")  # from coarse to fine


@dataclass(frozen=True)
class Record:
    """The song and the settings that a result was made from."""

    source: Path
    size: int  # of the song, in bytes
    modified: int  # when the song was, in nanoseconds
    settings: Mapping[str, str]
    gain_db: float

    def is_of(self, song: Path) -> bool:
        """Say whether a song is the one, in its place or moved to another."""
        status = song.stat()
        in_place = song.resolve() == self.source
        return status.st_size == self.size and (in_place or status.st_mtime_ns == self.modified)

    def can_be_mixed(self, settings: Mapping[str, str]) -> bool:
        """Say whether a mix of such stems, in a lossless format, is as if made with settings."""
        old, new = self.settings, settings
        is_same = all(
            old.get(name) == new.get(name) for name in ("model", "quality", "sound track")
        )
        old_depth, new_depth = (_DEPTHS.index(s.get("bit depth", "default")) for s in (old, new))
        return is_same and old_depth >= new_depth and self.gain_db == 0

    def differences(self, settings: Mapping[str, str]) -> str:
        """Put into words in which settings the result is not as asked."""
        old, new = self.settings, settings
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        default = "default"
        return ", ".join(f"{n} {old.get(n, default)}, not {new.get(n, default)}" for n in names)


def write_records(
    results: Iterable[Path], song: Path, settings: Mapping[str, str], gain_db: float
) -> None:
    """Remember what results were made from. A later record takes the place of an earlier one."""
    status = song.stat()
    for result in dict.fromkeys(results):
        folder = result.parent
        try:
            source = os.path.relpath(song.resolve(), folder.resolve())
        except ValueError:  # another drive of Windows
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
        with (folder / _FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def read_record(result: Path) -> Record | None:
    """Return the record of a result, or None if there is none or the result was changed since."""
    try:
        file = result.parent / _FILE
        status = file.stat()
        size, record = _read(file, status.st_mtime_ns, status.st_size)[result.name]
        return record if size == result.stat().st_size else None
    except (KeyError, OSError, ValueError):
        return None


@functools.lru_cache(64)
def _read(file: Path, modified: int, size: int) -> dict[str, tuple[int, Record]]:
    records = {}
    for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
        # A line that is cut off, or anybody's, says nothing.
        with suppress(ValueError, TypeError, KeyError, OSError):
            read = json.loads(line)
            settings = {str(name): str(value) for name, value in dict(read["settings"]).items()}
            _DEPTHS.index(settings.get("bit depth", "default"))
            source = Path(file.parent, read["source"]).resolve()
            numbers = int(read["size"]), int(read["modified"])
            record = Record(source, *numbers, settings, float(read["gain_db"]))
            records[str(read["result"])] = read["bytes"], record
    return records
