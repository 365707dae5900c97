"""Reference values of stems and scores: ``python -m tests.contract.reference`` writes them.

Stems are made in float32, which agrees between processors to 1e-6 of the peak. Convolutions with
integers of 8 bits, which some processors use, change stems by -40 dB of the mixture, so no
reference is kept for them: they are held against float32 at -35 dB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import songsplit
from tests.contract.material import EXAMPLE, estimated, music, read, song_stems

FILE = Path(__file__).with_name("reference.json")
POSITIONS = 200
SONGS = 3


def mixtures() -> dict[str, tuple[np.ndarray, int]]:
    """Return the songs to separate by name: samples (channels, samples) and rate."""
    return {
        "lithium": read(EXAMPLE),
        "mono at 48 kHz": (music(6, 48000, channels=1, seed=1), 48000),
        "six channels": (music(5, channels=6, seed=2), 44100),
        "70 seconds": (music(70, seed=3), 44100),
    }


def float32_only() -> Any:
    """Make both engines compute in float32 on this processor."""
    both = ExitStack()
    for name in (
        "songsplit.inference.engine.has_quick_integers",
        "torch.cpu._is_avx512_bf16_supported",
    ):
        both.enter_context(patch(name, lambda: False))
    return both


def sampled(stem: np.ndarray) -> list[float]:
    """Return values at positions that depend only on the shape."""
    places = np.random.default_rng(7).integers(0, stem.size, POSITIONS)
    return [float(value) for value in stem.reshape(-1)[places]]


def energies(stem: np.ndarray, rate: int) -> list[float]:
    """Return the mean square of each whole second, over all channels."""
    seconds = stem.shape[-1] // rate
    parts = np.square(stem[:, : seconds * rate].astype(np.float64)).reshape(-1, seconds, rate)
    return [float(value) for value in parts.mean(axis=(0, 2))]


def described(stems: Mapping[str, np.ndarray], rate: int) -> dict[str, Any]:
    """Return the reference values of the stems of a song."""
    return {
        name: {"samples": sampled(stem), "energies": energies(stem, rate)}
        for name, stem in stems.items()
    }


def museval_scores(seed: int) -> dict[str, dict[str, list[float]]]:
    """Return SDR, ISR, SIR and SAR of each second as museval computes them."""
    from museval.metrics import bss_eval

    truth, guess = song_stems(seed), estimated(song_stems(seed))
    names = list(truth)
    found = bss_eval(
        np.stack([truth[name].T for name in names]),
        np.stack([guess[name].T for name in names]),
        window=44100,
        hop=44100,
        compute_permutation=False,
    )
    return {
        name: {
            measure: [round(float(value), 6) for value in values[number]]
            for measure, values in zip(("SDR", "ISR", "SIR", "SAR"), found[:4], strict=True)
        }
        for number, name in enumerate(names)
    }


def main() -> None:
    """Write the file."""
    with float32_only():
        separator = songsplit.Separator(device="cpu")
    kept: dict[str, Any] = {"stems": {}, "scores": [museval_scores(n) for n in range(SONGS)]}
    for name, (mixture, rate) in mixtures().items():
        kept["stems"][name] = described(separator.separate(mixture, rate), rate)
    rounded = json.loads(json.dumps(kept), parse_float=lambda text: float(f"{float(text):.7g}"))
    lines = json.dumps(rounded, indent=1).replace("\n     ", " ").replace("\n    ]", " ]")
    FILE.write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
