"""The ``songsplit`` command."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from difflib import get_close_matches
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import songsplit
from songsplit.cli import models, page, separate
from songsplit.cli.display import telling_errors
from songsplit.cli.info import info
from songsplit.data.check import app as data_app

_DEFAULT_COMMAND = "split"
_OWN_OPTIONS = ("--help", "-h", "--version", "--install-completion", "--show-completion")
_LIKE_A_COMMAND = re.compile(r"[A-Za-z][A-Za-z-]{0,19}")


class _DefaultCommandGroup(TyperGroup):
    """Takes anything that is not the name of a command as files to split."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *_OWN_OPTIONS}:
            is_word = _LIKE_A_COMMAND.fullmatch(args[0]) and not os.path.lexists(args[0])
            if is_word and not ctx.resilient_parsing:  # for completion, which must not fail
                close = get_close_matches(args[0].lower(), self.commands, 1, 0.7)
                advice = f"did you mean {close[0]}?" if close else "songsplit --help lists commands"
                ctx.fail(f"{args[0]!r}: no command and no file of that name; {advice}")
            for before, name in pairwise(args):
                is_value = before.startswith("-")
                if name in self.commands and not is_value and not os.path.lexists(name):
                    ctx.fail(f"the command comes first: songsplit {name} ...")
            args = [_DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, [_guarded(argument) for argument in args])

    def invoke(self, ctx: Any) -> Any:
        with telling_errors():
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        # Commands first. The options of the default command are what most people look for.
        self.format_commands(ctx, formatter)
        shown = [*self.commands[_DEFAULT_COMMAND].params, *self.get_params(ctx)]
        records = [record for p in shown if (record := p.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(records)


def _guarded(argument: str) -> str:
    """Take a file whose name begins with a dash for a file, not for an option."""
    is_file = argument.startswith("-") and "." in argument and Path(argument).is_file()
    return f"./{argument}" if is_file else argument


app = typer.Typer(
    cls=_DefaultCommandGroup,
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
app.command("app")(page.app)
app.command()(info)
app.command("models")(models.list_models)
app.command("export")(models.export)
app.add_typer(data_app, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"songsplit {songsplit.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Split songs into vocals and instrumental, on this machine, offline.

    `songsplit song.mp3` writes song/vocals.wav and song/instrumental.wav, which add up to
    the song. `songsplit Music -o stems` does so for all songs in a folder.
    """


def main() -> None:
    """Run the command line."""
    # Before torch is loaded: threads that spin while they wait take the time of other programs.
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # A stream that was closed before the start is None: read nothing, write to nowhere.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    # File names may hold what the terminal's encoding cannot show.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        if "torch" in sys.modules and isinstance(end.code, int):
            # Taking torch apart takes Python half a second, and everything is written.
            with suppress(OSError):
                sys.stderr.flush()
            sys.stdout.flush()
            os._exit(end.code)
        raise
