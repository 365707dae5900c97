"""The behaviour of songsplit.separate and Separator."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import songsplit
from songsplit import OutputFormat, Separator
from songsplit.errors import (
    AudioFileError,
    AudioInputError,
    ConfigError,
    DeviceError,
    ModelError,
    OutputError,
)
from songsplit.models.separation_model import SeparationModel
from songsplit.models.weights import save_weights
from tests.conftest import EXAMPLE
from tests.models.tiny import TINY, tiny_model


@pytest.fixture(scope="module")
def tiny() -> Separator:
    """An untrained, fast network, for tests that do not depend on the sound."""
    return Separator(tiny_model(), device="cpu")


@pytest.fixture(scope="module", params=["balanced", "best"])
def any_quality(request) -> Separator:
    return Separator(tiny_model(), device="cpu", quality=request.param)


def assert_adds_up(stems, mixture):
    scale = max(1.0, float(np.abs(mixture).max()))
    np.testing.assert_allclose(
        np.asarray(stems.vocals) + np.asarray(stems.instrumental), mixture, atol=1e-6 * scale
    )


@pytest.mark.slow
@settings(max_examples=25)
@given(
    samples=st.one_of(st.integers(1, 50), st.integers(51, 30000)),
    channels=st.integers(1, 8),
    rate=st.sampled_from([8000, 22050, 44100, 48000, 96000, 11111]),
    dtype=st.sampled_from(["float32", "float64", "int16", "int32", "uint8"]),
    flat=st.booleans(),
    kind=st.sampled_from(["numpy", "torch"]),
)
def test_any_length_rate_channels_and_type(any_quality, samples, channels, rate, dtype, flat, kind):
    rng = np.random.default_rng(samples)
    shape = (samples,) if flat else (channels, samples)
    if dtype.startswith("float"):
        audio = rng.normal(size=shape).astype(dtype)
        mixture = audio.astype(np.float64)
    else:
        info = np.iinfo(dtype)
        audio = rng.integers(info.min, info.max, size=shape, dtype=dtype, endpoint=True)
        offset = 128 if dtype == "uint8" else 0
        mixture = (audio.astype(np.float64) - offset) / 2 ** (info.bits - 1)
    if not flat and channels > samples:
        return
    given_audio = torch.from_numpy(audio.copy()) if kind == "torch" else audio.copy()
    stems = any_quality.separate(given_audio, rate)
    assert stems.sample_rate == rate
    for stem in stems.values():
        assert isinstance(stem, torch.Tensor if kind == "torch" else np.ndarray)
        assert tuple(stem.shape) == shape
        assert str(stem.dtype).endswith("float64" if dtype == "float64" else "float32")
    assert_adds_up(stems, mixture)
    assert np.array_equal(np.asarray(given_audio), audio), "the caller's audio was changed"


@pytest.mark.parametrize("rate", [1, 7, 100, 44101, 192000, 767999, 768000])
def test_rates_far_from_the_usual(tiny, rate):
    mixture = np.random.default_rng(0).normal(size=(2, 40)).astype(np.float32)
    stems = tiny.separate(mixture, rate)
    assert stems.sample_rate == rate
    assert_adds_up(stems, mixture)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [23.9, 24.5, 50.0])
def test_joins_between_chunks_are_inaudible(tiny, seconds):
    t = np.arange(int(seconds * 44100)) / 44100
    tone = np.sin(2 * np.pi * 220 * t).astype(np.float32)
    vocals = tiny.separate(tone, 44100).vocals
    inner = vocals[8192:-8192]
    # A click would be a peak in the second difference of a pure tone.
    curvature = np.abs(np.diff(inner, 2))
    assert curvature.max() < 3 * np.percentile(curvature, 99)


@pytest.mark.slow
@pytest.mark.parametrize("jump", [0, 40])
def test_chunked_equals_unchunked(any_quality, jump):
    rng = np.random.default_rng(0)
    mixture = rng.normal(size=(2, 44100 * 50)).astype(np.float32)
    mixture[1] += mixture[0] / 4  # correlated sides, as in songs
    # Louder from one second after the first join on: the level is measured across the join.
    mixture[:, int(44100 * 22.5) :] *= 10 ** (jump / 20)
    whole = any_quality.separate(mixture, 44100).vocals
    reference = any_quality._engine.foreground(mixture[np.newaxis])[0][0, 0]
    error = np.square(whole - reference)[:, : 44100 * 49].reshape(-1, 4410).mean(axis=1)
    level = np.square(mixture)[:, : 44100 * 49].reshape(-1, 4410).mean(axis=1)
    # At another speed, the frames of a song have other positions in every chunk.
    assert 10 * np.log10((error / level).max()) < (
        -40 if any_quality.quality == "balanced" else -25
    )


@pytest.mark.slow
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    exponent=st.floats(-45, 36.9),
    rate=st.sampled_from([8000, 22050, 44100, 48000, 96000]),
    channels=st.integers(1, 3),
    samples=st.integers(1, 3000),
    kind=st.sampled_from(["noise", "square", "click", "constant", "anti-phase"]),
)
def test_numbers_stay_finite_and_add_up_at_any_level(
    any_quality, seed, exponent, rate, channels, samples, kind
):
    rng = np.random.default_rng(seed)
    shape = channels, samples
    mixture = {
        "noise": rng.uniform(-1, 1, shape),
        "square": np.sign(rng.normal(size=shape)),
        "click": np.arange(samples) == rng.integers(0, samples, (channels, 1)),
        "constant": np.ones(shape),
        "anti-phase": np.resize([1.0, -1.0], (channels, 1)) * rng.uniform(-1, 1, samples),
    }[kind]
    mixture = (mixture * 10.0**exponent).astype(np.float32)
    stems = any_quality.separate(mixture, rate)
    assert np.isfinite(stems.vocals).all()
    assert np.isfinite(stems.instrumental).all()
    parts = stems.vocals.astype(np.float64), stems.instrumental.astype(np.float64)
    # Each of the three numbers is rounded to 24 bits or the smallest number.
    sizes = np.abs(mixture.astype(np.float64)) + np.abs(parts).sum(axis=0)
    allowed = 2.0**-24 * sizes + np.finfo(np.float32).smallest_subnormal
    assert (np.abs(np.sum(parts, axis=0) - mixture) <= allowed).all()


@pytest.mark.parametrize("level", [1.1e37, np.finfo(np.float32).max])
def test_what_is_too_loud_to_compute_with_is_refused(tiny, level):
    with pytest.raises(AudioInputError, match="at sample 7 "):
        tiny.separate(np.where(np.arange(20) == 7, level, 0).astype(np.float32), 44100)


@pytest.mark.parametrize("kind", ["flac", "ogg", "wav"])
def test_tags_of_open_files(tiny, tmp_path, kind):
    samples = np.random.default_rng(0).normal(0, 0.1, (30000, 2))
    soundfile.write(tmp_path / f"song.{kind}", samples, 44100)
    output = OutputFormat("wav", bit_depth="32f")
    expected = tiny.separate(tmp_path / f"song.{kind}")
    with (tmp_path / f"song.{kind}").open("rb") as file:
        paths = tiny.separate_to_files(file, tmp_path / "out", output=output)
    read, _ = soundfile.read(paths["vocals"], dtype="float32")
    np.testing.assert_allclose(read.T, expected.vocals, atol=1e-6)


def test_integer_files_of_a_song_add_up_to_it(tiny, tmp_path):
    samples = np.random.default_rng(0).integers(-(2**14), 2**14, (44100, 2)).astype(np.int16)
    soundfile.write(tmp_path / "song.wav", samples, 44100)
    paths = tiny.separate_to_files(tmp_path / "song.wav", tmp_path / "out")
    assert paths.gain_db == 0
    assert soundfile.info(paths["vocals"]).subtype == "PCM_16"
    total = sum(soundfile.read(path, dtype="int16")[0].astype(int) for path in paths.values())
    np.testing.assert_array_equal(total, samples)


def test_an_exception_from_progress_stops_and_leaves_nothing(tiny, tmp_path):
    soundfile.write(tmp_path / "song.wav", np.zeros((44100 * 15, 2)) + 0.1, 44100)

    def stop(done, total, left):
        if done:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        tiny.separate_to_files(tmp_path / "song.wav", tmp_path / "out", progress=stop)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "shape"), [(np.asarray, (44100 * 25,)), (torch.as_tensor, (2, 48000 * 25))]
)
def test_a_stream_gives_what_the_whole_gives(any_quality, kind, shape):
    rate = shape[-1] // 25
    mixture = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    blocks = [kind(block) for block in np.array_split(mixture, 31, axis=-1)]
    stems = list(any_quality.stream(iter(blocks), rate))
    assert len(stems) > 2
    assert type(stems[0].vocals) is type(blocks[0])
    assert stems[0].sample_rate == rate
    vocals, instrumental = (
        np.concatenate([np.asarray(part[name]) for part in stems], axis=-1) for name in stems[0]
    )
    assert vocals.shape == shape
    np.testing.assert_allclose(vocals + instrumental, mixture, atol=1e-5)
    whole = any_quality.separate(mixture, rate).vocals
    error = np.square(vocals - whole).mean() / np.square(mixture).mean()
    assert 10 * np.log10(error) < (-40 if any_quality.quality == "balanced" else -25)


def test_an_array_by_itself_is_one_block(tiny):
    mixture = np.random.default_rng(0).normal(size=(2, 30000)).astype(np.float32)
    for array in (mixture, torch.from_numpy(mixture)):
        (stems,) = tiny.stream(array, 44100)
        assert stems.vocals.shape == (2, 30000)


def test_streams_that_cannot_be_separated_are_refused(tiny):
    with pytest.raises(AudioInputError, match="sample_rate"):
        tiny.stream([], 0)
    assert list(tiny.stream([], 44100)) == []
    assert list(tiny.stream([np.zeros((2, 0))], 44100)) == []
    with pytest.raises(AudioInputError, match="int"):
        tiny.stream(5, 44100)
    with pytest.raises(AudioInputError, match="1 channels, the first block has 2"):
        list(tiny.stream([np.zeros((2, 9)), np.zeros((1, 9))], 44100))
    with pytest.raises(AudioInputError, match="holds nan"):
        list(tiny.stream([np.zeros(9), np.full(9, np.nan)], 44100))


def test_a_rate_given_with_a_file_is_refused(tiny):
    with pytest.raises(AudioInputError, match=r"lithium.*leave sample_rate out"):
        tiny.separate(EXAMPLE, 44100)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["truncated", "nan", "infinite", "nine channels", "no samples"])
def test_faults_deep_in_a_file_leave_no_results(tiny, tmp_path, fault):
    path = tmp_path / "song.wav"
    channels = 9 if fault == "nine channels" else 2
    samples = np.full((0 if fault == "no samples" else 44100 * 20, channels), 0.1, np.float32)
    if fault in ("nan", "infinite"):
        samples[44100 * 18] = np.nan if fault == "nan" else np.inf
    soundfile.write(path, samples, 44100, subtype="FLOAT")
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:-400_000])
    with pytest.raises(AudioFileError, match=r"song\.wav"):
        tiny.separate_to_files(path, tmp_path / "out" / "deep")
    with pytest.raises(AudioFileError, match=r"song\.wav"):
        tiny.separate(path)
    assert [p.name for p in tmp_path.iterdir()] == ["song.wav"]


def test_unknown_quality_model_and_device():
    with pytest.raises(ConfigError, match=r"'fast'.*use balanced, best"):
        Separator(quality="fast")
    with pytest.raises(ModelError, match="unknown model"):
        Separator("nonesuch")
    for device in ("nonesuch", "hpu", "meta"):
        with pytest.raises(DeviceError, match=device):
            Separator(device=device)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cuda"):
            Separator(device="cuda")


@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_files_longer_than_allowed_are_refused(suffix, tmp_path):
    path = tmp_path / f"song.{suffix}"
    soundfile.write(path, np.zeros((44100, 2)), 44100)
    short = Separator(tiny_model(), device="cpu", max_hours=0.5 / 3600)
    with pytest.raises(AudioFileError, match="longer"):
        short.separate(path)
    assert Separator(tiny_model(), device="cpu", max_hours=1).separate(path).sample_rate == 44100
    with pytest.raises(ConfigError, match="max_hours"):
        Separator(tiny_model(), device="cpu", max_hours=0)


class Halves(torch.nn.Module):
    """Returns half of the mixture for each stem."""

    def forward(self, powers):
        batch, channels, bins, frames = powers.shape
        assert channels == 4
        return powers.new_full((batch, 1, 2, bins, frames), 0.5)


@pytest.mark.parametrize("quality", ["balanced", "best"])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_network_of_ones_own(quality, rate):
    separator = Separator(SeparationModel(TINY, Halves()), device="cpu", quality=quality)
    mixture = np.random.default_rng(0).normal(size=(2, 30000)).astype(np.float32)
    vocals = separator.separate(mixture, rate).vocals
    np.testing.assert_allclose(vocals, mixture / 2, atol=1e-2 if quality == "best" else 1e-5)


def test_a_song_is_not_replaced_by_its_stem(tiny, tmp_path):
    soundfile.write(tmp_path / "vocals.wav", np.full((9000, 2), 0.1), 44100)
    with pytest.raises(OutputError, match="its own stem"):
        tiny.separate_to_files(tmp_path / "vocals.wav", tmp_path, overwrite=True)


@pytest.fixture
def default_dtype():
    yield torch.set_default_dtype
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("quality", ["balanced", "best"])
def test_defaults_of_torch_in_the_host_program_change_nothing(tmp_path, default_dtype, quality):
    save_weights(tiny_model(), {}, tmp_path / "tiny.safetensors")
    mixture = np.random.default_rng(0).normal(size=(2, 30000)).astype(np.float32)

    def vocals(model):
        return Separator(model, "cpu", quality=quality).separate(mixture, 48000).vocals

    path = tmp_path / "tiny.safetensors"
    expected = vocals(path)
    with torch.device("meta"):
        np.testing.assert_array_equal(vocals(path), expected)
    with torch.inference_mode():
        np.testing.assert_array_equal(vocals(path), expected)
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        default_dtype(dtype)
        np.testing.assert_array_equal(vocals(path), expected)
        assert np.isfinite(vocals(tiny_model())).all()


def test_a_song_that_fades_to_nothing_where_numpy_raises(tiny, tmp_path):
    fade = 10 ** np.linspace(-1, -50, 60000)
    mixture = np.random.default_rng(0).normal(size=(2, 60000)) * fade
    soundfile.write(tmp_path / "song.wav", mixture.T, 44100, subtype="FLOAT")
    with np.errstate(all="raise"):
        stems = tiny.separate(mixture, 44100)
        assert_adds_up(stems, mixture)
        assert np.isfinite(stems.karaoke(vocals=-120)).all()
        stems.save(tmp_path / "saved", output="flac")
        for source in ((tmp_path / "song.wav",), ([mixture, mixture], 44100)):
            for part in tiny.stream(*source):
                assert np.isfinite(part.vocals).all()
                with pytest.raises(FloatingPointError):
                    np.float32(1e-30) * np.float32(1e-30)
        tiny.separate_to_files(tmp_path / "song.wav", tmp_path / "out", mix=songsplit.Mix("remix"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list them")
def test_file_objects_with_the_name_of_a_file_leave_nothing_open(tiny, tmp_path):
    path = tmp_path / "song.wav"
    soundfile.write(path, np.full((9000, 2), 0.1), 44100)
    with zipfile.ZipFile(tmp_path / "album.zip", "w") as album:
        album.write(path, str(path).lstrip("/"))
    for _ in range(2):
        before = len(list(Path("/proc/self/fd").iterdir()))
        named = io.BytesIO(path.read_bytes())
        named.name = str(path)
        tiny.separate(named)
        with (
            zipfile.ZipFile(tmp_path / "album.zip") as album,
            album.open(album.namelist()[0]) as member,
        ):
            tiny.separate(member)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("data", [b"RIFF", bytearray(b"RIFF"), memoryview(b"RIFF")])
def test_bytes_are_told_how_to_be_a_file(tiny, data):
    for separate in (tiny.separate, tiny.stream):
        with pytest.raises(AudioInputError, match=r"io\.BytesIO\(data\)"):
            separate(data)
