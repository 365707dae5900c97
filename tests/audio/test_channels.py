from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit.audio import StemFilesWriter
from songsplit.audio.channels import Converter, mix_matrix
from songsplit.errors import ConfigError, OutputError
from songsplit.formats import OutputFormat

from .zoo import RATE, song


def test_mono_and_stereo() -> None:
    np.testing.assert_array_equal(mix_matrix(1, 2), [[1], [1]])
    np.testing.assert_array_equal(mix_matrix(2, 1), [[0.5, 0.5]])


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("target", [1, 2])
def test_full_scale_stays_full_scale(channels: int, target: int) -> None:
    matrix = mix_matrix(channels, target)
    assert matrix.shape == (target, channels)
    assert (matrix >= 0).all()
    assert matrix.sum(axis=1).max() == pytest.approx(1)


@pytest.mark.parametrize("channels", range(3, 9))
def test_sides_stay_sides(channels: int) -> None:
    left, right = mix_matrix(channels, 2)
    assert left[0] > 0
    assert right[0] == 0
    assert left[1] == 0
    assert sorted(left) == pytest.approx(sorted(right))


def test_the_deep_effects_channel_is_left_out() -> None:
    assert mix_matrix(6, 2)[:, 3].tolist() == [0, 0]
    # Centre 3 dB below the sides, as ITU-R BS.775 has it.
    left = mix_matrix(6, 2)[0]
    assert 20 * np.log10(left[2] / left[0]) == pytest.approx(-3.01, abs=0.01)


def test_blocks_of_any_size_give_the_same() -> None:
    stem = song()

    def converted(step: int) -> np.ndarray:
        convert = Converter(RATE, 2, 22050, 1)
        blocks = [convert(stem[:, i : i + step]) for i in range(0, stem.shape[1], step)]
        return np.concatenate([*blocks, convert.rest()], axis=1)

    np.testing.assert_allclose(converted(777), converted(100_000), atol=1e-6)
    assert converted(777).shape == (1, (stem.shape[1] + 1) // 2)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "m4a", "ogg", "opus"])
def test_files_have_the_rate_and_channels_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.{name}"
    writer = StemFilesWriter(
        {"a": path}, RATE, 2, output=OutputFormat(name, rate=48000, channels=1)
    )
    with writer:
        writer.write({"a": song()})
    from songsplit.audio import read_audio

    samples, rate = read_audio(path)
    assert rate == 48000
    assert samples.shape[0] == 1
    expected = song().shape[1] * 48000 / RATE
    assert 0 <= samples.shape[1] - round(expected) < 1024


def test_surround_as_stereo_where_a_format_has_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with pytest.raises(OutputError, match="ask for stereo"):
        StemFilesWriter({"a": path}, RATE, 6, output=OutputFormat("ogg"))
    with StemFilesWriter({"a": path}, RATE, 6, output=OutputFormat("ogg", channels=2)) as writer:
        writer.write({"a": np.zeros((6, RATE), np.float32)})
    assert soundfile.info(path).channels == 2


@pytest.mark.parametrize(
    "options", [{"rate": 44000}, {"rate": 0}, {"rate": 10**9}, {"channels": 3}, {"channels": 0}]
)
def test_what_cannot_be_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"use|channels"):
        OutputFormat("mp3", **options)


def test_a_mix_in_floating_point_is_guarded_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    loud = 2 * song() / np.abs(song()).max()
    for clip, gain in (("scale", 0.5), ("clamp", 1.0)):
        writer = StemFilesWriter({"a": path}, RATE, 2, clip=clip, guarded=True)
        with writer:
            writer.write({"a": loud})
        assert writer.gain == pytest.approx(gain)
        written, _ = soundfile.read(path, dtype="float32")
        assert soundfile.info(path).subtype == "FLOAT"
        np.testing.assert_allclose(written.T, np.clip(loud * gain, -1, 1), atol=1e-6)
