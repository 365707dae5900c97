"""The command ``songsplit info``."""

from __future__ import annotations

from typing import Annotated

import typer

from songsplit.cli.options import Isolate, Songs
from songsplit.errors import SongsplitError


def info(
    songs: Songs,
    json_: Annotated[
        bool, typer.Option("--json", help="Print an object in JSON for every song, each on a line.")
    ] = False,
    isolate: Isolate = False,
) -> None:
    """Tell what is in files: format, length, level, tags, and how they look.

    All of a file is read, so damage is found too.
    """
    # Slow to import, and --help should be quick.
    from songsplit.audio import Access
    from songsplit.batch.inputs import find_songs
    from songsplit.cli.description import describe, tell_failure

    found, problems = find_songs(songs)
    failed = bool(problems)
    for problem in problems:
        tell_failure(problem.name, problem.error, as_json=json_)
    for song in found:
        try:
            describe(song.path, as_json=json_, access=Access(isolate))
        except SongsplitError as error:
            tell_failure(str(song), error, as_json=json_)
            failed = True
    if failed:
        raise typer.Exit(1)
