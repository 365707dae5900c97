"""The ``songsplit`` command group, and the commands ``app``, ``models`` and ``export``."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import webbrowser
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

import songsplit
from songsplit.cli import separate
from songsplit.cli.catalogue import app as catalogue_app
from songsplit.cli.display import say
from songsplit.cli.groups import DefaultCommandGroup
from songsplit.cli.info import info
from songsplit.data.check import app as data_app
from songsplit.errors import MissingExtraError, OutputExistsError
from songsplit.inference import let_threads_sleep

app = typer.Typer(
    cls=DefaultCommandGroup,
    subcommand_metavar="[COMMAND] SONG...",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(separate.split)
app.command()(separate.karaoke)
app.command()(separate.acapella)
app.command()(separate.remix)
app.command()(separate.practice)
app.command()(info)
app.add_typer(data_app, name="data")
app.add_typer(catalogue_app, name="catalogue")


@app.command("app")
def open_page(
    songs: Annotated[
        list[Path] | None, Argument(metavar="[SONG]...", exists=True, dir_okay=False)
    ] = None,
    port: Annotated[
        int, Option(min=0, max=65535, help="Port on this machine; 0 selects a free port.")
    ] = 0,
    browser: Annotated[
        bool, Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    export: Annotated[
        Path | None,
        Option(
            metavar="FOLDER",
            help="Instead, write the page as a static site for any web server, which separates "
            "songs in the visitors' browsers.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        Option("--model", "-m", help="Model of the site (name or file).", show_default="default"),
    ] = None,
    device: Annotated[
        str | None, Option(help="Compute device: cpu, cuda or mps.", show_default="the fastest")
    ] = None,
) -> None:
    """Open a page in the browser: drop a song in and hear each stem.

    Songs are separated on this machine and never leave it. Press Ctrl-C to stop.
    """
    if export is not None:
        from songsplit.web.site import export_site

        export_site(export, model)
        typer.echo(export)
        return
    if model is not None:
        raise typer.BadParameter("--model needs --export; choose the model in the page's Settings")
    from songsplit.web.server import PageServer

    try:
        server = PageServer(songs or (), port=port, device=device)
    except OSError as error:
        raise typer.BadParameter(f"port {port}: {error.strerror}; choose another") from error
    with server:
        # Signals end the program normally, so that uploaded songs are removed.
        for name in ("SIGTERM", "SIGHUP"):  # not all systems have both
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
        typer.echo(server.address)
        say("Open the address above in a browser. Press Ctrl-C to stop.")
        threading.Thread(target=server.get_ready, daemon=True).start()
        if browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("The page is closed.")


@app.command("models")
def list_models() -> None:
    """List the models that come with songsplit, and their terms."""
    for model in songsplit.list_models():
        size = f"{model.path.stat().st_size / 1e6:.1f} MB"
        typer.echo(f"{model.name}\n  file: {model.path} ({size})")
        for key in ("description", "scores", "training", "data", "terms"):
            typer.echo(f"  {key}: {model.card[key]}")


@app.command("export")
def export_model(
    checkpoint: Annotated[
        Path, Argument(help="A .ckpt file of a training run; for .onnx, a model name or file.")
    ],
    output: Annotated[
        Path, Argument(metavar="OUT.safetensors|OUT.onnx", help="The file to write.")
    ],
    card: Annotated[Path | None, Option(help="JSON file with more fields of the card.")] = None,
    licence: Annotated[str | None, Option(help="Licence of the weights.")] = None,
    name: Annotated[
        str | None, Option(help="Name of the model.", show_default="the file's name")
    ] = None,
    sharpness: Annotated[
        float, Option(help="Below 1, masks are softer; about 0.6 gives the best SDR.")
    ] = 1.0,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write a checkpoint as a model file, or a model as ONNX.

    A model file for --model records the training data and settings. For an ONNX file for other
    programs, run songsplit export default default.onnx. Your own models need the extra onnx.
    """
    if output.suffix == ".onnx":
        from songsplit.files import write_whole
        from songsplit.models.weights import any_network

        if os.path.lexists(output) and not overwrite:
            raise OutputExistsError(f"{output} already exists: use --overwrite, or another name")
        write_whole(output, any_network(str(checkpoint)))
        typer.echo(f"{output} ({output.stat().st_size / 1e6:.1f} MB)")
        return
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("torch", "torch") from error
    from songsplit.training.export import export_checkpoint, read_card

    given = read_card(card) if card else {}
    given |= {k: v for k, v in (("licence", licence), ("name", name)) if v is not None}
    sha256 = export_checkpoint(checkpoint, given, output, sharpness=sharpness, overwrite=overwrite)
    typer.echo(f"{output} ({output.stat().st_size / 1e6:.1f} MB)\nSHA-256 {sha256}")
    typer.echo(f"use it with: songsplit song.mp3 --model {shlex.quote(str(output))}")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"songsplit {songsplit.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, Option("--version", callback=_show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Split songs into vocals and instrumental, offline on this machine.

    `songsplit song.mp3` writes song/vocals.wav and song/instrumental.wav, which add up to
    the song. `songsplit Music -o stems` splits all songs in a folder.
    """


def main() -> None:
    """Run the command line."""
    let_threads_sleep()
    # A stream that was closed before the start is None: use the null device.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    # File names may contain characters that the terminal's encoding lacks.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        if "torch" in sys.modules and isinstance(end.code, int):
            # All files are written, and unloading torch would take half a second.
            with suppress(OSError):
                sys.stderr.flush()
            sys.stdout.flush()
            os._exit(end.code)
        raise
