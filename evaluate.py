"""Score a model or separated stems as the field does: ``python evaluate.py --help`` tells how."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from rich.console import Console

from songsplit.errors import MissingExtraError, OutputError, SongsplitError
from songsplit.models.registry import DEFAULT_MODEL
from songsplit.quality import BALANCED, QUALITIES

if TYPE_CHECKING:
    from songsplit.evaluation.figures import Example
    from songsplit.evaluation.runner import Evaluation
    from songsplit.evaluation.songs import ReferenceSong
    from songsplit.evaluation.systems import System

_WITHOUT_COMPARE = (
    *("model", "quality", "estimates", "subset", "split", "backend", "jobs", "device"),
    *("yardsticks", "no_report"),
)
_EVALUATION = Path("runs", "evaluation")
_INTERRUPTED, _TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


class _Terminated(BaseException):
    """The process was asked to end, by SIGTERM."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line, those of this process by default.

    Returns
    -------
    int
        Exit status: 0, 1 after an error or if a song could not be scored, 130 when
        interrupted, 143 when terminated.
    """
    # Songs may have names that the terminal's encoding cannot show.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _options(arguments)
    progress = Console(stderr=True)
    # Wide enough for all columns also where the output goes to a file.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    try:
        with _termination_raised():
            if options.compare is not None:
                _compare(options, console)
                return 0
            return _evaluate(options, console, progress)
    except SongsplitError as error:
        _say(progress, f"evaluate.py: {error}")
        return 1
    except KeyboardInterrupt:
        _say(progress, "evaluate.py: interrupted; the same command goes on from here")
        return _INTERRUPTED
    except _Terminated:
        _say(progress, "evaluate.py: terminated; the same command goes on from here")
        return _TERMINATED


@contextmanager
def _termination_raised() -> Iterator[None]:
    """Raise an exception where SIGTERM arrives, so that worker processes are ended too."""

    def terminate(*_: object) -> NoReturn:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Data(NamedTuple):
    """The songs to score on, how folders are named after them, and what is recorded."""

    songs: list[ReferenceSong]
    # Of the data set, and of the part of it that is scored on.
    name: str
    label: str
    record: dict[str, Any]


def _evaluate(options: argparse.Namespace, console: Console, progress: Console) -> int:
    # Slow to import, and --help should be quick.
    from songsplit.evaluation.html import remove_report
    from songsplit.evaluation.runner import evaluate_songs
    from songsplit.evaluation.store import store_summary, write_csv
    from songsplit.evaluation.tables import print_results

    data = _own_data(options, progress) if options.references else _musdb_data(options)
    candidate, about = _candidate(options)
    output, yardsticks = _folders(options, candidate, data)
    evaluation = evaluate_songs(
        data.songs,
        candidate,
        output,
        yardsticks=yardsticks,
        backend=options.backend or "songsplit",
        jobs=options.jobs or 1,
        console=progress,
    )
    summary = output / "summary.json"
    # That of an earlier run, whose scores may be others.
    remove_report(output)
    about |= {
        "data": data.record,
        "settings": {"backend": options.backend or "songsplit"},
        "songs": {
            name: {"reference_digest": audio.reference_digest, "seconds": audio.seconds}
            for name, audio in evaluation.audio.items()
        },
    }
    store_summary(summary, evaluation.results, about)
    write_csv(output / "scores.csv", evaluation.results)
    on = " ".join(value for value in data.record.values() if isinstance(value, str))
    _say(console, f"{candidate.name} on {on}")
    print_results(evaluation.results, console)
    _say(console, f"stored in {output}")
    if not options.no_report:
        _report(output, summary, candidate, data.songs, evaluation, console)
    if evaluation.failed:
        _say(
            progress,
            f"evaluate.py: {len(evaluation.failed)} of {len(data.songs)} songs could not be "
            "scored in full: see the remarks above, mend them and start again",
        )
        return 1
    return 0


def _folders(options: argparse.Namespace, candidate: System, data: _Data) -> tuple[Path, Path]:
    """Make the folders for the scores of the candidate and of the yardsticks."""
    from songsplit.evaluation.songs import short_name

    label = f"{candidate.name}-{data.label}"
    output: Path = options.output or _EVALUATION / short_name(label, label)
    # Not one for all data: songs of two data sets may have the same name.
    beside = (
        output.resolve().parent / f"yardsticks-{data.name}"
        if options.output
        else _EVALUATION / "yardsticks" / data.name
    )
    yardsticks: Path = options.yardsticks or beside
    for folder in (output, yardsticks):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = "this is a file" if folder.is_file() else error.strerror
            raise OutputError(f"{folder}: {why}: name a folder that scores can go to") from error
    return output, yardsticks


def _musdb_data(options: argparse.Namespace) -> _Data:
    from songsplit.evaluation.songs import musdb_songs

    songs = musdb_songs(options.musdb, options.subset, options.split)
    name = "MUSDB18" if len(songs[0].files) == 1 else "MUSDB18-HQ"
    chosen = {"subset": options.subset, "split": options.split}
    short = name.lower().replace("-", "")
    label = "-".join([short, *(part for part in chosen.values() if part)])
    return _Data(songs, short, label, {"name": name, **chosen, "songs": len(songs)})


def _own_data(options: argparse.Namespace, progress: Console) -> _Data:
    from songsplit.evaluation.songs import own_songs, short_name

    songs, passed_over = own_songs(options.references)
    for finding in passed_over:
        _say(progress, f"warning: {finding.path}: {finding.text}")
    folder = options.references.expanduser().resolve()
    name = folder.name or "references"
    # Many a folder is called "songs".
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:6]
    unique = short_name(f"{name}-{digest}", str(folder))
    return _Data(songs, unique, unique, {"name": name, "songs": len(songs)})


def _candidate(options: argparse.Namespace) -> tuple[System, dict[str, Any]]:
    """Give the system that is judged, and what to record of it."""
    if options.estimates:
        from songsplit.evaluation.estimates import EstimatesFolder

        folder = EstimatesFolder(options.estimates)
        return folder, {"estimates": {"name": folder.name}}
    from songsplit.evaluation.systems import ModelSystem

    quality = options.quality or BALANCED
    model = ModelSystem(options.model or DEFAULT_MODEL, options.device, quality)
    record = {"name": model.name, "sha256": model.digest, "quality": quality}
    return model, {"model": record}


def _report(
    output: Path,
    summary: Path,
    candidate: System,
    songs: Sequence[ReferenceSong],
    evaluation: Evaluation,
    console: Console,
) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        _say(console, f"no report with pictures: {MissingExtraError('matplotlib', 'eval')}")
        return
    from songsplit.evaluation.html import write_report

    content = json.loads(summary.read_text(encoding="utf-8"))
    examples = _examples(candidate, songs, evaluation)
    report = write_report(output, evaluation.results, content, examples)
    _say(console, f"report: {report}")


def _examples(
    candidate: System, songs: Sequence[ReferenceSong], evaluation: Evaluation
) -> list[Example]:
    """Give the vocals of the best and of the worst song."""
    from songsplit.evaluation.figures import Example
    from songsplit.evaluation.summary import extremes

    found = []
    # The same song twice if there is only one.
    for name in dict.fromkeys(extremes(evaluation.results[candidate.name]) or ()):
        song = next(song for song in songs if song.name == name)
        audio = song.read()
        vocals = candidate.estimates(song, audio).audio["vocals"]
        found.append(Example(name, "vocals", audio.sample_rate, audio.references["vocals"], vocals))
    return found


def _compare(options: argparse.Namespace, console: Console) -> None:
    from songsplit.evaluation.compare import compare
    from songsplit.evaluation.comparison_tables import print_comparison
    from songsplit.files import write_json

    comparison = compare(*options.compare)
    print_comparison(comparison, console)
    if options.output is not None:
        write_json(options.output, comparison.as_dict())
        _say(console, f"stored in {options.output}")


def _say(console: Console, text: str) -> None:
    """Print a line as it is, however long."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.compare is not None:
        given = [name.replace("_", "-") for name in _WITHOUT_COMPARE if getattr(options, name)]
        if given:
            parser.error(f"--{given[0]} does not go with --compare")
    if options.references and (options.subset or options.split):
        parser.error("--subset and --split go with --musdb, not with --references")
    if options.split and options.subset != "train":
        parser.error(f"--split {options.split} is a part of the train songs: add --subset train")
    for option in ("device", "quality"):
        if options.estimates and getattr(options, option):
            parser.error(f"--{option} goes with --model, not with --estimates")
    options.subset = options.subset or "test"
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
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument(
        "--musdb",
        type=Path,
        metavar="PATH",
        help="score on MUSDB18 or MUSDB18-HQ: the folder that holds the folders train and test",
    )
    task.add_argument(
        "--references",
        type=Path,
        metavar="DIR",
        help="score on songs of your own: a folder for each, with vocals and instrumental, or "
        "vocals, drums, bass and other",
    )
    task.add_argument(
        "--compare",
        type=Path,
        nargs=2,
        metavar=("A.json", "B.json"),
        help="say how much better B is than A, song by song: two files summary.json",
    )
    system = parser.add_mutually_exclusive_group()
    system.add_argument(
        "--model",
        metavar="NAME_OR_PATH",
        help=f"name of a model that comes with songsplit, or a file (default: {DEFAULT_MODEL})",
    )
    system.add_argument(
        "--estimates",
        type=Path,
        metavar="DIR",
        help="score stems that any system has made: a folder for each song, named like the song, "
        "with vocals and accompaniment, or vocals, drums, bass and other",
    )
    parser.add_argument(
        "--quality", choices=QUALITIES, help=f"quality setting of the model (default: {BALANCED})"
    )
    parser.add_argument(
        "--subset", choices=("train", "test"), help="songs of MUSDB18 to score (default: test)"
    )
    parser.add_argument(
        "--split",
        choices=("train", "valid"),
        help="part of the train subset: musdb's 14 validation songs, or the others (default: all)",
    )
    parser.add_argument(
        "--backend",
        choices=("songsplit", "museval"),
        help="what computes SDR, ISR, SIR and SAR; museval gives the same numbers, is slower and "
        "needs the program ffmpeg (default: songsplit)",
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        help="songs to score at once, each of which takes memory of its own (default: 1)",
    )
    parser.add_argument(
        "--device", help="where the model runs: cpu, cuda, mps, ... (default: the fastest)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="folder for scores and report (default: runs/evaluation/MODEL-DATA-SUBSET-SPLIT, "
        "such as runs/evaluation/default-musdb18hq-test; for songs of your own, DATA is the name "
        "of their folder and a part of the hash of its path); with --compare a JSON file",
    )
    parser.add_argument(
        "--yardsticks",
        type=Path,
        metavar="DIR",
        help="folder for the scores of mixture, mask and filter, which all models on the same "
        "songs share (default: runs/evaluation/yardsticks/DATA; with --output, yardsticks-DATA "
        "beside it)",
    )
    parser.add_argument(
        "--no-report", action="store_true", help="leave out the HTML report and its pictures"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a number from 1 up")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
