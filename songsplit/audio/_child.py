"""The process that decodes a file in another one's place: ``python -m songsplit.audio._child``.

The file is its standard input, so it opens none by itself; what it finds goes to standard
output (:mod:`songsplit.audio._messages`).
"""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np

from songsplit.audio._messages import DATA, DONE, FAIL, INFO, send
from songsplit.audio.limits import Limits
from songsplit.audio.reading import open_audio
from songsplit.audio.tags import read_tags
from songsplit.errors import AudioFileError

# Decoders give pieces of a few milliseconds: fewer messages are quicker.
_BLOCK_SAMPLES = 1 << 16
_MAX_COVER_BYTES = 1 << 25


class _Named(io.BufferedReader):
    """A file with the name that its user knows."""

    name = ""


def main() -> None:
    """Decode standard input, or read its tags, as the argument says."""
    request = json.loads(sys.argv[1])
    limits = Limits(**request["limits"])
    output = sys.stdout.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this is asked to stop too
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _limit_resources(limits)
    file = _Named(io.FileIO(0, closefd=False))
    file.name = request["name"]
    try:
        if request["task"] == "tags":
            send(output, INFO, _tags(file))
        else:
            _decode(file, limits, output)
        send(output, DONE)
    except AudioFileError as error:
        send(output, FAIL, json.dumps(str(error)).encode())
    except MemoryError:
        reason = (
            f"{request['name']}: decoding it takes more than {limits.memory >> 20} MB of memory"
        )
        send(output, FAIL, json.dumps(f"{reason}; export it again").encode())
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more


def _decode(file: BinaryIO, limits: Limits, output: BinaryIO) -> None:
    with open_audio(file, limits=limits) as reader:
        send(output, INFO, json.dumps(asdict(reader.info)).encode())
        for block in reader.blocks(_BLOCK_SAMPLES):
            send(output, DATA, np.ascontiguousarray(block, "<f4").tobytes())


def _tags(file: BinaryIO) -> bytes:
    tags = read_tags(file)
    content: dict[str, object] = {"fields": dict(tags.fields)}
    if tags.cover is not None and len(tags.cover.data) <= _MAX_COVER_BYTES:
        content["cover"] = base64.b64encode(tags.cover.data).decode("ascii")
        content["mime"] = tags.cover.mime
    return json.dumps(content).encode()


def _limit_resources(limits: Limits) -> None:
    """Keep this process from taking much memory or writing any file."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # elsewhere it does not bind, or not what is meant
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + int(limits.memory)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _end_with(parent: int) -> None:
    """End this process with the one that started it, even if a decoder never comes back."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
