"""How long scoring takes and how much memory, beside museval, and whether the scores agree.

``python benchmarks/evaluation.py`` scores one estimate of a song of three minutes in all
ways. Each measurement is a process of its own: it reads the audio into float64 arrays, imports
what it needs, then the clock starts, with nothing computed or kept beforehand. Music does not
change the speed, so by default the song is made-up noise; whether the scores agree is better
seen with music (``--musdb`` or ``--audio``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

Floats: TypeAlias = NDArray[np.float64]

METRICS = ("SDR", "ISR", "SIR", "SAR")
STEMS = ("vocals", "drums", "bass", "other")
RATE = 44100
CEILING = 80  # dB; above, all that counts is that both are
LEAK = 0.1  # of the mixture in the estimates, beside what a soft mask lets through


class Measurement(NamedTuple):
    """Seconds, and the process's highest memory use in bytes."""

    seconds: float
    peak: int


# Cases. Each is given references and estimates of one or more problems, makes itself ready,
# and gives back what is to be timed.
Audio: TypeAlias = list[tuple[Floats, Floats]]
Case: TypeAlias = Callable[[Audio], Callable[[], Floats | None]]


def arrays_alone(audio: Audio) -> Callable[[], Floats | None]:
    """Do nothing, to show what the audio takes."""
    return lambda: None


def museval(audio: Audio) -> Callable[[], Floats | None]:
    """Score with museval as its function `evaluate` does."""
    from museval.metrics import bss_eval

    ((references, estimates),) = audio

    def score() -> Floats:
        *scores, _ = bss_eval(
            references,
            estimates,
            compute_permutation=False,
            window=RATE,
            hop=RATE,
            framewise_filters=False,
            bsseval_sources_version=False,
        )
        return np.stack(scores)

    return score


def sdr_alone(audio: Audio) -> Callable[[], Floats | None]:
    """Score SDR, which needs no filters."""
    from songsplit.evaluation.ratios import frame_sdr

    ((references, estimates),) = audio
    return lambda: frame_sdr(references, estimates, RATE, RATE)[None]


def all_four(audio: Audio) -> Callable[[], Floats | None]:
    """Score everything from the beginning, one problem after the other."""
    from songsplit.evaluation.bsseval import ReferenceStatistics

    def score() -> Floats:
        return np.concatenate(
            [
                ReferenceStatistics(references, RATE, RATE).score(estimates)
                for references, estimates in audio
            ],
            axis=1,
        )

    return score


def next_system(audio: Audio) -> Callable[[], Floats | None]:
    """Score when another system has been scored on the same references before."""
    from songsplit.evaluation.bsseval import ReferenceStatistics

    ((references, estimates),) = audio
    kept = ReferenceStatistics(references, RATE, RATE)
    kept.score(estimates)
    return lambda: kept.score(estimates)


# Which function, on which files of `prepare`.
CASES: dict[str, tuple[Case, tuple[str, ...]]] = {
    "museval": (museval, ("two-museval",)),
    "SDR alone": (sdr_alone, ("two",)),
    "all four": (all_four, ("two",)),
    "all four, next system": (next_system, ("two",)),
    "arrays alone": (arrays_alone, ("two",)),
    "five targets, all four": (all_four, ("two", "four")),
    "five targets, arrays alone": (arrays_alone, ("two", "four")),
}


