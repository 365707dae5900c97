"""The commands that separate songs."""

from __future__ import annotations

from typing import Annotated

import typer

from songsplit.cli.options import Options, Songs, level, tempo, with_options
from songsplit.errors import ConfigError
from songsplit.mixes import MUTE, Mix, MixName

_GuideVocals = Annotated[
    float,
    typer.Option(
        parser=level,
        metavar="LEVEL",
        help="Keep the vocals as a guide, at -18dB for example.",
        show_default="off",
    ),
]


@with_options
def split(
    songs: Songs,
    options: Options,
    stdout: Annotated[
        str | None,
        typer.Option(
            metavar="STEM",
            help="Write this stem (vocals or instrumental) of one song to standard output, as "
            "WAV, while the song is still being read; write no files.",
            show_default=False,
            rich_help_panel="Results",
        ),
    ] = None,
) -> None:
    """Write vocals and instrumental of each song (the default command).

    The files have the song's own sample rate, channels and length (where the format has
    them), its tags and its cover picture. By default they are WAV of 32-bit floating point,
    in which nothing clips.
    """
    # Slow to import, and --help should be quick.
    from songsplit.cli.separation import pass_through, separate_songs

    if stdout is None:
        separate_songs(songs, options)
    else:
        pass_through(songs, options, stdout)


@with_options
def karaoke(
    songs: Songs,
    options: Options,
    vocals: _GuideVocals = MUTE,
) -> None:
    """Write each song without its vocals, or with the vocals as a soft guide."""
    _mix(songs, options, "karaoke", vocals=vocals)


@with_options
def acapella(songs: Songs, options: Options) -> None:
    """Write the vocals of each song alone."""
    _mix(songs, options, "acapella", instrumental=MUTE)


@with_options
def remix(
    songs: Songs,
    options: Options,
    vocals: Annotated[
        float,
        typer.Option(
            parser=level, metavar="LEVEL", help="For example +3dB, or off.", show_default="0dB"
        ),
    ] = 0.0,
    instrumental: Annotated[
        float,
        typer.Option(
            parser=level, metavar="LEVEL", help="For example -2dB, or off.", show_default="0dB"
        ),
    ] = 0.0,
) -> None:
    """Write each song with its vocals and its instrumental at other levels.

    If the result would clip, all of it is turned down, and by how much is printed.
    """
    _mix(songs, options, "remix", vocals=vocals, instrumental=instrumental)


@with_options
def practice(
    songs: Songs,
    options: Options,
    vocals: _GuideVocals = MUTE,
    tempo: Annotated[
        float,
        typer.Option(
            parser=tempo, metavar="SHARE", help="For example 80%, or 0.8.", show_default="100%"
        ),
    ] = 1.0,
    key: Annotated[
        float, typer.Option(metavar="SEMITONES", help="Up, or down if negative: -2, for example.")
    ] = 0.0,
) -> None:
    """Write each song to sing or play along with: no vocals, another tempo or key.

    Tempo and key need the extra: pip install 'songsplit[practice]'.
    """
    _mix(songs, options, "practice", tempo=tempo, key=key, vocals=vocals)


def _mix(
    songs: list[str],
    options: Options,
    name: MixName,
    *,
    tempo: float = 1.0,
    key: float = 0.0,
    **gains: float,
) -> None:
    # Slow to import, and --help should be quick.
    from songsplit.cli.separation import separate_songs

    try:
        mix = Mix(name, gains, tempo, key)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    separate_songs(songs, options, mix)
