"""From a song's file to the files of its stems, or of a mix of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import Access, AudioReader, StemFilesWriter
from songsplit.errors import OutputError
from songsplit.formats import Clip, OutputFormat
from songsplit.mixes import Mix
from songsplit.naming import track_name
from songsplit.progress import Progress, Reporter
from songsplit.results import Mixer, SavedStems, check_free, result_files

if TYPE_CHECKING:
    from typing_extensions import TypeIs

File: TypeAlias = str | os.PathLike[str] | BinaryIO
Separate: TypeAlias = Callable[[AudioReader], Iterator[NDArray[np.float32]]]


def write_song(
    audio: File,
    folder: str | os.PathLike[str],
    stems: tuple[str, ...],
    separate: Separate,
    *,
    access: Access,
    mix: Mix | None,
    filename: str,
    output: OutputFormat,
    clip: Clip,
    picture: bool,
    overwrite: bool,
    progress: Progress,
) -> SavedStems:
    """Separate a file and write what comes, block by block.

    Parameters
    ----------
    audio : path or binary file
    folder : path
    stems : tuple of str
        Names of the stems.
    separate : callable
        Turns an open file into blocks of stems, shape (stems, channels, n).
    access : Access
        How the file is opened.
    mix, filename, output, clip, picture, overwrite, progress
        As for :meth:`songsplit.Separator.separate_to_files`, which also tells what can go
        wrong.

    Returns
    -------
    SavedStems
    """
    # Before the audio: reading tags moves in the file.
    tags = access.tags(audio) if can_seek(audio) else None
    names = stems if mix is None else (mix.name,)
    if tags is not None and mix is not None:
        tags = tags.at_tempo(mix.tempo)
    track = track_name(
        audio if isinstance(audio, str | os.PathLike) else getattr(audio, "name", None)
    )
    with access.audio(audio) as reader:
        files = result_files(
            folder, names, output, filename=filename, track=track, tags=tags, picture=picture
        )
        check_free(folder, files, overwrite=overwrite)
        _protect(audio, files)
        rate, channels = reader.info.sample_rate, reader.info.channels
        drawing = None
        if files.picture is not None:
            from songsplit.pictures import SongPicture

            drawing = SongPicture(track, stems, rate)
        mixer = Mixer(mix, rate, channels)
        reporter = Reporter(progress, rate, reader.info.seconds)
        writer = StemFilesWriter(
            files.stems,
            rate,
            channels,
            output=output,
            tags=tags,
            clip=clip,
            guarded=mix is not None,
            alive=reporter.report,
        )
        with reporter, writer:
            for block in reporter.through(separate(reader)):
                named = dict(zip(stems, block, strict=True))
                writer.write(mixer(named))
                if drawing is not None:
                    drawing.add(named)
            writer.write(mixer.rest())
            if drawing is not None and files.picture is not None:
                writer.add_file(files.picture, drawing.png())
    return SavedStems(
        files.stems, gain=writer.gain, problems=writer.problems, picture=files.picture
    )


def is_file(audio: object) -> TypeIs[File]:
    """Say whether audio is a file, by its path or open, and no array."""
    return isinstance(audio, str | os.PathLike) or hasattr(audio, "read")


def can_seek(file: File) -> bool:
    """Say whether a file can be read twice; what is no file at all is told by open_audio."""
    if isinstance(file, str | os.PathLike):
        return is_plain(Path(file))
    return getattr(file, "seekable", lambda: False)()


def is_plain(path: Path) -> bool:
    """Say whether a path is no named pipe or device, which gives what is in it only once."""
    try:
        return not path.exists() or path.is_file()
    except (OSError, ValueError):
        return True


def _protect(audio: File, paths: Iterable[Path]) -> None:
    """Refuse to replace the song by one of its own stems."""
    if not isinstance(audio, str | os.PathLike):
        return
    for path in paths:
        if path.exists() and path.samefile(audio):
            raise OutputError(f"{audio} would be replaced by its own stem: name another folder")
