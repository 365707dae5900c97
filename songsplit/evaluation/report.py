"""The report for readers: one HTML page, its figures as PDF, and a row for a paper in LaTeX."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from songsplit.data.songs import VOCALS
from songsplit.errors import MissingExtraError
from songsplit.evaluation.projections import Floats, Samples
from songsplit.evaluation.references import SongAudio
from songsplit.evaluation.scoring import Results
from songsplit.evaluation.summary import Summary, cell, print_results
from songsplit.evaluation.track_scores import TrackScores
from songsplit.files import whole_file, write_text

try:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError(error.name or "matplotlib", "eval") from error

# Names such as "$ong" are no formulas, whatever the user's settings are.
_STYLE: Any = {"text.parse_math": False, "text.usetex": False, "font.size": 8.0, "pdf.fonttype": 42}
# One scale for all spectrograms, from about silence to full scale, in dB of power per hertz.
_SPECTROGRAM: Any = {"NFFT": 4096, "noverlap": 2048, "vmin": -120, "vmax": -30, "cmap": "magma"}

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
pre {{ font-size: 0.8rem; line-height: 1.3; overflow-x: auto; }}
img {{ max-width: 100%; }}
</style></head><body>
<h1>{name}</h1>
<p>{about}</p>
<p>All figures are in dB, and higher is better. SDR, ISR, SIR and SAR are those of BSS Eval v4:
of each song the median over windows of a second, then the median over songs. uSDR and SI-SDR
are one figure for a whole song and cannot be compared with SDR. The mixture shows what doing
nothing scores, the ideal ratio mask and the Wiener filter what masks made from the true stems
reach. All rows are over the songs that {name} has a score in.</p>
{tables}
{pictures}
<h2>A row for a paper</h2>
<pre>{latex}</pre>
</body></html>
"""


def write_report(
    folder: Path,
    results: Results,
    summary: Summary,
    about: Mapping[str, Any],
    example: tuple[str, SongAudio, Samples] | None,
) -> Path:
    """Write ``report.html`` and ``figures`` into a folder, and give the path of the page.

    The example is a song to draw over time: its name, its audio and its estimated vocals.
    """
    name, overall = next((name, content["overall"]) for name, content in summary.items())
    figures: dict[str, tuple[str, Figure]] = {}
    pictures = ""
    with rc_context(_STYLE), warnings.catch_warnings():
        # The font of the figures may lack a letter.
        warnings.filterwarnings("ignore", "Glyph")
        if overall:
            figures["boxes"] = "SDR over songs", _draw_boxes(results, list(overall))
            figures["songs"] = "SDR by song", _draw_songs(results[name], list(overall))
        if example is not None:
            sdr = results[name][example[0]].frames[VOCALS]["SDR"]
            figures["example"] = f"Example: {example[0]}", _draw_example(*example, sdr)
        for file, (caption, figure) in figures.items():
            png = io.BytesIO()
            figure.savefig(png, format="png", dpi=150)
            source = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode('ascii')}"
            text = escape(caption)
            pictures += f'<h2>{text}</h2>\n<img alt="{text}" src="{source}">\n'
            with whole_file(folder / "figures" / f"{file}.pdf") as pdf:
                figure.savefig(pdf, format="pdf")
    medians = [measures["SDR"]["median"] for measures in overall.values()]
    escaped = "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in name)
    cells = " & ".join([escaped, *map(cell, medians)])
    row = f"% median SDR: {', '.join(overall)}\n{cells} \\\\"
    console = Console(record=True, file=io.StringIO(), width=140)
    print_results(summary, console)
    text = _PAGE.format(
        name=escape(name),
        about="<br>".join(escape(f"{key}: {_plain(value)}") for key, value in about.items()),
        tables=console.export_html(inline_styles=True, code_format="<pre>{code}</pre>"),
        pictures=pictures,
        latex=escape(row),
    )
    write_text(folder / "figures" / "row.tex", row + "\n")
    write_text(folder / "report.html", text)
    return folder / "report.html"


def _plain(value: str | Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(f"{key} {found}" for key, found in value.items() if found is not None)


def _draw_boxes(results: Results, targets: list[str]) -> Figure:
    """Draw the SDR of all songs as box plots: a panel for each target, a box for each system."""
    figure = Figure(figsize=(7, 0.7 + 0.3 * len(results) * len(targets)), layout="constrained")
    panels = figure.subplots(len(targets), 1, sharex=True, squeeze=False)[:, 0]
    for axes, target in zip(panels, targets, strict=True):
        values = [
            [value for song in songs.values() if np.isfinite(value := song.value(target, "SDR"))]
            for songs in results.values()
        ]
        axes.boxplot(values, orientation="horizontal", tick_labels=list(results), widths=0.6)
        axes.invert_yaxis()
        axes.set_title(target, loc="left")
        axes.grid(axis="x", alpha=0.3)
    panels[-1].set_xlabel("SDR in dB")
    return figure


def _draw_songs(songs: Mapping[str, TrackScores], targets: list[str]) -> Figure:
    """Draw the SDR of each song, the best on top; songs without a score have no mark."""
    figure = Figure(figsize=(7, 0.8 + 0.17 * len(songs)), layout="constrained")
    axes = figure.subplots()
    first = {name: scores.value(targets[0], "SDR") for name, scores in songs.items()}
    names = sorted(songs, key=lambda name: np.nan_to_num(first[name], nan=-np.inf))
    for target, marker in zip(targets, "osd^v", strict=False):
        values = [songs[name].value(target, "SDR") for name in names]
        axes.plot(values, range(len(names)), marker, label=target)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks(range(len(names)), [name[:50] for name in names])
    axes.set_xlabel("SDR in dB")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _draw_example(song: str, audio: SongAudio, vocals: Samples, sdr: Floats) -> Figure:
    """Draw the SDR of each second of the vocals above spectrograms of reference and estimate."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    curve, *panels = figure.subplots(3, 1, sharex=True)
    curve.stairs(np.where(np.isfinite(sdr), sdr, np.nan), baseline=None)
    curve.set_ylabel("SDR in dB")
    curve.set_title(f"{song[:70]}: {VOCALS}", loc="left")
    pairs = {"reference": audio.references[VOCALS], "estimate": vocals}
    for axes, (title, samples) in zip(panels, pairs.items(), strict=True):
        with np.errstate(divide="ignore"):  # silence is minus infinity
            axes.specgram(samples.mean(axis=0), Fs=audio.sample_rate, **_SPECTROGRAM)
        axes.set_ylim(0, min(12000, audio.sample_rate / 2))
        axes.set_ylabel("Hz")
        axes.set_title(title, loc="left")
    panels[-1].margins(x=0)
    panels[-1].set_xlabel("seconds")
    return figure
