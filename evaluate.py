"""Score a model on MUSDB18 or MUSDB18-HQ: ``python evaluate.py --help`` tells how."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from songsplit.data.musdb import musdb_tracks
from songsplit.errors import SongsplitError
from songsplit.evaluation.report import print_results, store_summary
from songsplit.evaluation.runner import Candidate, Separate, evaluate_tracks
from songsplit.models.registry import DEFAULT_MODEL, load_model


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line, those of this process by default.

    Returns
    -------
    int
        Exit status: 0, 1 after an error, 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    progress = Console(stderr=True)
    try:
        _evaluate(options, progress)
    except SongsplitError as error:
        progress.print(f"evaluate.py: {error}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        progress.print("evaluate.py: interrupted; the same command goes on from here")
        return 130
    return 0


def load_separator(model: str) -> Separate:
    """Load a model and give the function that separates with it."""
    from songsplit import Separator

    separator = Separator(model)
    return lambda mixture, sample_rate: separator.separate(mixture, sample_rate=sample_rate)


def _evaluate(options: argparse.Namespace, progress: Console) -> None:
    tracks = musdb_tracks(options.musdb, options.subset, options.split)
    path = Path(options.model)
    label = path.stem if path.is_file() else options.model
    parts = [label, options.subset, options.split]
    output = options.output or Path("runs/evaluation", "-".join(filter(None, parts)))
    digest = load_model(options.model).digest
    candidate = Candidate(options.model, digest, partial(load_separator, options.model))
    results = evaluate_tracks(tracks, candidate, output, options.subset, options.jobs, progress)
    about = {
        "model": {"name": candidate.name, "sha256": candidate.identity},
        "data": {"subset": options.subset, "split": options.split, "songs": len(tracks)},
    }
    store_summary(output / "summary.json", results, about)
    # Wide enough for all columns also where the output goes to a file.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(f"{candidate.name} on MUSDB18 {' '.join(filter(None, parts[1:]))}", markup=False)
    print_results(results, console)
    console.print(f"stored in {output}", markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate.py",
        description=(
            "Separate the songs of MUSDB18 or MUSDB18-HQ with a model and score vocals and "
            "accompaniment with museval (BSS Eval v4: SDR, ISR, SIR, SAR in dB, windows of one "
            "second). The scores of the mixture as it is and of the ideal ratio mask (p = 2) "
            "stand beside those of the model, as the floor and the ceiling of soft masks."
        ),
        epilog=(
            "Needs pip install 'songsplit[eval]' and the programs ffmpeg and ffprobe. Scores are "
            "stored song by song; when started again with the same output folder, songs that "
            "were scored with the same model are skipped. Test songs are for the final "
            "score: choose between models with --subset train --split valid."
        ),
    )
    parser.add_argument(
        "--musdb",
        type=Path,
        required=True,
        metavar="PATH",
        help="folder that holds the folders train and test of MUSDB18 or MUSDB18-HQ",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME_OR_PATH",
        help=f"name of a model that comes with songsplit, or a file (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--subset", choices=("train", "test"), default="test", help="songs to score (default: test)"
    )
    parser.add_argument(
        "--split",
        choices=("train", "valid"),
        help="part of the train subset: musdb's 14 validation songs, or the others (default: all)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for scores (default: runs/evaluation/MODEL-SUBSET-SPLIT)",
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=1,
        metavar="N",
        help="songs to score at once; a song of 4 minutes takes 5 GB of memory (default: 1)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
