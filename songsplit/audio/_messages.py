"""What a decoding process says to the one that started it: plain bytes, never pickles."""

from __future__ import annotations

import struct
from typing import IO

INFO = b"INFO"  # JSON
DATA = b"DATA"  # float32 samples, (channels, n)
DONE = b"DONE"  # nothing: all has been sent
FAIL = b"FAIL"  # JSON

_HEADER = "<4sI"
_MAX_BYTES = 1 << 26


class BrokenConversationError(Exception):
    """The other process has ended, or says what makes no sense."""


def send(file: IO[bytes], kind: bytes, content: bytes = b"") -> None:
    """Write a message."""
    file.write(struct.pack(_HEADER, kind, len(content)))
    file.write(content)
    file.flush()


def receive(file: IO[bytes]) -> tuple[bytes, bytes]:
    """Read a message: its kind and content.

    Raises
    ------
    BrokenConversationError
        If there is none, or no whole one.
    """
    header = file.read(struct.calcsize(_HEADER))
    if len(header) < struct.calcsize(_HEADER):
        raise BrokenConversationError("no answer")
    kind, length = struct.unpack(_HEADER, header)
    if length > _MAX_BYTES:
        raise BrokenConversationError("a message is too long")
    content = file.read(length)
    if len(content) < length:
        raise BrokenConversationError("a message broke off")
    return kind, content
