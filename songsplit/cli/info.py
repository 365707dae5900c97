"""The command ``songsplit info``: what is in a file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import typer

from songsplit.cli.display import say
from songsplit.cli.options import Json, Songs
from songsplit.errors import SongsplitError
from songsplit.naming import printable

_BLOCK_SECONDS = 4.0


def info(songs: Songs, json_: Json = False) -> None:
    """Tell what is in files: format, length, level and tags.

    All of a file is read, so damage is found too.
    """
    # Slow to import, and --help should be quick.
    from songsplit.cli.inputs import Problem, Song, find_songs

    found, problems = find_songs(songs)
    failed = False
    items: list[Song | Problem] = [*problems, *found]
    for item in items:
        try:
            if not isinstance(item, Song):
                raise item[1]
            facts = _facts(item.path)
        except SongsplitError as error:
            failed = True
            say(f"songsplit: {error}")
            name = str(item) if isinstance(item, Song) else item[0]
            facts = {"file": name, "error": str(error)}
        if json_:
            typer.echo(json.dumps(facts, ensure_ascii=False))
        elif "error" not in facts:
            typer.echo(printable(facts.pop("file")))
            for name, value in facts.items():
                if value is not None:
                    typer.echo(printable(f"  {name.replace('_', ' '):12} {_in_words(name, value)}"))
    if failed:
        raise typer.Exit(1)


def _facts(path: Path | None) -> dict[str, Any]:
    """Read all of a file, or of standard input."""
    import numpy as np

    from songsplit.audio import Tags, open_audio, read_tags
    from songsplit.cli.inputs import standard_input
    from songsplit.naming import is_plain

    # Pipes give what they have once only.
    tags = read_tags(path) if path is not None and is_plain(path) else Tags()
    samples, peak, power = 0, 0.0, 0.0
    with open_audio(standard_input() if path is None else path) as reader:
        about = reader.info
        for block in reader.blocks(int(_BLOCK_SECONDS * about.sample_rate) + 1):
            samples += block.shape[1]
            peak = max(peak, float(np.abs(block).max(initial=0)))
            power += float(np.square(block, dtype=np.float64).mean(axis=0).sum())
    facts = {
        "file": about.name,
        "format": about.format,
        "seconds": round(samples / about.sample_rate, 3),
        "samples": samples,
        "sample_rate": about.sample_rate,
        "channels": about.channels,
        "peak_db": _decibels(peak**2),
        "rms_db": _decibels(power / samples),
    }
    for name in ("artist", "title", "album"):
        facts[name] = ", ".join(tags.fields.get(name, ())) or None
    facts["cover"] = None if tags.cover is None else tags.cover.mime
    facts["stems"] = list(about.stems) or None
    return facts


def _decibels(power: float) -> float | None:
    return round(10 * math.log10(power), 2) if power > 0 else None


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
