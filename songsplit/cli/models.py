"""The commands about models."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

import songsplit
from songsplit.errors import MissingExtraError, OutputExistsError


def list_models() -> None:
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


def export(
    checkpoint: Annotated[
        Path, Argument(help="A .ckpt file of a training run; for .onnx, a model or its file.")
    ],
    output: Annotated[
        Path,
        Argument(
            metavar="OUT.safetensors|OUT.onnx", help="The weights file, or network file, to write."
        ),
    ],
    card: Annotated[
        Path | None, Option(help="JSON file with more to record of the model.", show_default=False)
    ] = None,
    licence: Annotated[
        str | None, Option(help="Terms that the weights are under.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, Option(help="Name of the model.", show_default="that of the file")
    ] = None,
    sharpness: Annotated[
        float, Option(help="Below 1, masks become softer; about 0.6 gives the best SDR.")
    ] = 1.0,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace a file that is already there.")
    ] = False,
) -> None:
    """Turn a training checkpoint into a model file that --model takes.

    The file records what the model was trained on and how. A model becomes an ONNX file for
    other programs: songsplit export default default.onnx. That needs the extra onnx.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("torch", "torch") from error
    if output.suffix == ".onnx":
        _export_onnx(str(checkpoint), output, overwrite=overwrite)
        return
    from songsplit.training.export import export_checkpoint, read_card

    given = read_card(card) if card else {}
    given |= {k: v for k, v in (("licence", licence), ("name", name)) if v is not None}
    sha256 = export_checkpoint(checkpoint, given, output, sharpness=sharpness, overwrite=overwrite)
    typer.echo(f"{output} ({output.stat().st_size / 1e6:.1f} MB)\nSHA-256 {sha256}")
    typer.echo(f"use it with: songsplit song.mp3 --model {shlex.quote(str(output))}")


def _export_onnx(model: str, output: Path, *, overwrite: bool) -> None:
    from songsplit.files import write_whole
    from songsplit.models.onnx import onnx_network
    from songsplit.models.weights import load_model

    if output.exists() and not overwrite:
        raise OutputExistsError(f"{output} is already there: use --overwrite, or another name")
    write_whole(output, onnx_network(load_model(model)))
    typer.echo(f"{output} ({output.stat().st_size / 1e6:.1f} MB)")