def prepare(options: argparse.Namespace, folder: Path) -> None:
    """Write references and estimates, as the cases need them, into a folder."""
    from songsplit.evaluation.oracles import ideal_ratio_mask

    samples = round(options.seconds * RATE)
    if options.musdb:
        stems = musdb_stems(options.musdb, samples)
    elif options.audio:
        stems = audio_stems(options.audio, samples)
    else:
        stems = made_up_stems(samples)
    accompaniment = stems["drums"] + stems["bass"] + stems["other"]
    mixture = stems["vocals"] + accompaniment
    references = stems | {"accompaniment": accompaniment}
    masked = ideal_ratio_mask(mixture, references, power=1.0)
    estimates = {name: (1 - LEAK) * masked[name] + LEAK * mixture for name in references}
    for name, targets in (("two", ("vocals", "accompaniment")), ("four", STEMS)):
        for kind, audio in (("references", references), ("estimates", estimates)):
            stack = np.stack([audio[target] for target in targets])
            np.save(folder / f"{name}-{kind}.npy", stack)
            if name == "two" and not options.skip_museval:
                np.save(folder / f"two-museval-{kind}.npy", np.moveaxis(stack, 1, 2).copy())


def musdb_stems(root: Path, samples: int) -> dict[str, Floats]:
    """Join songs of the train subset, from the first on."""
    from songsplit.data.musdb import musdb_tracks

    songs, length = [], 0
    for track in musdb_tracks(root, "train"):
        if length >= samples:
            break
        songs.append(track.audio()[1])
        length += songs[-1]["vocals"].shape[1]
    return {
        stem: repeated(np.concatenate([song[stem] for song in songs], axis=1), samples)
        for stem in STEMS
    }


def audio_stems(files: Sequence[Path], samples: int) -> dict[str, Floats]:
    """Read a file for each stem."""
    from songsplit.audio import read_audio

    stems = {}
    for stem, path in zip(STEMS, files, strict=True):
        audio, rate = read_audio(path)
        if rate != RATE or len(audio) != 2:
            raise SystemExit(f"{path}: {len(audio)} channels at {rate} Hz: give 2 at {RATE} Hz")
        stems[stem] = repeated(audio, samples)
    return stems


def repeated(audio: NDArray[np.float32], samples: int) -> Floats:
    """Repeat or cut audio to a length."""
    times = -(-samples // audio.shape[1])
    return np.tile(audio, times)[:, :samples].astype(np.float64)


def made_up_stems(samples: int) -> dict[str, Floats]:
    """Make pink noise that rises and falls, some of it common to both channels."""
    rng = np.random.default_rng(0)
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 20)
    stems = {}
    for stem in STEMS:
        middle, *sides = (
            np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) / np.sqrt(frequency), samples)
            for _ in range(3)
        )
        audio = np.stack([middle + 0.5 * side for side in sides])
        # A new level every quarter of a second, up to 30 dB down.
        knots = np.arange(samples // (RATE // 4) + 2)
        level = np.interp(np.arange(samples) * 4 / RATE, knots, rng.uniform(-30, 0, knots.size))
        audio *= 10 ** (level / 20)
        stems[stem] = 0.3 * audio / np.abs(audio).max()
    return stems


def measure(name: str, folder: Path) -> None:
    """Measure a case in this process, print the figures and store the scores."""
    function, files = CASES[name]
    audio = [
        (np.load(folder / f"{file}-references.npy"), np.load(folder / f"{file}-estimates.npy"))
        for file in files
    ]
    run = function(audio)
    begin = time.perf_counter()
    scores = run()
    seconds = time.perf_counter() - begin
    if scores is not None:
        np.save(folder / f"{name}.npy", scores)
    # In KiB, but on a Mac in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    sys.stdout.write(json.dumps([seconds, peak]))


def in_new_process(arguments: Sequence[str], threads: int) -> str:
    """Run this program in a process of its own, and give what it prints."""
    # PyTorch takes the first two, NumPy the last.
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], *arguments],
        env=os.environ | dict.fromkeys(names, str(threads)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr.strip()}")
    return done.stdout


def largest_difference(ours: Floats, theirs: Floats) -> float:
    """Largest difference in dB, where not both are beyond the ceiling."""
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return float("inf")
    compared = ~(np.isnan(ours) | ((ours > CEILING) & (theirs > CEILING)))
    return float(np.max(np.abs(ours[compared] - theirs[compared]), initial=0.0))


