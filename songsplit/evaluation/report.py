"""The report: an HTML page, figures as PDF, and a LaTeX table row."""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console

from songsplit.errors import MissingExtraError
from songsplit.evaluation.summary import Summary, cell, figures_of, print_results
from songsplit.files import whole_file, write_text

try:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError(error.name or "matplotlib", "eval") from error

# Do not parse names such as "$ong" as mathematics.
_STYLE: Any = {"text.parse_math": False, "text.usetex": False, "font.size": 9.5, "pdf.fonttype": 42}

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
pre {{ font-size: 0.8rem; line-height: 1.3; overflow-x: auto; }}
img {{ max-width: 100%; }}
</style></head><body>
<h1>{name}</h1>
<p>{about}</p>
<p>All figures are in dB, and higher is better. SDR, ISR, SIR and SAR follow BSS Eval v4: the
median over windows of one second for each song, then the median over songs. uSDR and SI-SDR are
computed over a whole song and cannot be compared with SDR. The mixture is the score without any
separation. The ideal ratio mask and the Wiener filter are computed from the true stems and show
what masks can reach. All rows cover the songs for which {name} has a score.</p>
{tables}
{pictures}
<h2>LaTeX table row</h2>
<pre>{latex}</pre>
</body></html>
"""


def write_report(folder: Path, summary: Summary, about: Mapping[str, Any]) -> Path:
    """Write ``report.html`` and ``figures`` into a folder, and return the path of the page."""
    name, overall = next((name, content["overall"]) for name, content in summary.items())
    drawings = [("boxes", "SDR over songs", _draw_boxes), ("songs", "SDR by song", _draw_songs)]
    pictures = ""
    with rc_context(_STYLE), warnings.catch_warnings():
        # The font of the figures may lack a character.
        warnings.filterwarnings("ignore", "Glyph")
        for file, caption, draw in drawings if overall else []:
            figure, png = draw(summary, list(overall)), io.BytesIO()
            figure.savefig(png, format="png", dpi=200)
            source = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode('ascii')}"
            pictures += f'<h2>{caption}</h2>\n<img alt="{caption}" src="{source}">\n'
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


def _draw_boxes(summary: Summary, targets: list[str]) -> Figure:
    """Draw box plots of the SDR of all songs, with a panel per target and a box per system."""
    figure = Figure(figsize=(7, 0.8 + 0.34 * len(summary) * len(targets)), layout="constrained")
    panels = figure.subplots(len(targets), 1, sharex=True, squeeze=False)[:, 0]
    for axes, target in zip(panels, targets, strict=True):
        values = [
            [*figures_of(content["songs"], target, "SDR").values()] for content in summary.values()
        ]
        median = {"color": "C1", "linewidth": 2.5}
        options: Any = {"orientation": "horizontal", "widths": 0.6, "medianprops": median}
        axes.boxplot(values, tick_labels=list(summary), **options)
        axes.invert_yaxis()
        axes.set_title(target, loc="left")
        axes.grid(axis="x", alpha=0.3)
    panels[-1].set_xlabel("SDR in dB")
    return figure


def _draw_songs(summary: Summary, targets: list[str]) -> Figure:
    """Draw the SDR of each song, the best on top; songs without a score have no marker."""
    songs = next(iter(summary.values()))["songs"]
    figure = Figure(figsize=(7, 0.9 + 0.2 * len(songs)), layout="constrained")
    axes = figure.subplots()
    first = figures_of(songs, targets[0], "SDR")
    names = sorted(songs, key=lambda name: first.get(name, -math.inf))
    for target, marker in zip(targets, "osd^v", strict=False):
        found = figures_of(songs, target, "SDR")
        values = [found.get(name, math.nan) for name in names]
        axes.plot(values, range(len(names)), marker, label=target)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks(range(len(names)), [name[:50] for name in names])
    axes.set_xlabel("SDR in dB")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
