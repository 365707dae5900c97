"""Fill a cache for training: ``python -m songsplit.data --musdb musdb18 cache``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from songsplit.data.cache import RawClip, write_cache
from songsplit.data.sources import manifest_clips, musdb_clips
from songsplit.errors import SongsplitError


def fill(
    cache: Annotated[Path, typer.Argument(help="Folder to fill.", show_default=False)],
    musdb: Annotated[
        Path | None, typer.Option(help="Folder of MUSDB18 or MUSDB18-HQ.", show_default=False)
    ] = None,
    manifest: Annotated[
        list[Path] | None,
        typer.Option(help="CSV list of other recordings; may be repeated.", show_default=False),
    ] = None,
    sample_rate: Annotated[int, typer.Option(help="Rate in Hz to resample to.")] = 44100,
) -> None:
    """Decode training data into a cache folder that train.py reads.

    Takes about 10 MB per minute of audio and stem.
    """

    def clips() -> Iterator[RawClip]:
        if musdb is not None:
            yield from musdb_clips(musdb)
        for path in manifest or ():
            yield from manifest_clips(path)

    console = Console(stderr=True)
    try:
        filled = write_cache(track(clips(), "decoding", console=console), cache, sample_rate)
    except SongsplitError as error:
        typer.echo(f"songsplit: {error}", err=True)
        raise typer.Exit(1) from None
    minutes = sum(clip.samples for clip in filled.clips) / sample_rate / 60
    typer.echo(f"{len(filled.clips)} clips, {minutes:.0f} minutes in {cache}")


if __name__ == "__main__":
    typer.run(fill)
