"""The command ``songsplit catalogue``: songs by the thousand, on Ray or in shards."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from songsplit.cli.display import FAILED, say
from songsplit.cli.groups import DefaultCommandGroup
from songsplit.cli.options import (
    BitDepthOption,
    BitrateOption,
    DeviceOption,
    FormatOption,
    Json,
    ModelOption,
    QualityOption,
    Quiet,
)
from songsplit.errors import DataError
from songsplit.progress import clock

if TYPE_CHECKING:
    from songsplit.catalogue import Summary

_LOG_SECONDS = 30  # between lines where there is no terminal
_SHOWN_ERRORS = 20
_INTERRUPTED = 130


class _CatalogueGroup(DefaultCommandGroup):
    default = "separate"


app = typer.Typer(
    cls=_CatalogueGroup,
    no_args_is_help=True,
    subcommand_metavar="MANIFEST --output URL | status OUTPUT",
    help="Separate a whole catalogue, on this machine or on a Ray cluster.",
)


@app.command()
def separate(
    manifest: Annotated[
        str,
        Argument(
            help="A .parquet or .csv table with a column uri and maybe id, a folder, or a pattern "
            "with *; a path or a URL such as s3://bucket/songs.parquet."
        ),
    ],
    output: Annotated[
        str, Option("--output", "-o", metavar="URL", help="Folder that all machines reach.")
    ],
    output_format: FormatOption = "flac",
    bit_depth: BitDepthOption = None,
    bitrate: BitrateOption = None,
    model: ModelOption = None,
    quality: QualityOption = "balanced",
    device: DeviceOption = None,
    address: Annotated[
        str | None,
        Option(help="Of a Ray cluster: auto, or ray://HOST:10001.", show_default="this machine"),
    ] = None,
    shard: Annotated[
        str | None, Option(metavar="I/N", help="Do this share of the songs here, without Ray: 0/8.")
    ] = None,
    actors: Annotated[
        int | None,
        Option(min=1, help="Processes that separate.", show_default="as many as fit"),
    ] = None,
    cpus_per_actor: Annotated[int, Option(min=1, help="Processors of each, and threads.")] = 1,
    gpus_per_actor: Annotated[float, Option(min=0, help="GPUs of each.")] = 0,
    web: Annotated[bool, Option("--web", help="Also fetch songs at http:// and https://.")] = False,
    retry_damaged: Annotated[
        bool, Option("--retry-damaged", help="Try songs again that were found damaged.")
    ] = False,
    overwrite: Annotated[
        bool,
        Option("--overwrite", help="Replace results of another model, quality or format."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Separate the songs that are not done yet. The same command again does what is missing."""
    from songsplit.audio import OutputFormat
    from songsplit.catalogue import separate_catalogue

    line = _Line(quiet=quiet)
    try:
        summary = separate_catalogue(
            manifest,
            output,
            model=model,
            quality=quality,
            output_format=OutputFormat(output_format, bit_depth, bitrate),
            device=device,
            address=address,
            shard=shard,
            actors=actors,
            cpus_per_actor=cpus_per_actor,
            gpus_per_actor=gpus_per_actor,
            web=web,
            retry_damaged=retry_damaged,
            overwrite=overwrite,
            progress=line.show,
        )
    except KeyboardInterrupt:
        say("songsplit: stopped; the same command separates the rest")
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        line.end()
    for uri, error in [*summary.errors.items()][:_SHOWN_ERRORS]:
        say(f"songsplit: {_named(uri, error)}")
    if len(summary.errors) > _SHOWN_ERRORS:
        say(f"songsplit: {len(summary.errors) - _SHOWN_ERRORS} more: songsplit catalogue status")
    if not quiet:
        say(
            f"{summary.done} done, {summary.kept} kept from earlier runs, "
            f"{summary.damaged} damaged, {summary.failed} failed in {clock(summary.elapsed)}"
        )
    if summary.errors:
        raise typer.Exit(FAILED)


@app.command()
def status(
    output: Annotated[str, Argument(metavar="OUTPUT", help="What --output was.")],
    json_: Json = False,
) -> None:
    """Tell what became of the songs of a catalogue."""
    from songsplit.catalogue import read_outcomes

    outcomes = read_outcomes(output).to_pylist()
    if not outcomes:
        raise DataError(f"{output}: no outcomes were found; name the folder that --output named")
    if json_:
        for outcome in outcomes:
            typer.echo(json.dumps(outcome, default=str, ensure_ascii=False))
        return
    statuses = [outcome["status"] for outcome in outcomes]
    for name in ("done", "damaged", "failed", "started"):
        typer.echo(f"{name:8} {statuses.count(name)}")
    typer.echo(f"audio    {sum(o['seconds'] or 0 for o in outcomes) / 3600:.2f} h")
    typer.echo(f"work     {sum(o['work'] or 0 for o in outcomes) / 3600:.2f} h")
    for outcome in outcomes:
        if outcome["error"]:
            typer.echo(f"{outcome['status']}: {_named(outcome['uri'], outcome['error'])}")


def _named(uri: str, error: str) -> str:
    return error if uri in error else f"{uri}: {error}"


class _Line:
    """A line on standard error that says how far the run is; in a log, one from time to time."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._is_terminal = quiet, sys.stderr.isatty()
        self._last = time.monotonic()

    def show(self, summary: Summary) -> None:
        now = time.monotonic()
        is_due = self._is_terminal or now - self._last >= _LOG_SECONDS
        if self._quiet or not is_due:
            return
        self._last = now
        worked, seconds = summary.worked, summary.elapsed
        words = f"{summary.kept + worked} of {summary.songs} songs"
        if errors := summary.damaged + summary.failed:
            words += f", {errors} damaged or failed"
        if worked:
            hours = summary.seconds / 3600 / seconds
            left = clock((summary.songs - summary.kept - worked) * seconds / worked)
            words += f", {worked / seconds:.2g} songs/s, {hours:.2g} h of audio/s, {left} left"
        if self._is_terminal:
            sys.stderr.write(f"\r{words:<100}")
            sys.stderr.flush()
        else:
            say(words)

    def end(self) -> None:
        """Leave the line."""
        if self._is_terminal and not self._quiet:
            say("")
