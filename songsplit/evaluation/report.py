"""The report for readers: one HTML page, its figures as PDF, and a row for a paper in LaTeX."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from songsplit.data.songs import VOCALS
from songsplit.errors import MissingExtraError
from songsplit.evaluation.projections import Floats, Samples
from songsplit.evaluation.references import SongAudio
from songsplit.evaluation.scoring import Results
from songsplit.evaluation.summary import (
    OVERALL_HEADINGS,
    cell,
    overall_row,
    summarize,
    targets_of,
)
from songsplit.evaluation.track_scores import TrackScores
from songsplit.files import whole_file, write_text

try:
    from jinja2 import Environment
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError(error.name or "matplotlib", "eval") from error

# Names such as "$ong" are no formulas, whatever the user's settings are.
_STYLE: Any = {"text.parse_math": False, "text.usetex": False, "font.size": 8.0, "pdf.fonttype": 42}

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{ name }}</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
</style></head><body>
<h1>{{ name }}</h1>
<p>{% for key, value in about.items() %}{{ key }}: {{ value }}<br>{% endfor %}</p>
<p>All figures are in dB, and higher is better. SDR, ISR, SIR and SAR are those of BSS Eval v4:
of each song the median over windows of a second, then the median over songs. uSDR and SI-SDR
are one figure for a whole song and cannot be compared with SDR. The mixture shows what doing
nothing scores, the ideal ratio mask and the Wiener filter what masks made from the true stems
reach. All rows are over the songs that {{ name }} has a score in.</p>
{% for target, rows in tables.items() %}
<h2>{{ target }}</h2>
<table><tr><th>system</th>{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr>
{% for system, cells in rows.items() %}<tr><td>{{ system }}</td>
{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}
{% for caption, picture in pictures.items() %}
<h2>{{ caption }}</h2>
<img alt="{{ caption }}" src="data:image/png;base64,{{ picture }}">
{% endfor %}
{% if remarks %}<h2>Remarks</h2>
<ul>{% for song, remark in remarks.items() %}<li>{{ song }}: {{ remark }}</li>{% endfor %}</ul>
{% endif %}
<h2>A row for a paper</h2>
<pre>{{ latex }}</pre>
</body></html>
"""


def write_report(
    folder: Path,
    results: Results,
    about: Mapping[str, Any],
    example: tuple[str, SongAudio, Samples] | None,
) -> Path:
    """Write ``report.html`` and ``figures`` into a folder, and give the path of the page.

    The example is a song to draw over time: its name, its audio and its estimated vocals.
    """
    name = next(iter(results))
    targets = targets_of(results)
    summary = summarize(results)
    figures: dict[str, Figure] = {}
    with rc_context(_STYLE), warnings.catch_warnings():
        # A letter that the font lacks is a box in the figure, and itself in the tables.
        warnings.filterwarnings("ignore", "Glyph")
        if targets:
            figures["SDR over songs"] = draw_boxes(results, targets)
            figures["SDR by song"] = draw_songs(results[name], targets)
        if example is not None:
            song, audio, vocals = example
            sdr = results[name][song].frames[VOCALS]["SDR"]
            figures[f"Example: {song}"] = draw_example(song, audio, vocals, sdr)
        pictures = {}
        files = ("boxes.pdf", "songs.pdf", "example.pdf")
        for (caption, figure), file in zip(figures.items(), files, strict=False):
            png = io.BytesIO()
            figure.savefig(png, format="png", dpi=150)
            pictures[caption] = base64.b64encode(png.getvalue()).decode("ascii")
            with whole_file(folder / "figures" / file) as pdf:
                figure.savefig(pdf, format="pdf")
    tables = {
        target: {
            system: overall_row(content["overall"][target]) for system, content in summary.items()
        }
        for target in targets
    }
    medians = [measures["SDR"]["median"] for measures in summary[name]["overall"].values()]
    escaped = "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in name)
    cells = " & ".join([escaped, *map(cell, medians)])
    row = f"% median SDR: {', '.join(targets)}\n{cells} \\\\"
    page = Environment(autoescape=True).from_string(_PAGE)
    text = page.render(
        name=name,
        about=about,
        tables=tables,
        heads=OVERALL_HEADINGS,
        pictures=pictures,
        remarks=summary[name]["remarks"],
        latex=row,
    )
    write_text(folder / "figures" / "row.tex", row + "\n")
    write_text(folder / "report.html", text)
    return folder / "report.html"


def draw_boxes(results: Results, targets: tuple[str, ...]) -> Figure:
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


def draw_songs(songs: Mapping[str, TrackScores], targets: tuple[str, ...]) -> Figure:
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


def draw_example(song: str, audio: SongAudio, vocals: Samples, sdr: Floats) -> Figure:
    """Draw the SDR of each second of the vocals above spectrograms of reference and estimate."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    curve, *panels = figure.subplots(3, 1, sharex=True)
    curve.stairs(np.where(np.isfinite(sdr), sdr, np.nan), baseline=None)
    curve.set_ylabel("SDR in dB")
    curve.set_title(f"{song[:70]}: {VOCALS}", loc="left")
    pairs = (("reference", audio.references[VOCALS]), ("estimate", vocals))
    for axes, (title, samples) in zip(panels, pairs, strict=True):
        _spectrogram(axes, samples, audio.sample_rate)
        axes.set_title(title, loc="left")
    panels[-1].set_xlabel("seconds")
    return figure


def _spectrogram(axes: Axes, audio: Samples, sample_rate: int) -> None:
    """Draw the level of the mean of the channels."""
    mono = audio.mean(axis=0)
    n_fft = min(4096, len(mono))
    # A few hundred columns are all that the eye sees, however long the song.
    hop = min(n_fft, max(n_fft // 4, len(mono) // 800))
    # One scale for all, from about silence to full scale, in dB of power per hertz.
    scale: Any = {"vmin": -120, "vmax": -30, "cmap": "magma"}
    with np.errstate(divide="ignore"):  # silence is minus infinity
        axes.specgram(mono, NFFT=n_fft, Fs=sample_rate, noverlap=n_fft - hop, **scale)
    axes.margins(x=0)
    axes.set_ylim(0, min(12000, sample_rate / 2))
    axes.set_ylabel("Hz")
