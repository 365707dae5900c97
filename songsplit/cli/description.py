"""What is in a file, in words and in a sketch."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer

from songsplit.audio import Access, AudioInfo, Tags
from songsplit.cli.separation import standard_input
from songsplit.cli.sketch import sketch
from songsplit.dsp.overview import Overview
from songsplit.errors import SongsplitError
from songsplit.naming import printable
from songsplit.song_files import is_plain

_BLOCK_SECONDS = 4.0
_BANDS = 24


def describe(path: Path | None, *, as_json: bool, access: Access) -> None:
    """Print what is in a file, or in standard input.

    Parameters
    ----------
    path : Path or None
        None for standard input.
    as_json : bool
        Whether to print one line of JSON instead of words and a sketch.
    access : Access
        How the file is opened.

    Raises
    ------
    AudioFileError
        If the file is missing, no audio, or damaged.
    """
    source: Any = standard_input() if path is None else path
    # Pipes give what they have once only.
    tags = access.tags(path) if path is not None and is_plain(path) else Tags()
    with access.audio(source) as reader:
        about = reader.info
        columns = max(20, _width() - 12)
        overview = Overview(about.sample_rate, columns=columns, bands=_BANDS)
        samples, power = 0, 0.0
        for block in reader.blocks(int(_BLOCK_SECONDS * about.sample_rate) + 1):
            overview.add(block)
            samples += block.shape[1]
            power += float(np.square(block, dtype=np.float64).mean(axis=0).sum())
        overview.finish()
    peak = float(overview.peaks.max())
    facts = dict(_facts(about, tags, samples, peak, power / samples))
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    typer.echo(printable(facts.pop("file")))
    for name, value in facts.items():
        if value is not None:
            typer.echo(printable(f"  {name.replace('_', ' '):12} {_in_words(name, value)}"))
    for line in sketch(overview, unicode=_has_unicode()):
        typer.echo(f"  {line}")


def tell_failure(name: str, error: SongsplitError, *, as_json: bool) -> None:
    """Say why a file cannot be described, in words and if need be as JSON."""
    typer.echo(printable(f"songsplit: {error}"), err=True)
    if as_json:
        typer.echo(json.dumps({"file": name, "error": str(error)}, ensure_ascii=False))


def _facts(
    about: AudioInfo, tags: Tags, samples: int, peak: float, power: float
) -> Iterator[tuple[str, Any]]:
    yield "file", about.name
    yield "format", about.format
    yield "seconds", round(samples / about.sample_rate, 3)
    yield "samples", samples
    yield "sample_rate", about.sample_rate
    yield "channels", about.channels
    yield "peak_db", _decibels(peak**2)
    yield "rms_db", _decibels(power)
    for name in ("artist", "title", "album"):
        values = tags.fields.get(name)
        yield name, ", ".join(values) if values else None
    yield "cover", None if tags.cover is None else tags.cover.mime
    yield "stems", list(about.stems) or None


def _decibels(power: float) -> float | None:
    return round(10 * float(np.log10(power)), 2) if power > 0 else None


def _in_words(name: str, value: Any) -> str:
    if name == "seconds":
        minutes, seconds = divmod(value, 60)
        hours, minutes = divmod(int(minutes), 60)
        clock = f"{minutes}:{seconds:05.2f}"
        return f"{hours}:{minutes:02}:{seconds:05.2f}" if hours else clock
    if name == "stems":
        return ", ".join(value) + " (a stem file; its mixture is what songsplit takes)"
    units = {"sample_rate": " Hz", "peak_db": " dB", "rms_db": " dB"}
    return f"{value}{units.get(name, '')}"


def _width() -> int:
    return min(100, shutil.get_terminal_size().columns)


def _has_unicode() -> bool:
    try:
        "▁█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
