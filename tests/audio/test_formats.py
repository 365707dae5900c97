"""Stems as WAV, FLAC, MP3, M4A, OGG and Opus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from songsplit.audio import (
    OutputFormat,
    StemFilesWriter,
    encoders,
    read_audio,
    resample,
    stem_files,
)
from songsplit.errors import ConfigError, OutputError
from tests.zoo.encoding import RATE, song

ALL = [
    OutputFormat("wav", "32f"),
    *(OutputFormat(name, depth) for name in ("wav", "flac") for depth in ("16", "24")),
    *(OutputFormat(name) for name in ("mp3", "m4a", "ogg", "opus")),
]
# Error relative to the song in dB, for music-like noise at the formats' usual bit rates.
ALLOWED = {"32f": -140, "24": -110, "16": -70, None: -8}


def write(folder: Path, output: OutputFormat, *stems: np.ndarray, rate: int = RATE, **options):
    paths = {str(n): folder / f"{n}.{output.name}" for n in range(len(stems))}
    writer = StemFilesWriter(paths, rate, stems[0].shape[0], output=output, **options)
    with writer:
        for start in range(0, stems[0].shape[1], 9999):
            writer.write({str(n): s[:, start : start + 9999] for n, s in enumerate(stems)})
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in paths.values())
    return writer.gain, [read_audio(path) for path in paths.values()]


@pytest.mark.parametrize("output", ALL, ids=str)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_read_back(tmp_path: Path, output: OutputFormat, channels: int) -> None:
    stem = song(channels=channels)
    gain, [(read, rate)] = write(tmp_path, output, stem)
    assert gain == 1
    assert rate == (48000 if output.name == "opus" else RATE)
    if output.name == "opus":
        stem = resample(stem, RATE, 48000)
    # AAC pads its last frame.
    assert 0 <= read.shape[1] - stem.shape[1] < (1024 if output.name == "m4a" else 1)
    error = np.square(read[:, : stem.shape[1]] - stem).mean() / np.square(stem).mean()
    assert 10 * np.log10(error + 1e-20) < ALLOWED[output.depth]


@pytest.mark.parametrize(
    ("name", "level", "fineness", "bits"),
    [("wav", 0.5, 15, 16), ("wav", 0.5, 20, 24), ("wav", 2, 15, 24), ("flac", 2, 20, 24)],
)
def test_stems_on_disk_have_the_bits_they_need_and_add_up(
    tmp_path: Path, name: str, level: float, fineness: int, bits: int
) -> None:
    mixture = (np.rint(level * song() * 2**fineness) / 2**fineness).astype(np.float32)
    paths = {stem: tmp_path / f"{stem}.{name}" for stem in ("a", "b")}
    with StemFilesWriter(paths, RATE, 2, output=OutputFormat(name)) as writer:
        for block in writer.watching([mixture]):
            writer.write({"a": 1.5 * block, "b": -0.5 * block})
    assert {soundfile.info(path).subtype for path in paths.values()} == {f"PCM_{bits}"}
    read = [read_audio(path)[0].astype(np.float64) for path in paths.values()]
    assert (writer.gain < 1) == (np.abs(read).max() > 0.999) == (level > 1)
    # Within one step of the quantiser; values on its grid are exact.
    step = 0 if bits == fineness + 1 else 2.0 ** (1 - bits)
    np.testing.assert_allclose(sum(read), mixture * np.float64(writer.gain), rtol=0, atol=step)


def test_what_is_below_one_step_is_still_heard(tmp_path: Path) -> None:
    tone = np.sin(np.arange(200_000) * 0.1, dtype=np.float32)[np.newaxis]
    _, [(read, _)] = write(tmp_path, OutputFormat("wav", "16"), 0.3 * tone / 2**15)
    assert np.vdot(read * 2**15, tone) / np.vdot(tone, tone) == pytest.approx(0.3, abs=0.02)


def test_the_same_stems_give_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, OutputFormat("flac", "16"), song(), song()[::-1])
        found.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "rate", "expected"),
    [("mp3", 96000, 48000), ("mp3", 7000, 8000), ("opus", 44100, 48000), ("m4a", 192000, 96000)],
)
def test_rates_that_a_format_does_not_have(
    tmp_path: Path, name: str, rate: int, expected: int
) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, (2, rate)).astype(np.float32)
    _, [(read, found)] = write(tmp_path, OutputFormat(name), samples, rate=rate)
    assert found == expected
    assert abs(read.shape[1] - expected) <= 1024


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("aac",), "unknown format 'aac': use wav"),
        (("flac", "32f"), "flac has no bit depth 32f: use 24 or 16"),
        (("mp3", "16"), "give a bit rate"),
        (("wav", None, 256), "give a bit depth"),
        (("mp3", None, 999), "use 8 to 320"),
        (("opus", None, 0), "use 8 to 510"),
    ],
)
def test_formats_that_there_are_not(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OutputFormat(*arguments)


@pytest.mark.parametrize("samples", [1, 1024, 20495])
@pytest.mark.parametrize("name", ["m4a", "mp3", "opus", "ogg", "flac", "stem.mp4"])
def test_no_length_loses_its_end(tmp_path: Path, name: str, samples: int) -> None:
    rate = 48000 if name == "opus" else RATE
    stem = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
    path = tmp_path / f"a.{name}"
    with StemFilesWriter({"a": path}, rate, 2, output=OutputFormat(name)) as writer:
        writer.write({"a": stem})
    assert 0 <= read_audio(path)[0].shape[1] - samples < 1024


@pytest.mark.parametrize("channels", [3, 4, 5, 7, 8])
def test_every_channel_comes_through_m4a(tmp_path: Path, channels: int) -> None:
    time = np.arange(RATE) / RATE
    tones = np.stack([np.sin(2 * np.pi * (300 + 200 * c) * time) for c in range(channels)]) / 4
    _, [(read, _)] = write(tmp_path, OutputFormat("m4a"), tones.astype(np.float32))
    heard = [np.abs(np.fft.rfft(channel[:RATE])).argmax() for channel in read]
    # With seven or more channels, one holds only the lowest frequencies.
    full = {300 + 200 * c for c in range(channels)} - ({900} if channels > 6 else set())
    assert full <= set(heard)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
@pytest.mark.parametrize("name", ["flac", "wav", "mp3", "m4a", "ogg", "opus", "stem.mp4"])
def test_a_disk_that_fills_up_while_encoding(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    stem = np.random.default_rng(0).normal(0, 0.1, (2, RATE)).astype(np.float32)
    write(tmp_path, OutputFormat(name), stem)
    path = tmp_path / f"0.{name}"
    size = path.stat().st_size
    path.unlink()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)

    def encode(*arguments: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.pop(), old[1]))
        try:
            encoders.encode(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)

    monkeypatch.setattr(stem_files, "encode", encode)
    limits = [0, size // 2, size - 1]
    while limits:
        with pytest.raises(OutputError, match="free some space"):
            write(tmp_path, OutputFormat(name), stem)
        assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_stempeg_reads_stem_files(tmp_path: Path) -> None:
    stempeg = pytest.importorskip("stempeg")
    path = tmp_path / "a.stem.mp4"
    with StemFilesWriter(
        dict.fromkeys("ab", path), RATE, 2, output=OutputFormat("stem.mp4")
    ) as writer:
        writer.write(dict.fromkeys("ab", song()))
    try:
        stems, rate = stempeg.read_stems(str(path))
    except (RuntimeError, OSError) as error:
        pytest.skip(f"stempeg needs the ffmpeg program: {error}")
    assert rate == RATE
    assert stems.shape[0] == 5
    assert np.square(stems[0]).mean() == pytest.approx(4 * np.square(stems[1]).mean(), rel=0.05)


def test_more_than_a_file_can_have(tmp_path: Path) -> None:
    samples = np.zeros((6, 5000), np.float32)
    for name in ("mp3", "ogg", "opus", "stem.mp4"):
        with pytest.raises(OutputError, match="at most 2 channels, not 6: use wav, flac, m4a"):
            write(tmp_path, OutputFormat(name), samples)
    with pytest.raises(OutputError, match="hold 4 stems, not 5"):
        write(tmp_path, OutputFormat("stem.mp4"), *[samples[:2]] * 5)
