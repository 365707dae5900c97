"""Decoding in a process of its own, which may crash or hang without harm to this one."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from songsplit.audio._messages import DATA, DONE, FAIL, INFO, BrokenConversationError, receive
from songsplit.audio._pipes import Pipe
from songsplit.audio._sources import AudioSource, open_source
from songsplit.audio._types import AudioInfo, FloatArray
from songsplit.audio.limits import Limits
from songsplit.audio.reading import AudioReader, make_reader, open_with
from songsplit.audio.tags import Cover, Tags
from songsplit.errors import AudioFileError

_MAX_COPIED_BYTES = 1 << 32
_COPIED_BLOCK = 1 << 20
_DYING_SECONDS = 1.0  # for a process to end that has stopped talking
_PACKAGE = Path(__file__).parents[2]
# Without the folder that happens to be the current one among the places for modules.
_COMMAND = (sys.executable, "-P", "-m", "songsplit.audio._child")
# Threads for matrices, of which there are none: each takes memory.
_SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def open_isolated(source: AudioSource, limits: Limits) -> AudioReader:
    """Open an audio file as :func:`songsplit.audio.open_audio` does, in another process.

    Parameters
    ----------
    source : str, path-like or binary file object
        What is no plain file, such as a pipe, is copied to a temporary one first.
    limits : Limits
        What the file may ask for.

    Returns
    -------
    AudioReader
        The open file.

    Raises
    ------
    AudioFileError
        As from :func:`songsplit.audio.open_audio`, and if the decoder crashes, hangs or takes too
        much memory. Reading blocks may raise it for the same reasons.
    """
    return open_with(_decode_elsewhere, source, limits)


def read_tags_isolated(source: AudioSource, limits: Limits) -> Tags:
    """Read tags as :func:`songsplit.audio.read_tags` does, in another process.

    Parameters
    ----------
    source, limits
        As for :func:`open_isolated`.

    Returns
    -------
    Tags
        Empty if there are none, or none that can be read.
    """
    with ExitStack() as resources:
        try:
            file, name = open_source(source, resources)
            child = _Child("tags", file, name, limits, resources)
            return _tags(json.loads(child.expect(INFO)))
        except (AudioFileError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return Tags()


def _tags(content: Any) -> Tags:
    found = {
        str(key): [str(value) for value in values] for key, values in content["fields"].items()
    }
    if "cover" not in content:
        return Tags(found)
    return Tags(found, Cover(base64.b64decode(content["cover"]), str(content["mime"])))


def _decode_elsewhere(
    file: BinaryIO | Pipe, name: str, resources: ExitStack, limits: Limits
) -> AudioReader:
    return make_reader(_IsolatedBackend(file, name, limits, resources), resources, limits)


def _info(name: str, content: Any) -> AudioInfo:
    frames, seconds = content["frames"], content["seconds"]
    return AudioInfo(
        name=name,
        sample_rate=int(content["sample_rate"]),
        channels=max(1, int(content["channels"])),
        frames=None if frames is None else int(frames),
        seconds=None if seconds is None else float(seconds),
        format=str(content["format"]),
        stems=tuple(str(stem) for stem in content["stems"]),
    )


class _IsolatedBackend:
    """A decoder in another process."""

    def __init__(
        self, file: BinaryIO | Pipe, name: str, limits: Limits, resources: ExitStack
    ) -> None:
        self._child = _Child("audio", file, name, limits, resources)
        try:
            self.info = _info(name, json.loads(self._child.expect(INFO)))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self._child.failed(error)

    def chunks(self) -> Iterator[FloatArray]:
        """Yield what the other process decodes."""
        while (content := self._child.next()) is not None:
            if len(content) % (4 * self.info.channels):
                self._child.failed(BrokenConversationError("a message broke off"))
            yield np.frombuffer(content, "<f4").reshape(self.info.channels, -1).astype(np.float32)

    def close(self) -> None:
        """End the other process."""
        self._child.close()


class _Child:
    """A process that works on one file.

    Parameters
    ----------
    task : {"audio", "tags"}
    file : BinaryIO or Pipe
        Becomes its standard input.
    name : str
        The file's name for messages.
    limits : Limits
    resources : ExitStack
        Ends the process when it is closed.
    """

    def __init__(
        self, task: str, file: BinaryIO | Pipe, name: str, limits: Limits, resources: ExitStack
    ) -> None:
        self._name, self._limits = name, limits
        self._late = False
        request = {"task": task, "name": name, "limits": asdict(limits)}
        places = filter(None, [str(_PACKAGE), os.environ.get("PYTHONPATH")])
        self._process = subprocess.Popen(
            [*_COMMAND, json.dumps(request)],
            stdin=_plain_file(file, name, resources),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_SETTINGS, "PYTHONPATH": os.pathsep.join(places)},
        )
        resources.callback(self.close)

    def expect(self, kind: bytes) -> bytes:
        """Return the content of the next message, of a kind that must come now."""
        found, content = self._receive()
        if found != kind:
            self.failed(BrokenConversationError("an answer makes no sense"))
        return content

    def next(self) -> bytes | None:
        """Return the next piece of audio, None after the last."""
        kind, content = self._receive()
        if kind == DATA:
            return content
        if kind != DONE:
            self.failed(BrokenConversationError("an answer makes no sense"))
        return None

    def _receive(self) -> tuple[bytes, bytes]:
        assert self._process.stdout is not None
        watch = threading.Timer(self._limits.timeout, self._stop_late)
        watch.daemon = True
        watch.start()
        try:
            kind, content = receive(self._process.stdout)
            message = json.loads(content) if kind == FAIL else None
        except (BrokenConversationError, ValueError, RecursionError) as error:
            self.failed(error)
        finally:
            watch.cancel()
        if message is not None:
            raise AudioFileError(str(message))
        return kind, content

    def _stop_late(self) -> None:
        self._late = True
        self._process.kill()

    def failed(self, reason: Exception) -> NoReturn:
        """End the process and say why."""
        try:
            code = self._process.wait(_DYING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = 0
        if self._late:
            how = f"did not go on for {self._limits.timeout:g} s and was stopped"
        elif code < 0:
            how = f"crashed (signal {-code})"
        else:
            how = f"failed ({reason})"
        raise AudioFileError(
            f"{self._name}: the decoder {how}; the file is damaged or made to do harm: export it "
            "again, or leave it alone"
        ) from reason

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _plain_file(file: BinaryIO | Pipe, name: str, resources: ExitStack) -> BinaryIO:
    """Return a file that another process can read and move in."""
    if isinstance(file, Pipe):
        file = file.spooled(name, resources)
    file.seek(0)
    file.flush()  # what is only in this process
    # Others may have a descriptor too, but of something else: of a compressed file, for example.
    if isinstance(file, io.FileIO) or isinstance(getattr(file, "raw", None), io.FileIO):
        return file
    copy: BinaryIO = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    while data := file.read(_COPIED_BLOCK):
        copy.write(data)
        if copy.tell() > _MAX_COPIED_BYTES:
            raise AudioFileError(f"{name}: more than 4 GB; save it to a file first")
    copy.seek(0)
    return copy
