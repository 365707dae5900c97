"""Reads files in a process of its own: ``python -m tests.zoo.child BYTES FILE...``.

Prints a line of JSON for each file when it is done, so that whoever reads them knows which
file ended the process, if one did.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from songsplit.audio import open_audio, read_audio, read_tags
from songsplit.errors import AudioFileError


class Pipe(io.RawIOBase):
    """Reads a file as if it were a pipe: in small pieces, and only forwards."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 10_000) if size >= 0 else -1)


def read_start(pipe: BinaryIO) -> None:
    """Read a million samples, or as far as it goes: a pipe may bring days of audio."""
    with open_audio(pipe) as reader:
        for _ in islice(reader.blocks(1 << 16), 16):
            pass


def peak_memory() -> int:
    """Return the most bytes of memory since the start."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which on Linux begins with what the parent process takes.
        line = next(line for line in status.read_text().splitlines() if line[:6] == "VmHWM:")
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Limit the memory, then read the tags of each file, and its samples in two ways."""
    most = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for path in sys.argv[2:]:
        told: dict[str, object] = {"path": os.fsencode(path).hex()}
        try:
            read_tags(path)
            with Path(path).open("rb") as file, suppress(AudioFileError):
                read_start(cast(BinaryIO, Pipe(file)))
            samples, _ = read_audio(path)
            told["shape"] = samples.shape
        except AudioFileError as error:
            told["refused"] = str(error)
        except BaseException as error:
            told["raised"] = repr(error)
        told["peak"] = peak_memory()
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
