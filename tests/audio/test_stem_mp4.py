from __future__ import annotations

import io

import numpy as np
import pytest

from songsplit.audio import read_streams
from songsplit.audio.encoders import StemMp4Encoder
from tests.zoo.encoding import RATE, song


def stem_file(*stems: np.ndarray, names: tuple[str, ...] = ("vocals", "instrumental")) -> bytes:
    file = io.BytesIO()
    encoder = StemMp4Encoder(file, names[: len(stems)], RATE, 256)
    for start in range(0, stems[0].shape[1], 7777):
        encoder.write(*(stem[:, start : start + 7777] for stem in stems))
    encoder.close()
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
def test_mixture_first_then_four_parts(channels: int) -> None:
    vocals, rest = song(channels=channels), song(channels=channels)[:, ::-1] / 2
    streams, rate = read_streams(io.BytesIO(stem_file(vocals, rest)))
    assert rate == RATE
    silence = np.zeros_like(vocals)
    parts = [vocals + rest, vocals, rest, silence, silence]
    for stream, expected in zip(streams, parts, strict=True):
        assert stream.shape[0] == 2
        assert 0 <= stream.shape[1] - expected.shape[1] < 1024
        error = np.square(stream[:, : expected.shape[1]] - expected).mean()
        assert error <= 0.05 * np.square(expected).mean()


@pytest.mark.slow
def test_stempeg_reads_it(tmp_path) -> None:
    stempeg = pytest.importorskip("stempeg")
    path = tmp_path / "song.stem.mp4"
    path.write_bytes(stem_file(song(), song()))
    try:
        stems, rate = stempeg.read_stems(str(path))
    except (RuntimeError, OSError) as error:
        pytest.skip(f"stempeg needs the ffmpeg program: {error}")
    assert rate == RATE
    assert stems.shape[0] == 5
    assert np.square(stems[0]).mean() == pytest.approx(4 * np.square(stems[1]).mean(), rel=0.05)
