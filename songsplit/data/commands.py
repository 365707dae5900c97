"""The command ``songsplit data``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from songsplit.errors import SongsplitError

if TYPE_CHECKING:
    from songsplit.data.check import Report

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
        Path | None, typer.Option(help="File to write the report to.", show_default=False)
    ] = None,
) -> None:
    """Decode all training data in a folder and say what is wrong with them.

    Shows which files would be used as which stems, and files that are damaged, silent,
    clipped, there twice, without a partner, of other lengths than their partners, or that
    do not add up to their mixture. The exit status is 1 if anything cannot be used.
    """
    # Slow to import, and --help should be quick.
    from rich.console import Console

    from songsplit.data.check_report import print_report, report_json
    from songsplit.files import write_json

    try:
        report = _checked(folder, kind)
        if json is not None:
            write_json(json, report_json(report))
    except SongsplitError as error:
        typer.echo(f"songsplit: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("songsplit: stopped", err=True)
        raise typer.Exit(130) from None
    # Wide enough for all columns also where the output goes to a file.
    print_report(report, Console() if sys.stdout.isatty() else Console(width=120))
    if report.count("error"):
        raise typer.Exit(1)


def _checked(folder: Path, kind: str | None) -> Report:
    from songsplit.data.check import check_folder

    if not sys.stderr.isatty():
        return check_folder(folder, kind)

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, description=escape(name), completed=done, total=total)

        return check_folder(folder, kind, show)
