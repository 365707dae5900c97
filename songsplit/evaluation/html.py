"""The report for readers: one HTML file with tables and pictures, and the pictures as PNG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from songsplit.drawing import REPLACEMENT, legible
from songsplit.errors import OutputError
from songsplit.evaluation.charts import draw_boxes, draw_songs, rank_songs
from songsplit.evaluation.figures import Example, draw_example
from songsplit.evaluation.page import (
    NOTHING,
    decibels,
    definitions,
    name,
    page,
    picture,
    row,
    table,
)
from songsplit.evaluation.scores import TWO_TARGETS, WINDOW_SECONDS, TrackScores
from songsplit.evaluation.summary import (
    ALL_MEASURES,
    MEASURES,
    Results,
    compared_songs,
    extremes,
    songs_counted,
    target_order,
)
from songsplit.files import write_text, write_whole

__all__ = ["Example", "remove_report", "write_report"]

# What `MEASURES` says exactly, in plain words.
_PLAIN_WORDS = {
    "SDR": "How far the true part stands above all that is wrong in the estimate, second by "
    "second. Loud and soft passages count alike.",
    "ISR": "How far it stands above errors of level, tone colour and place in the stereo image.",
    "SIR": "How far it stands above what has leaked in from the other parts.",
    "SAR": "How far it stands above sounds that are in none of the parts: noise, gurgling, echoes.",
    "uSDR": "The same idea as SDR, but once for the song from beginning to end, so that loud "
    "passages count most. The demixing challenges call it SDR and give its mean over songs.",
    "SI-SDR": "As uSDR, but a wrong level of the whole estimate costs nothing, and an estimate "
    "that is only too loud or too soft is perfect.",
}
_STATISTICS = {
    "SDR": ("median", "lower_quartile", "upper_quartile", "mean"),
    "uSDR": ("median", "mean"),
    "SI-SDR": ("median", "mean"),
}
_YARDSTICKS = (
    "Higher is better; 10 dB more means that a tenth of the error's energy is left. The mixture "
    "as an estimate shows what doing nothing scores. The ideal ratio mask and the multichannel "
    "Wiener filter know the true parts: they show how far systems that filter the mixture can "
    "get, and are no competitors."
)


@dataclass(frozen=True)
class _Picture:
    file: str
    png: bytes
    alternative: str
    caption: str


def write_report(
    folder: Path, results: Results, summary: Mapping[str, Any], examples: Sequence[Example]
) -> Path:
    """Write report.html, and its pictures as PNG for use in a paper.

    The page needs no other file and no network. Equal input gives equal files.

    Parameters
    ----------
    folder : Path
        Where to write report.html and figures/*.png; made where it is missing. An earlier
        report is removed.
    results : mapping of str to mapping of str to TrackScores
        By system and song; the first system is the one that is judged.
    summary : mapping of str to JSON values
        The content of summary.json.
    examples : sequence of Example
        Songs to show over time, usually the best and the worst.

    Returns
    -------
    Path
        The path of report.html.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    OutputError
        If a file cannot be written.
    AudioInputError
        If the audio of an example has no sample or another shape than (channels, samples).
    """
    charts = _charts(results, summary) if target_order(results) else []
    limits = _sdr_limits(results, examples)
    timelines = [
        _timeline(results, example, limits, n) for n, example in enumerate(examples, start=1)
    ]
    content = page(_title(results, summary), _body(results, summary, charts, timelines))

    remove_report(folder)
    figures = folder / "figures"
    for drawn in (*charts, *timelines):
        write_whole(figures / drawn.file, drawn.png)
    path = folder / "report.html"
    write_text(path, content)
    return path


def remove_report(folder: Path) -> None:
    """Remove what `write_report` wrote, and leave other files alone.

    Parameters
    ----------
    folder : Path
        With or without a report in it.

    Raises
    ------
    OutputError
        If a file cannot be removed.
    """
    for file in (folder / "report.html", *(folder / "figures").glob("sdr-*.png")):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{file}: cannot be removed ({error.strerror}): choose another output folder"
            ) from error


def _title(results: Results, summary: Mapping[str, Any]) -> str:
    candidate, songs = next(iter(results.items()))
    data = " ".join(value for value in summary.get("data", {}).values() if isinstance(value, str))
    count = f"{len(songs)} song{'s' if len(songs) != 1 else ''}"
    return f"{candidate} on {data}, {count}" if data else f"{candidate} on {count}"


def _body(
    results: Results,
    summary: Mapping[str, Any],
    charts: Sequence[_Picture],
    timelines: Sequence[_Picture],
) -> Iterator[str]:
    candidate, songs = next(iter(results.items()))
    yield f"<h1>{name(_title(results, summary))}</h1>"
    failed = sum(not scores.targets for scores in songs.values())
    yield f'<p class="faint">Scored {escape(str(summary.get("date", "")))}</p>'
    if failed:
        yield (
            f'<p class="alert"><strong>{failed} of {len(songs)} songs could not be scored</strong> '
            f'and count in no number of {name(candidate)}: <a href="#remarks">why</a>.</p>'
        )
    yield "<h2>Scores</h2>"
    yield _overall(results, summary)
    counted = songs_counted(summary["systems"])
    if counted:
        lines = "".join(f"<li>{escape(line)}</li>" for line in counted)
        yield f'<p class="faint">Not over all songs:</p><ul class="faint">{lines}</ul>'
    yield f"<p>{_YARDSTICKS}</p>"
    yield "<h3>What the measures mean</h3>"
    yield definitions({m: f"{_PLAIN_WORDS[m]} Exactly: {MEASURES[m]}." for m in ALL_MEASURES})
    if charts:
        yield "<h2>All songs</h2>"
        yield from (picture(p.png, p.alternative, p.caption) for p in charts)
    if timelines:
        yield "<h2>Songs over time</h2>"
        yield from (picture(p.png, p.alternative, p.caption) for p in timelines)
    yield f"<h2>Song by song</h2>{_songs(results, summary)}"
    remarks = [
        f'<tr><th scope="row">{name(song)}</th><td>{name(system)}</td>'
        f"<td>{'' if scores.targets else '<strong>not scored</strong>: '}"
        f"{name(scores.remark)}</td></tr>"
        for system, scored in results.items()
        for song, scores in scored.items()
        if scores.remark or not scores.targets
    ]
    yield '<h2 id="remarks">Remarks</h2>'
    if remarks:
        heads = ("song", "system", "remark")
        yield table(
            heads,
            ["<tbody>", *remarks, "</tbody>"],
            caption="What to know of the scores",
            kind="words",
        )
    else:
        yield "<p>All songs were scored, and there is nothing to remark.</p>"
    yield "<h2>How it was scored</h2>"
    shown = ("model", "estimates", "data", "settings", "versions")
    yield definitions({key: summary[key] for key in shown if key in summary})


def _overall(results: Results, summary: Mapping[str, Any]) -> str:
    """Tabulate the statistics over songs, in a group of rows for each target."""
    candidate = next(iter(results))
    columns = [
        (measure, statistic)
        for measure in ALL_MEASURES
        for statistic in _STATISTICS.get(measure, ("median",))
    ]
    heads = ["system", *(_lines(f"{m} {statistic}") for m, statistic in columns), "songs"]
    groups = []
    for target in target_order(results):
        groups.append(
            f'<tbody><tr><th scope="rowgroup" colspan="{len(heads)}">{name(target)}</th></tr>'
        )
        for system, scored in results.items():
            overall = summary["systems"][system]["overall"].get(target)
            if overall is None:
                continue
            cells = [decibels(overall[measure][statistic]) for measure, statistic in columns]
            counted = f"{overall['SDR']['songs']} of {len(scored)}"
            groups.append(row(name(system), [*cells, counted]))
        groups.append("</tbody>")
    caption = (
        "In dB. Median, quartiles and mean over songs. The median of SDR, ISR, SIR and SAR is that "
        "of the medians over the windows of each song, as SiSEC 2018 reports it. Songs: how many "
        f"count in SDR, which are those that have one and that {candidate} has one in."
    )
    return table(heads, groups, caption=caption)


def _songs(results: Results, summary: Mapping[str, Any]) -> str:
    """Tabulate each song's figures, in a table for each target."""
    candidate, songs = next(iter(results.items()))
    targets = target_order(results)
    others = [system for system in results if system != candidate]
    figures = {system: summary["systems"][system]["songs"] for system in results}
    tables = []
    for target in targets:
        rows = []
        for song in rank_songs(songs, [target, *targets]):
            own = figures[candidate][song].get(target, {})
            cells = [decibels(own.get(measure)) for measure in ALL_MEASURES]
            for system in others:
                other = figures[system].get(song, {}).get(target, {})
                cells.append(decibels(other.get("SDR")))
            frames = songs[song].frames.get(target, {}).get("SDR", np.array([]))
            windows = f"{np.count_nonzero(np.isfinite(frames))} of {frames.size}"
            failed = "" if songs[song].targets else ' <strong class="alert">not scored</strong>'
            rows.append(row(name(song) + failed, [*cells, windows if frames.size else NOTHING]))
        beside = [f"{system} SDR" for system in others]
        heads = ["song", *ALL_MEASURES, *map(_lines, beside), "windows"]
        caption = (
            f"{target} by {candidate}, in dB. Windows: how many of the song's windows of "
            f"{WINDOW_SECONDS:g} s have a finite score."
        )
        tables.append(
            table(heads, ["<tbody>", *rows, "</tbody>"], caption=caption, kind="sortable")
        )
    return "\n".join(tables)


def _lines(head: str) -> str:
    """Break the words above a column, to keep it narrow."""
    return "\n".join(head.replace("_", " ").split())


def _charts(results: Results, summary: Mapping[str, Any]) -> list[_Picture]:
    targets = target_order(results)
    candidate, songs = next(iter(results.items()))
    overall = {system: summary["systems"][system]["overall"] for system in results}
    medians = "; ".join(
        f"{target}: "
        + ", ".join(
            f"{system} {decibels(statistics[target]['SDR']['median'])}"
            for system, statistics in overall.items()
            if target in statistics
        )
        for target in targets
    )
    pair = [target for target in TWO_TARGETS if target in targets] or list(targets[:2])
    charts = [
        _Picture(
            "sdr-by-target.png",
            draw_boxes(_compared(results, targets), targets),
            f"Box plots of SDR. Medians over songs in dB: {medians}.",
            f"SDR (median over windows) of the songs that {candidate} has one in (of all songs if "
            "it has none), each dot a song. Boxes span the quartiles "
            "with the median in them, whiskers reach to the last song within 1.5 times the "
            "interquartile range." + _missing_letters(results),
        )
    ]
    pages = draw_songs(songs, pair)
    for number, png in enumerate(pages, start=1):
        part = f" Part {number} of {len(pages)}." if len(pages) > 1 else ""
        charts.append(
            _Picture(
                f"sdr-by-song-{number}.png",
                png,
                f"Bars of the SDR of each song, which the tables below list as numbers.{part}",
                f"SDR of each song by {candidate} (median over windows), sorted by {pair[0]}. "
                f"Grey rows have no score.{part}" + _missing_letters(songs),
            )
        )
    return charts


def _compared(results: Results, targets: Sequence[str]) -> Results:
    """Leave the SDR of songs out that the table over songs leaves out."""
    songs = {target: compared_songs(results, target, "SDR") for target in targets}
    return {
        system: {
            song: TrackScores(
                {t: scores.frames[t] for t in targets if t in scores.frames and song in songs[t]}
            )
            for song, scores in scored.items()
        }
        for system, scored in results.items()
    }


def _sdr_limits(results: Results, examples: Iterable[Example]) -> tuple[float, float] | None:
    """Lowest and highest SDR in any of the examples, with a margin; None without one."""
    songs = next(iter(results.values()))
    frames = [
        songs[each.song].frames[each.target]["SDR"]
        for each in examples
        if each.song in songs and each.target in songs[each.song].frames
    ]
    values = np.concatenate(frames) if frames else np.array([])
    finite = values[np.isfinite(values)]
    return (float(finite.min()) - 1, float(finite.max()) + 1) if finite.size else None


def _timeline(
    results: Results, example: Example, limits: tuple[float, float] | None, number: int
) -> _Picture:
    songs = next(iter(results.values()))
    scores = songs.get(example.song, TrackScores({}))
    best, worst = extremes(songs, example.target) or ("", "")
    role = {worst: "The song with the lowest score", best: "The song with the highest score"}.get(
        example.song, "A song"
    )
    if best == worst == example.song:
        role = "The only song with a score"
    value = scores.value(example.target, "SDR")
    median = f"median {value:.2f} dB" if np.isfinite(value) else "no score"
    what = f"{example.song}, {example.target}"
    return _Picture(
        f"sdr-over-time-{number}.png",
        draw_example(example, scores, limits),
        f"{what}: SDR over time, {median}, above spectrograms of the true part and of "
        "the estimate.",
        f"{role}: {what}. SDR of each window of {WINDOW_SECONDS:g} s ({median}) above "
        "spectrograms of the true part and of the estimate, both in the same colours. In grey "
        "windows, a part or its estimate is silent, and there is no score."
        + _missing_letters([example.song]),
    )


def _missing_letters(names: Iterable[str]) -> str:
    """Explain the squares in a picture, if it has any."""
    if not any(REPLACEMENT in legible(each, 2 * len(each)) for each in names):
        return ""
    return " Squares stand for letters that no font has here; the tables have the full names."
