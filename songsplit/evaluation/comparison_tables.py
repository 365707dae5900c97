"""Printing what one system has over another."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from songsplit.evaluation.compare import Comparison, PairedDifference
from songsplit.evaluation.tables import empty_table, plain


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what one system has over another, over all songs and song by song.

    Parameters
    ----------
    comparison : Comparison
    console : rich.console.Console
        Where to print, at best 80 columns wide or more.
    """
    for label, name, file in (
        ("A", comparison.first, comparison.first_file),
        ("B", comparison.second, comparison.second_file),
    ):
        console.print(plain(f"{label}: {name} ({file})"), soft_wrap=True)
    if comparison.first_backend != comparison.second_backend:
        before, after = (
            f"backend {backend!r}" if backend else "a backend that its summary does not tell"
            for backend in (comparison.first_backend, comparison.second_backend)
        )
        console.print(
            plain(
                f"warning: A was scored by {before}, B by {after}: small differences may come "
                "from that, and not from the systems"
            ),
        )
    by_target: dict[str, list[PairedDifference]] = {}
    for difference in comparison.differences:
        by_target.setdefault(difference.target, []).append(difference)

    for target, differences in by_target.items():
        table = empty_table(f"{target}, B - A (dB)", "measure")
        for heading in ("songs", "median", "mean", "95 % interval", "p", "better/worse/equal"):
            table.add_column(heading, justify="right", no_wrap=True)
        for found in differences:
            table.add_row(
                found.measure,
                str(found.pairs),
                _signed(found.median),
                _signed(found.mean),
                " to ".join(map(_signed, found.interval)) if found.interval else "-",
                "-" if found.p is None else f"{found.p:.2g}",
                f"{found.wins}/{found.losses}/{found.ties}",
            )
        console.print(table)

    table = empty_table("SDR song by song, B - A (dB)", "song")
    sdr = {target: next(d for d in ds if d.measure == "SDR") for target, ds in by_target.items()}
    for target in sdr:
        table.add_column(target, justify="right", no_wrap=True)
    for song in comparison.songs:
        table.add_row(plain(song), *(_signed(found.by_song.get(song)) for found in sdr.values()))
    console.print(table)

    for heading, songs in (
        ("scored in A alone, and left out:", comparison.only_first),
        ("scored in B alone, and left out:", comparison.only_second),
        ("without a score in A and B, and left out:", comparison.unscored),
    ):
        _print_songs(heading, songs, console)
    _print_missing(comparison.differences, console)
    console.print(
        "interval: bootstrap of the mean; p: Wilcoxon signed-rank test of each measure by "
        "itself, not corrected for their number"
    )


def _print_missing(differences: Sequence[PairedDifference], console: Console) -> None:
    """Print which songs are left out of which measures, once for those left out alike."""
    left_out: dict[tuple[str, tuple[str, ...]], dict[str, list[str]]] = {}
    for found in differences:
        for label, songs in (("A", found.missing_first), ("B", found.missing_second)):
            if songs:
                measures = left_out.setdefault((label, songs), {})
                measures.setdefault(found.target, []).append(found.measure)
    for (label, songs), targets in left_out.items():
        where = ", ".join(f"{target} ({', '.join(found)})" for target, found in targets.items())
        count = f"{len(songs)} song{'s' if len(songs) != 1 else ''}"
        _print_songs(f"{count} without a score in {label}, left out of {where}:", songs, console)
    if left_out:
        console.print("(a perfect estimate has an infinite figure, which counts as no score)")


def _print_songs(heading: str, songs: Sequence[str], console: Console) -> None:
    if songs:
        console.print(plain(heading))
    for song in songs:
        console.print(plain(f"  {song}"), soft_wrap=True)


def _signed(value: float | None) -> str:
    # No sign for what is nothing at this precision.
    return "-" if value is None else f"{round(value, 2) or 0.0:+.2f}".replace("+0.00", "0.00")
