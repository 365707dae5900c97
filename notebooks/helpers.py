"""What the notebooks share: where things lie, players of sound, and pictures of spectrograms."""

from __future__ import annotations

import base64
import html
import io
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import librosa
import librosa.display
import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image

from songsplit import OutputFormat, Stems
from songsplit.audio import read_audio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["BLUE", "EXAMPLES", "GREY", "LINES", "ORANGE", "listen", "program", "read", "spectra"]

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

LINES = ("#0072B2", "#8C8C8C", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""Colours that the colour-blind tell apart."""
BLUE, GREY, ORANGE = LINES[:3]

COLOURS = 48
LOWEST, HIGHEST = 70.0, 14000.0
"""Limits in Hz of the spectrograms that are drawn."""

plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "image.cmap": "magma",
        "image.interpolation": "nearest",
        "axes.prop_cycle": plt.cycler(color=LINES),
    }
)


def _sharp(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """Draw a figure with two pixels for each that is shown, in few colours: a small PNG file."""
    content = io.BytesIO()
    figure.savefig(content, dpi=144, bbox_inches="tight", facecolor="white")
    image = Image.open(content).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue(), {"width": image.width // 2, "height": image.height // 2}


def _use_sharp(*_: object) -> None:
    get_ipython().display_formatter.formatters["image/png"].for_type(Figure, _sharp)


plt.close(plt.figure())  # matplotlib sets its own way to draw after the cell of the first figure
if get_ipython():
    get_ipython().events.register("post_run_cell", _use_sharp)
warnings.filterwarnings("ignore", message="IProgress not found")
if "torch" in sys.modules:
    sys.modules["torch"].set_num_threads(1)  # see `program`


def read(*path: str) -> tuple[NDArray[np.float32], int]:
    """Read a file below ``examples``: audio of shape (channels, samples), and its rate in Hz."""
    return read_audio(EXAMPLES.joinpath(*path))


def listen(
    sounds: Mapping[str, NDArray[np.floating]],
    sample_rate: int,
    start: float = 0.0,
    seconds: float = 3.0,
) -> HTML:
    """Give players of excerpts, one below the other.

    The excerpts, of sounds (channels, samples) or (samples,) by name, are MP3, so that saved
    notebooks stay small. They keep their levels relative to each other.
    """
    first = round(start * sample_rate)
    excerpts = {
        f"sound-{number}": np.atleast_2d(sound)[:, first : first + round(seconds * sample_rate)]
        for number, sound in enumerate(sounds.values())
    }
    # A hundredth of a second to fade in and out: a cut in a wave is a click.
    length = next(iter(excerpts.values())).shape[1]
    ramp = np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.01 * sample_rate)
    faded = {name: (sound * ramp.clip(0, 1)).astype(np.float32) for name, sound in excerpts.items()}
    with TemporaryDirectory() as folder:
        files = Stems(faded, sample_rate).save(folder, output=OutputFormat("mp3", bitrate=80))
        encoded = [base64.b64encode(path.read_bytes()).decode() for path in files.values()]
    rows = (
        f'<tr><td style="text-align:left">{html.escape(name)}</td><td><audio controls '
        f'title="{html.escape(name)}" preload="none" src="data:audio/mpeg;base64,{content}">'
        "</audio></td></tr>"
        for name, content in zip(sounds, encoded, strict=True)
    )
    return HTML(f"<table>{''.join(rows)}</table>")


def spectra(
    panels: Mapping[Axes, NDArray[np.floating]],
    sample_rate: int,
    start: float = 0.0,
    seconds: float | None = None,
    decibels: float = 70.0,
) -> None:
    """Draw spectrograms of (channels, samples) or (samples,) on one scale, with a colour bar.

    Colours reach from the highest magnitude in any of them down by `decibels`.
    """
    first = round(start * sample_rate)
    last = None if seconds is None else first + round(seconds * sample_rate)
    magnitudes = {
        axes: np.abs(librosa.stft(np.atleast_2d(audio)[:, first:last].mean(axis=0), n_fft=4096))
        for axes, audio in panels.items()
    }
    peak = max(magnitude.max() for magnitude in magnitudes.values())
    for axes, magnitude in magnitudes.items():
        image = librosa.display.specshow(
            librosa.amplitude_to_db(magnitude, ref=peak, top_db=decibels),
            sr=sample_rate,
            hop_length=1024,
            x_axis="time",
            y_axis="log",
            x_coords=start + librosa.times_like(magnitude, sr=sample_rate, hop_length=1024),
            ax=axes,
            vmin=-decibels,
            vmax=0,
            cmap="magma",
        )
        axes.set(ylim=(LOWEST, HIGHEST), xlabel="time in seconds", ylabel="")
        axes.label_outer()
    next(iter(magnitudes)).set_ylabel("frequency in Hz")
    image.figure.colorbar(image, ax=list(magnitudes), label="level in dB", pad=0.01, aspect=30)


def program(*arguments: str | Path, status: int = 0, only: str = "") -> None:
    """Run what would follow ``python`` on a command line, and show what it says.

    `status` is the exit status that is due, `only` a regular expression that the lines to be
    shown begin with.
    """
    words = [
        str(ROOT / word) if word in ("train.py", "evaluate.py") else word for word in arguments
    ]
    # As into a file: Jupyter asks programs for colours and moving bars.
    environment = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"}
    # On a busy machine, threads that wait for each other would take most of the time.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, words)],
        env=environment | {"TERM": "dumb", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != status:
        raise RuntimeError(f"ended with status {done.returncode}:\n{done.stdout}")
    text = done.stdout.replace(f"{Path.cwd()}/", "")
    sys.stdout.writelines(line for line in text.splitlines(True) if re.match(only, line))
