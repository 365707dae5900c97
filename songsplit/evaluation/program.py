"""The program ``evaluate.py``: scores a model or separated stems, or compares two results."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from songsplit import __version__
from songsplit.errors import MissingExtraError, SongsplitError
from songsplit.inference import QUALITIES

if TYPE_CHECKING:
    from songsplit.data.sources import Subset
    from songsplit.evaluation.references import ReferenceSong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the status is 1 after an error or if a song could not be scored."""
    # Songs may have names that the terminal's encoding cannot show.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _options(arguments)
    # Wide enough for all columns also where the output goes to a file.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    try:
        return _compare(options, console) if options.compare else _evaluate(options, console)
    except SongsplitError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from here", 130)


def _fail(text: str, status: int) -> int:
    sys.stderr.write(f"evaluate.py: {text}\n")
    return status


def _evaluate(options: argparse.Namespace, console: Console) -> int:
    # Slow to import, and --help should be quick.
    from songsplit.evaluation.scoring import evaluate_songs
    from songsplit.evaluation.summary import print_results, say, summarize, write_csv
    from songsplit.evaluation.systems import estimates_system, model_system
    from songsplit.files import write_json

    songs, label, data = _songs(options)
    if options.estimates:
        candidate = estimates_system(options.estimates)
    else:
        candidate = model_system(options.model, options.device, options.quality or "balanced")
    output: Path = options.output or Path("runs", "evaluation", f"{candidate.name}-{label}")
    with suppress(OSError, ValueError):
        old = json.loads((output / "summary.json").read_text(encoding="utf-8"))
        if any(old.get(key) != value for key, value in candidate.about.items()):
            sys.stderr.write(
                f"warning: {output} holds the scores of another {candidate.name!r}, which are "
                "replaced: --output keeps both\n"
            )
    # Songs of two data sets may have the same name.
    beside = output.absolute().parent / f"yardsticks-{label}"
    results, digests = evaluate_songs(
        songs,
        candidate,
        output,
        options.yardsticks or beside,
        backend=options.backend,
        jobs=options.jobs,
    )
    about = {
        **candidate.about,
        "data": data,
        "settings": {"backend": options.backend, "songsplit": __version__},
        "versions": {name: metadata.version(name) for name in ("numpy", "scipy", "torch")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    systems = summarize(results)
    write_json(output / "summary.json", {**about, "songs": digests, "systems": systems})
    write_csv(output / "scores.csv", results)
    print_results(systems, console)
    say(console, f"stored in {output}")
    if not options.no_report:
        try:
            from songsplit.evaluation.report import write_report
        except MissingExtraError as error:
            say(console, f"no report: {error}")
        else:
            # The song in the middle of the ranking by SDR.
            scores = results[candidate.name]
            sdr = {song: scores[song.name].value("vocals", "SDR") for song in songs}
            ranked = sorted((s for s in songs if not math.isnan(sdr[s])), key=sdr.__getitem__)
            example = None
            if ranked:
                song = ranked[len(ranked) // 2]
                audio = song.read()
                example = song.name, audio, candidate.estimates(song, audio)[0]["vocals"]
            say(console, f"report: {write_report(output, results, systems, about, example)}")
    failed = [song for song in songs if not all(r[song.name].frames for r in results.values())]
    if failed:
        return _fail(
            f"{len(failed)} of {len(songs)} songs could not be scored in full: see the remarks "
            "above, mend them and start again",
            1,
        )
    return 0


def _songs(options: argparse.Namespace) -> tuple[list[ReferenceSong], str, dict[str, Any]]:
    """Give the songs, a name for folders of their scores, and what is recorded of them."""
    from songsplit.evaluation.references import musdb_songs, own_songs

    if options.musdb:
        subset: Subset = options.subset or "test"
        split = options.split
        songs = musdb_songs(options.musdb, subset, split)
        name = "MUSDB18" if len(songs[0].files) == 1 else "MUSDB18-HQ"
        label = "-".join(filter(None, [name.lower().replace("-", ""), subset, split]))
        data = {"name": name, "subset": subset, "split": split, "songs": len(songs)}
        return songs, label, data
    songs, passed_over = own_songs(options.references)
    for finding in passed_over:
        sys.stderr.write(f"warning: {finding.path}: {finding.text}\n")
    folder = options.references.expanduser().resolve()
    # The names of folders, such as "songs", may be alike.
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:6]
    return songs, f"{folder.name[:50]}-{digest}", {"name": folder.name, "songs": len(songs)}


def _compare(options: argparse.Namespace, console: Console) -> int:
    from songsplit.evaluation.compare import compare, print_comparison
    from songsplit.files import write_json

    comparison = compare(*options.compare)
    print_comparison(comparison, console)
    if options.output is not None:
        write_json(options.output, comparison)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    given = [name for name, value in vars(options).items() if value != parser.get_default(name)]
    other = [name for name in given if name not in ("compare", "output")]
    if options.compare and other:
        parser.error(f"--{other[0].replace('_', '-')} does not go with --compare")
    if options.references and (options.subset or options.split):
        parser.error("--subset and --split go with --musdb, not with --references")
    if options.split and options.subset != "train":
        parser.error(f"--split {options.split} is a part of the train songs: add --subset train")
    for option in ("device", "quality"):
        if options.estimates and option in given:
            parser.error(f"--{option} goes with --model, not with --estimates")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate.py",
        description=(
            "Score vocals and accompaniment (and drums, bass and other, where they are "
            "separated) with BSS Eval v4, the SDR, ISR, SIR and SAR of museval, and with uSDR "
            "and SI-SDR of whole songs, all in dB. The mixture as it is, the ideal ratio mask "
            "and the multichannel Wiener filter are scored beside, as floor and ceilings."
        ),
        epilog=(
            "Scores are stored song by song. When started again, songs that were scored under "
            "the same conditions are skipped. Test songs are for the final score: choose "
            "between models with --subset train --split valid."
        ),
    )

    def add(name: str, text: str, to: Any = parser, **options: Any) -> None:
        to.add_argument(name, help=text, **options)

    task = parser.add_mutually_exclusive_group(required=True)
    add("--musdb", "the folder that holds train and test of MUSDB18 or MUSDB18-HQ", task, type=Path)
    text = "songs of your own: a folder for each, with vocals and instrumental, or four stems"
    add("--references", text, task, type=Path, metavar="DIR")
    text = "say how much better B is than A, song by song: two folders of scores"
    add("--compare", text, task, type=Path, nargs=2, metavar=("A", "B"))

    system = parser.add_mutually_exclusive_group()
    text = "a model that comes with songsplit, or a file (default: default)"
    add("--model", text, system, metavar="NAME_OR_PATH")
    text = (
        "stems that any system has made: a folder for each song, named like the song, or files "
        "such as 'Song - vocals.wav'"
    )
    add("--estimates", text, system, type=Path, metavar="DIR")

    add("--quality", "setting of the model (default: balanced)", choices=QUALITIES)
    add("--subset", "songs of MUSDB18 to score (default: test)", choices=("train", "test"))
    text = "part of the train songs: musdb's 14 validation songs, or the others (default: all)"
    add("--split", text, choices=("train", "valid"))
    text = (
        "what computes SDR, ISR, SIR and SAR; museval gives the same numbers, is slower and needs "
        "the program ffmpeg (default: songsplit)"
    )
    add("--backend", text, choices=("songsplit", "museval"), default="songsplit")
    text = "songs to score at once, each of which takes memory of its own (default: 1)"
    add("--jobs", text, type=_positive, default=1, metavar="N")
    add("--device", "where the model runs: cpu, cuda, mps, ... (default: the fastest)")
    text = (
        "folder for scores and report (default: runs/evaluation/MODEL-DATA); with --compare a "
        "JSON file"
    )
    add("--output", text, type=Path, metavar="PATH")
    text = (
        "folder for the scores of mixture, mask and filter, which all models on the same songs "
        "share (default: yardsticks-DATA beside the output)"
    )
    add("--yardsticks", text, type=Path, metavar="DIR")
    add("--no-report", "leave out the HTML report and its figures", action="store_true")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a number from 1 up")
    return int(text)
