"""Add a model to the package: ``ship_model.py WEIGHTS NAME --music FOLDER``.

The tool converts the safetensors file to an ONNX network and an 8-bit ONNX network, and writes all
three files and their checksums to ``songsplit/weights``. It measures the ranges of the integers on
the first sixteen songs of the folder, which should be training songs of the model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import songsplit
from songsplit.audio import open_audio
from songsplit.audio.formats import audio_files
from songsplit.files import write_json, write_whole
from songsplit.inference.onnx_engine import OnnxEngine
from songsplit.models.onnx import onnx_network, quantized
from songsplit.models.weights import load_weights

SONGS, SECONDS = 16, 24


def opening(path: Path, rate: int) -> NDArray[np.float32]:
    """Return the first seconds of a stereo song with a peak of 1."""
    with open_audio(path) as reader:
        if (reader.info.sample_rate, reader.info.channels) != (rate, 2):
            raise SystemExit(f"{path} must have two channels of {rate} Hz")
        samples = np.concatenate(list(islice(reader.blocks(rate), SECONDS)), axis=1)
    scaled: NDArray[np.float32] = samples / max(np.abs(samples).max(), 1e-9)
    return scaled


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("name")
    parser.add_argument("--music", type=Path, required=True, help="folder of songs")
    options = parser.parse_args()
    folder = Path(songsplit.__file__).parent / "weights"
    network = onnx_network(load_weights(options.weights))
    engine = OnnxEngine(network)
    songs = audio_files(options.music, lambda error: None)[:SONGS]
    powers = [engine.band_powers(opening(song, engine.config.sample_rate)) for song in songs]
    files = {
        f"{options.name}.safetensors": options.weights.read_bytes(),
        f"{options.name}.onnx": network,
        f"{options.name}.int8.onnx": quantized(network, powers),
    }
    for name, content in files.items():
        write_whole(folder / name, content)
    registry = json.loads((folder / "registry.json").read_text(encoding="utf-8"))
    registry[options.name] = {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    write_json(folder / "registry.json", registry)


if __name__ == "__main__":
    main()
