"""Mixes and pictures of stems that an earlier run wrote: nothing is separated again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import StemFilesWriter, open_audio, read_tags
from songsplit.cli.inputs import Song
from songsplit.cli.plan import Request
from songsplit.files import write_whole
from songsplit.naming import Files
from songsplit.pictures import SongPicture
from songsplit.progress import Report
from songsplit.stems import SavedStems, mix_stems

_Blocks: TypeAlias = Iterator[Mapping[str, NDArray[np.float32]]]


def from_stems(
    stems: Mapping[str, Path], request: Request, song: Song, files: Files, progress: Report
) -> SavedStems:
    """Write the mix, or else only the picture, that is asked for."""
    with ExitStack() as stack:
        # In a stem file, stems are the tracks after the mixture.
        is_stem_file = len({*stems.values()}) < len(stems)
        readers = [
            stack.enter_context(open_audio(path, track=number if is_stem_file else None))
            for number, path in enumerate(stems.values(), 2)
        ]
        about = readers[0].info

        def blocks() -> _Blocks:
            done = 0
            together = (reader.blocks(about.sample_rate) for reader in readers)
            for parts in zip(*together, strict=True):
                done += parts[0].shape[1]
                yield dict(zip(stems, parts, strict=True))
                progress(done / about.sample_rate, about.seconds, None)

        drawing = SongPicture(song.track, [*stems], about.sample_rate) if files.picture else None
        shown = drawing.watching(blocks()) if drawing else blocks()
        if request.mix is None:
            for _ in shown:
                pass
            if drawing and files.picture:
                write_whole(files.picture, drawing.png())
            return SavedStems(files.stems, gain=1.0, problems=[], picture=files.picture)
        writer = StemFilesWriter(
            files.stems,
            about.sample_rate,
            about.channels,
            output=request.output,
            tags=read_tags(song.path) if song.path else None,
            guarded=request.mix.name not in request.stems,
            alive=lambda: progress(about.seconds or 0.0, about.seconds, None),
        )
        with writer:
            for block in shown:
                mixed = mix_stems(block, request.mix.gains)
                writer.write({request.mix.name: np.asarray(mixed, np.float32)})
            if drawing and files.picture:
                writer.add_file(files.picture, drawing.png())
    return SavedStems(
        files.stems, gain=writer.gain, problems=writer.problems, picture=files.picture
    )
