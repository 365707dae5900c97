"""What became of each song of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["done", "skipped", "planned", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of a song.

    Attributes
    ----------
    song : str
        Its file, or what else is to be called by name.
    status : {"done", "skipped", "planned", "failed"}
        Skipped are songs whose results were there; planned is what a dry run would do.
    files : mapping of str to Path
        Results by stem, as far as they are, were, or would be there.
    picture : Path or None
    seconds : float or None
        Duration of the song, where it is known.
    elapsed : float
        Seconds that it took.
    gain_db : float
        What all stems were turned down by, so that none clips, 0 or less.
    notes : sequence of str
        What else there is to know, such as tags that could not be copied.
    error : str or None
        Why it failed.
    cause : BaseException or None
        The exception, for those who look for faults.
    """

    song: str
    status: Status
    files: Mapping[str, Path] = field(default_factory=dict)
    picture: Path | None = None
    seconds: float | None = None
    elapsed: float = 0.0
    gain_db: float = 0.0
    notes: Sequence[str] = ()
    error: str | None = None
    cause: BaseException | None = None

    @property
    def result(self) -> str:
        """Where results are, or why there are none."""
        if self.error is not None:
            return self.error
        return ", ".join(str(path) for path in self.paths)

    @property
    def paths(self) -> list[Path]:
        """All files, each once."""
        found = dict.fromkeys(self.files.values())
        return [*found] if self.picture is None else [*found, self.picture]

    def as_json(self) -> dict[str, Any]:
        """Return what programs want to know, ready for JSON."""
        return {
            "song": self.song,
            "status": self.status,
            "files": {name: str(path) for name, path in self.files.items()},
            "picture": None if self.picture is None else str(self.picture),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "elapsed": round(self.elapsed, 3),
            "gain_db": round(self.gain_db, 3),
            "notes": list(self.notes),
            "error": self.error,
        }


def counts(outcomes: Sequence[Outcome]) -> str:
    """Put into words how many songs had which fate."""
    words = []
    for status in ("done", "planned", "skipped", "failed"):
        number = sum(outcome.status == status for outcome in outcomes)
        if number:
            words.append(f"{number} {status}")
    return ", ".join(words) or "nothing to do"
