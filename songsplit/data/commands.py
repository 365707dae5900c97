"""The command ``songsplit data``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look after training data.", no_args_is_help=True)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of training data.", show_default=False)],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What is in it: songs, vocals, instrumentals or musdb.",
            show_default="musdb or songs, whichever is found",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="File to write the table to.", show_default=False)
    ] = None,
) -> None:
    """Decode training data as a training would, without keeping anything.

    Shows which songs would be used, with which stems, and which would not, and why. The exit
    status is 1 if none can be used.
    """
    # Slow to import, and --help should be quick.
    from dataclasses import asdict

    from rich.console import Console

    from songsplit.data.check import check_folder, table
    from songsplit.files import write_json

    rows = check_folder(folder, kind)
    if json is not None:
        write_json(json, {"folder": str(folder), "songs": [asdict(row) for row in rows]})
    # Wide enough for all columns also where the output goes to a file.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(table(rows))
    if not any(row.used for row in rows):
        raise typer.Exit(1)
