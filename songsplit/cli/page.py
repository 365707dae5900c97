"""The command that opens the page in a browser."""

from __future__ import annotations

import signal
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from songsplit.cli.display import say


def app(
    songs: Annotated[
        list[Path] | None,
        Argument(metavar="[SONG]...", exists=True, dir_okay=False, show_default=False),
    ] = None,
    port: Annotated[
        int, Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 0,
    browser: Annotated[
        bool, Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    export: Annotated[
        Path | None,
        Option(
            metavar="FOLDER",
            help="Instead, write the page as a site for any web server: it separates songs in "
            "its visitors' browsers.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        Option(
            "--model", "-m", help="Model of the site: a name or a file.", show_default="default"
        ),
    ] = None,
    device: Annotated[
        str | None, Option(help="Compute device: cpu, cuda or mps.", show_default="automatic")
    ] = None,
) -> None:
    """Open a page in the browser: drop a song in, hear each stem on its own.

    Songs are separated on this machine and never leave it. Ctrl-C ends the page.
    """
    if export is not None:
        from songsplit.web.site import export_site

        export_site(export, model)
        typer.echo(export)
        return
    if model is not None:
        raise typer.BadParameter("--model is for --export; on the page, Settings choose the model")
    from songsplit.web.server import PageServer

    try:
        server = PageServer(songs or (), port=port, device=device)
    except OSError as error:
        raise typer.BadParameter(f"port {port}: {error.strerror}; choose another") from error
    with server:
        # However it ends, no song that was uploaded stays on the disk.
        for name in ("SIGTERM", "SIGHUP"):  # not all systems have both
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
        typer.echo(server.address)
        say("The page is at the address above. Ctrl-C ends it.")
        threading.Thread(target=server.get_ready, daemon=True).start()
        if browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("The page is closed.")
