"""The ``songsplit`` command."""

from __future__ import annotations

import os
import shlex
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from typer.core import TyperGroup

import songsplit
from songsplit.data.commands import app as data_app
from songsplit.errors import AudioFileError, OutputError, OutputExistsError, SongsplitError
from songsplit.formats import BitDepth, Clip, FormatName, OutputFormat
from songsplit.quality import BALANCED, Quality

if TYPE_CHECKING:
    from songsplit.separator import Separator

_DEFAULT_COMMAND = "split"
_STANDARD_INPUT = "-"


class _DefaultCommandGroup(TyperGroup):
    """Takes anything that is not the name of a command as files to split."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help", "-h", "--version"}:
            args = [_DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        # The options of the default command are what most people look for.
        own = self.params
        self.params = [*own, *self.commands[_DEFAULT_COMMAND].params]
        super().format_help(ctx, formatter)
        self.params = own


app = typer.Typer(
    cls=_DefaultCommandGroup,
    add_completion=False,
    subcommand_metavar="",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)
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
    the song. `songsplit *.flac -o stems` does so for many songs, below the folder stems.
    """


@app.command()
def split(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="SONG", help="Audio files, or - for standard input.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder that gets a folder for each song."),
    ] = Path(),
    model: Annotated[
        str | None,
        typer.Option(help="Name of a model, or a .safetensors file.", show_default="default"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Compute on: cpu, cuda, mps, ...", show_default="the fastest"),
    ] = None,
    quality: Annotated[
        Quality, typer.Option(help="The best takes three times as long.")
    ] = BALANCED,
    stdout: Annotated[
        str | None,
        typer.Option(
            metavar="STEM",
            help="Write this stem (vocals or instrumental) of one song to standard output, as "
            "WAV, while the song is still being read; write no files.",
            show_default=False,
        ),
    ] = None,
    output_format: Annotated[
        FormatName, typer.Option("--format", help="Kind of file; stem.mp4 is for DJ programs.")
    ] = "wav",
    bit_depth: Annotated[
        BitDepth | None,
        typer.Option(help="Of WAV and FLAC.", show_default="32f, of FLAC 24"),
    ] = None,
    bitrate: Annotated[
        int | None,
        typer.Option(
            help="Of the other formats, in kbit/s for stereo.",
            show_default="320 for MP3, 256 for M4A and OGG, 192 for Opus",
        ),
    ] = None,
    clip: Annotated[
        Clip,
        typer.Option(
            help="Where a stem would clip: make all stems quieter, or cut off what is beyond."
        ),
    ] = "scale",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are already there.")
    ] = False,
) -> None:
    """Write vocals and instrumental of each song (the default command).

    The files have the song's own sample rate, channels and length, its tags and its cover
    picture. By default they are WAV of 32-bit floating point, in which nothing clips.
    """
    if stdout is not None and len(files) > 1:
        raise typer.BadParameter("--stdout takes one song")
    failed = 0
    separator: Separator | None = None
    owners: dict[Path, Path] = {}
    for name in files:
        file = Path(name)
        # A name such as "...wav" would lead out of the output folder.
        folder = output / (file.name if file.stem in ("", ".", "..") else file.stem)
        if name == _STANDARD_INPUT:
            folder = output / "stdin"
        try:
            if owners.setdefault(folder, file) != file:
                raise OutputError(
                    f"{file}: {folder} already gets the stems of {owners[folder]}: "
                    "separate this one by itself, with another --output"
                )
            if separator is None:
                # Importing torch takes seconds, and --help should not.
                from songsplit.separator import Separator

                chosen = OutputFormat(output_format, bit_depth, bitrate)
                separator = Separator(model, device, quality=quality)
            if stdout is None:
                _split_one(separator, name, folder, chosen, clip, overwrite)
            else:
                _pass_through(separator, name, stdout)
        except SongsplitError as error:
            typer.echo(f"songsplit: {error}", err=True)
            failed += 1
            if separator is None:
                break  # the model or the device: no other file will fare better
        except KeyboardInterrupt:
            left = "no partial results were left" if stdout is None else "before the end"
            typer.echo(f"songsplit: stopped; {left}", err=True)
            raise typer.Exit(130) from None
        except OSError as error:
            # Files have errors of our own: this is standard output. Nothing may be left
            # to be written when Python closes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):  # whoever reads it has had enough
                raise typer.Exit(141) from None
            typer.echo(f"songsplit: standard output: {error.strerror}", err=True)
            raise typer.Exit(1) from None
    if failed:
        raise typer.Exit(1)


