"""What separates the songs of a catalogue, one after the other, on whatever machine."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

import songsplit
from songsplit.audio import clear_stale_parts
from songsplit.audio.formats import OutputFormat
from songsplit.catalogue.manifest import Entry
from songsplit.catalogue.outcomes import Outcome, OutcomeLog, is_settled, schema, settings_of
from songsplit.catalogue.stores import Store, local_copy, sha256, version
from songsplit.errors import AudioFileError, ModelError
from songsplit.inference import Quality, let_threads_sleep
from songsplit.models.weights import model_digest
from songsplit.naming import result_files
from songsplit.separator import Separator

ATTEMPTS = 3
_M_MMAP_THRESHOLD, _LARGE = -3, 1 << 24  # of malloc.h, and in bytes


@dataclass(frozen=True)
class Work:
    """What is wanted of every song. `digest` is the SHA-256 of the model's weights."""

    output: str
    model: str | None
    digest: str
    quality: Quality
    format: OutputFormat
    device: str | None
    threads: int | None
    retry_damaged: bool
    overwrite: bool

    @property
    def settings(self) -> dict[str, str]:
        """Columns of an outcome that say how the stems were made."""
        parts = (self.format.name, self.format.bit_depth, self.format.bitrate)
        words = " ".join(str(part) for part in parts if part is not None)
        return {"model": self.digest, "quality": self.quality, "format": words}


class Worker:
    """A loaded model that takes songs as rows ``uri``, ``id`` and gives back their outcomes."""

    def __init__(self, work: Work) -> None:
        if work.threads is not None:  # in a process of its own
            os.environ["OMP_NUM_THREADS"] = str(work.threads)
            let_threads_sleep()
            _return_large_arrays()
        if model_digest(work.model) != work.digest:
            raise ModelError(
                f"{platform.node()} has another model {work.model or 'default'} than the machine "
                "that started the run: install the same songsplit, and the same file, on both"
            )
        self._work = work
        self._store = Store(work.output)
        self._log = OutcomeLog(self._store)
        self._separator = Separator(work.model, work.device, quality=work.quality)

    def __call__(self, row: Mapping[str, Any]) -> Outcome:
        """Separate a song, write its outcome and return it.

        Errors of the song are part of its outcome. Only a store that takes no outcome raises.
        """
        work, entry = self._work, Entry(row["uri"], row["id"])
        start = monotonic()
        # Another run may have done the song since, or a worker may have died of it.
        earlier = self._log.read(entry.key)
        died = earlier["attempts"] if earlier and earlier["status"] == "started" else 0
        outcome: Outcome = (
            dict.fromkeys(schema().names)
            | {
                "id": entry.id,
                "uri": entry.uri,
                "version": songsplit.__version__,
                "node": platform.node(),
                "status": "failed",
                "error": f"the worker died {died} times while it separated this song",
                "attempts": died,
            }
            | work.settings
        )
        for attempt in range(died + 1, ATTEMPTS + 1):
            outcome["attempts"] = attempt
            try:
                outcome["source"] = version(entry.uri)
                if earlier and self._is_settled(earlier, outcome):
                    return earlier
                self._log.write(entry.key, outcome | {"status": "started", "error": None})
                outcome |= self._separate(entry, is_new=earlier is None)
                break
            except AudioFileError as error:
                outcome |= {"status": "damaged", "error": str(error)}
                break
            except FileNotFoundError:
                outcome["error"] = f"{entry.uri}: there is no such file; check the name"
                break
            except Exception as error:
                outcome["error"] = f"{type(error).__name__}: {error}"
                if attempt < ATTEMPTS:
                    sleep(attempt)
        outcome |= {"work": monotonic() - start, "finished": datetime.now(UTC)}
        self._log.write(entry.key, outcome)
        return outcome

    def _is_settled(self, earlier: Outcome, outcome: Outcome) -> bool:
        folder = earlier["id"] and _folder(earlier["id"])
        sizes = self._store.sizes(folder) if folder else {}
        return settings_of(earlier) == settings_of(outcome) and is_settled(
            earlier,
            outcome["id"],
            outcome["source"],
            sizes.get,
            retry_damaged=self._work.retry_damaged,
        )

    def _separate(self, entry: Entry, *, is_new: bool) -> Outcome:
        """Separate a song and return what is known of its stems.

        Stems of the same audio under another URI serve a song that `is_new` to the catalogue.
        """
        with local_copy(entry.uri) as song:
            audio = sha256(song)
            name = entry.id or audio
            done: Outcome = {"id": name, "audio": audio, "status": "done", "error": None}
            folder, seconds = _folder(name), None
            if is_new and entry.id is None and not self._work.overwrite:
                sizes = self._store.sizes(folder)
                expected = [f"{folder}/{file}" for file in self._names()]
                if all(path in sizes for path in expected):
                    return done | {"files": [{"path": p, "size": sizes[p]} for p in expected]}

            def progress(so_far: float, total: float | None, left: float | None) -> None:
                nonlocal seconds
                seconds = so_far

            with self._store.folder(folder) as place:
                clear_stale_parts(place)  # of workers that were killed
                saved = self._separator.separate_to_files(
                    song, place, output=self._work.format, overwrite=True, progress=progress
                )
                paths = dict.fromkeys(saved.values())
                files = [
                    {"path": f"{folder}/{path.name}", "size": path.stat().st_size} for path in paths
                ]
        return done | {"files": files, "seconds": seconds}

    def _names(self) -> list[str]:
        files = result_files("", self._separator.targets, self._work.format)
        return [path.name for path in files]


def _return_large_arrays() -> None:
    """Make glibc give large arrays back to the system as soon as they are freed.

    Ray runs songs outside of the main thread, where glibc keeps them: up to 250 MB more.
    """
    with suppress(AttributeError, OSError, TypeError):  # other systems
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def _folder(name: str) -> str:
    return f"{name[:2]}/{name}"
