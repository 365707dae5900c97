"""What a caller names as a song, opened: paths and file objects, and what is wrong with them."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TypeAlias

from songsplit.audio._pipes import Pipe
from songsplit.errors import AudioFileError

AudioSource: TypeAlias = str | os.PathLike[str] | BinaryIO


def open_source(source: AudioSource, resources: ExitStack) -> tuple[BinaryIO | Pipe, str]:
    """Return a seekable binary file or a pipe, and the name to call it by."""
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        try:
            if Path(name).is_dir():
                raise AudioFileError(f"{name}: this is a folder; name an audio file in it")
            file: BinaryIO = Path(name).open("rb")  # noqa: SIM115
            resources.callback(file.close)
        except FileNotFoundError as error:
            raise AudioFileError(
                f"{name}: there is no such file; check the name and the folder"
            ) from error
        except PermissionError as error:
            raise AudioFileError(
                f"{name}: no permission to read the file; change its permissions or copy it"
            ) from error
        except (OSError, ValueError) as error:
            raise unreadable(name, error) from error
    elif hasattr(source, "read"):
        file = source
        given = getattr(file, "name", None)
        name = given if isinstance(given, str) and given else "<file object>"
        handle: object = file
        if isinstance(handle, io.TextIOBase):
            raise AudioFileError(f"{name}: the file is open as text; open it in mode 'rb'")
    else:
        raise AudioFileError(
            f"{type(source).__name__} object: not a file; give a path or a binary file object"
        )
    try:
        pipe = None if file.seekable() else Pipe(file)
        if pipe is None:
            file.seek(0)
            is_empty = not file.read(1)
        else:
            is_empty = not pipe.head
            if not is_empty and not pipe.streamed:
                file, pipe = pipe.spooled(name, resources), None
    except (AttributeError, OSError, ValueError) as error:
        raise unreadable(name, error) from error
    if is_empty:
        raise AudioFileError(f"{name}: the file is empty (0 bytes); copy or download it again")
    return pipe or file, name


def empty(name: str) -> AudioFileError:
    """Say that a file has no samples."""
    return AudioFileError(f"{name}: the file holds no samples; export it again with audio in it")


def cut_off(name: str, seconds: float) -> AudioFileError:
    """Say that a file ends too early, and where."""
    return AudioFileError(
        f"{name}: the file is cut off: its audio stops at {seconds:.2f} s, before the end that the "
        "file itself gives; copy, download or export it again"
    )


def unreadable(name: str, error: Exception) -> AudioFileError:
    """Say that reading failed, and how."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return AudioFileError(
        f"{name}: the file cannot be read ({reason}); check the name, the disk and the file"
    )