def processor() -> str:
    """Name the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def print_times(measured: dict[str, list[Measurement]], console: Console) -> None:
    """Print seconds and memory of all cases."""
    table = Table(
        "what is measured", "best", "median", "times faster", "peak memory", "less the arrays",
        "of museval's",
    )  # fmt: skip
    standard = measured.get("museval")
    for name, runs in measured.items():
        best = min(run.seconds for run in runs)
        peak = max(run.peak for run in runs)
        arrays = "five targets, arrays alone" if name.startswith("five") else "arrays alone"
        row = [name, "-", "-", "-", f"{peak / 1e9:.2f} GB", "-", "-"]
        if name != arrays:
            row[1] = f"{best:.2f} s"
            row[2] = f"{statistics.median(run.seconds for run in runs):.2f} s"
            row[5] = f"{(peak - max(run.peak for run in measured[arrays])) / 1e9:.2f} GB"
            if standard and not name.startswith("five"):
                row[3] = f"{min(run.seconds for run in standard) / best:.1f}"
                row[6] = f"{peak / max(run.peak for run in standard):.0%}"
        table.add_row(*row)
    console.print(table)


def print_differences(folder: Path, console: Console) -> None:
    """Print how far the scores are from museval's."""
    table = Table("largest difference from museval", *METRICS)
    theirs = np.load(folder / "museval.npy")
    for name in ("SDR alone", "all four", "all four, next system"):
        ours = np.load(folder / f"{name}.npy")
        differences = map(largest_difference, ours, theirs[: len(ours)])
        table.add_row(name, *(f"{difference:.1e} dB" for difference in differences))
    console.print(table)
    finite = theirs[~np.isnan(theirs)]
    console.print(
        f"{theirs.shape[1]} targets, {theirs.shape[2]} frames, "
        f"{np.isnan(theirs[0, 0]).sum()} of them without scores; "
        f"{np.mean(finite > CEILING):.1%} of museval's scores are beyond {CEILING} dB, where "
        "only this is compared"
    )


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    music = parser.add_mutually_exclusive_group()
    music.add_argument(
        "--musdb", type=Path, metavar="PATH", help="songs of the train subset, strung together"
    )
    music.add_argument(
        "--audio",
        type=Path,
        nargs=len(STEMS),
        metavar=tuple(stem.upper() for stem in STEMS),
        help="a file for each stem, 44.1 kHz stereo, repeated where too short",
    )
    parser.add_argument("--seconds", type=float, default=180, help="length (default: 180)")
    parser.add_argument("--threads", type=int, default=2, help="for computing (default: 2)")
    parser.add_argument("--repeats", type=int, default=3, help="of each case (default: 3)")
    parser.add_argument("--skip-museval", action="store_true", help="which takes long")
    # What one of the new processes has to do.
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        prepare(options, options.prepare)
        return
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]))
        return

    console = Console(width=120)
    console.print(
        f"{options.seconds:g} s of stereo at {RATE} Hz, float64, {options.threads} threads, "
        f"each case {options.repeats} times; load average before: {os.getloadavg()[0]:.1f}"
    )
    measured: dict[str, list[Measurement]] = {}
    with tempfile.TemporaryDirectory() as folder:
        # Not in this process: the memory that it ever used would count for those it starts.
        in_new_process(["--prepare", folder], options.threads)
        for name in CASES:
            if name == "museval" and options.skip_museval:
                continue
            measured[name] = [
                Measurement(
                    *json.loads(in_new_process(["--measure", name, folder], options.threads))
                )
                for _ in range(options.repeats)
            ]
        print_times(measured, console)
        if not options.skip_museval:
            print_differences(Path(folder), console)
    packages = ("songsplit", "museval", "numpy", "scipy", "torch")
    console.print(f"{processor()}, {os.cpu_count()} cores, {date.today()}")
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    console.print(f"Python {platform.python_version()}, {versions}")


if __name__ == "__main__":
    main()