def _split_one(
    separator: Separator,
    file: str,
    folder: Path,
    output: OutputFormat,
    clip: Clip,
    overwrite: bool,
) -> None:
    from songsplit.stems import stem_paths

    typer.echo(f"{file}", err=True)
    try:
        paths = separator.separate_to_files(
            _source(file),
            folder,
            output=output,
            clip=clip,
            overwrite=overwrite,
            progress=sys.stderr.isatty(),
        )
    except OutputExistsError:
        for path in stem_paths(folder, separator.targets, output=output, overwrite=True).values():
            if not path.exists():
                raise OutputError(
                    f"{file}: {folder} has no {path.name} but other results: use --overwrite"
                ) from None
        typer.echo(f"  kept {folder}, which is already there; --overwrite replaces it", err=True)
        return
    if paths.gain_db <= -0.005:
        typer.echo(f"  all stems are {-paths.gain_db:.2f} dB quieter, so that none clips", err=True)
    for problem in paths.problems:
        typer.echo(f"  {problem}", err=True)
    for path in dict.fromkeys(paths.values()):
        typer.echo(path)
        sys.stdout.flush()


def _pass_through(separator: Separator, file: str, stem: str) -> None:
    from songsplit.audio import WavStream

    if stem not in separator.targets:
        raise OutputError(f"there is no stem {stem!r}, only {', '.join(separator.targets)}")
    if sys.stdout.isatty():
        raise OutputError("standard output is a terminal: send it to a file or to a program")
    writer: WavStream | None = None
    for stems in separator.stream(_source(file)):
        if writer is None:
            writer = WavStream(sys.stdout.buffer, stems.sample_rate, stems[stem].shape[0])
        writer.write(stems[stem])


def _source(file: str) -> Path | BinaryIO:
    if file != _STANDARD_INPUT:
        return Path(file)
    if sys.stdin.isatty():
        raise AudioFileError("standard input is a terminal: send a file or a program's output")
    return sys.stdin.buffer


@app.command()
def models() -> None:
    """List the models that come with songsplit, and on what terms."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    for info in songsplit.list_models():
        table = Table("", "", show_header=False, box=None, title=info.name, title_justify="left")
        for key in ("description", "scores", "training", "data", "terms"):
            # As plain text: brackets in it are no markup.
            table.add_row(key, Text(str(info.card[key])))
        table.add_row("file", Text(f"{info.path} ({info.path.stat().st_size / 1e6:.1f} MB)"))
        Console().print(table)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A .ckpt file of a training run.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT.safetensors", help="The weights file to write.")
    ],
    card: Annotated[
        Path | None,
        typer.Option(help="JSON file with more to record of the model.", show_default=False),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Terms that the weights are under.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model.", show_default="that of the file")
    ] = None,
    sharpness: Annotated[
        float, typer.Option(help="Below 1, masks become softer; about 0.6 gives the best SDR.")
    ] = 1.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is already there.")
    ] = False,
) -> None:
    """Turn a training checkpoint into a model file that --model takes.

    The file records what the model was trained on and how.
    """
    from songsplit.training.export import export_checkpoint, read_card

    try:
        given = read_card(card) if card else {}
        given |= {k: v for k, v in (("licence", licence), ("name", name)) if v is not None}
        sha256 = export_checkpoint(
            checkpoint, given, output, sharpness=sharpness, overwrite=overwrite
        )
    except SongsplitError as error:
        typer.echo(f"songsplit: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{output} ({output.stat().st_size / 1e6:.1f} MB)")
    typer.echo(f"SHA-256 {sha256}")
    typer.echo(f"use it with: songsplit song.mp3 --model {shlex.quote(str(output))}")


def main() -> None:
    """Run the command line."""
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
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code)
        raise
