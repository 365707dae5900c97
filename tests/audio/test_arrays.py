from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from songsplit.audio import as_samples
from songsplit.errors import AudioInputError

torch = pytest.importorskip("torch")

SHAPES = st.one_of(st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 8), st.integers(1, 40)))
FLOATS = st.floats(-4, 4, width=16)
PCM = {"int8": (2**7, 0), "uint8": (2**7, 128), "int16": (2**15, 0), "int32": (2**31, 0)}


def refusal(audio: Any, sample_rate: Any = 44100) -> str:
    with pytest.raises(AudioInputError) as caught:
        as_samples(audio, sample_rate)
    message = str(caught.value)
    assert "\n" not in message
    return message


@settings(deadline=None)
@given(
    audio=hnp.arrays(st.sampled_from(["<f2", "<f4", ">f4", "<f8", ">f8"]), SHAPES, elements=FLOATS)
)
def test_float_arrays_come_back_as_they_were(audio: np.ndarray) -> None:
    before = audio.copy()
    given_audio = as_samples(audio, 44100)
    assert given_audio.samples.dtype == np.float32
    assert given_audio.samples.flags.c_contiguous
    assert given_audio.samples.ndim == 2
    back = given_audio.restore(given_audio.samples)
    assert isinstance(back, np.ndarray)
    assert back.dtype == (np.float64 if audio.dtype.itemsize == 8 else np.float32)
    np.testing.assert_array_equal(back, audio)
    given_audio.samples[:] = 9
    np.testing.assert_array_equal(back, before)
    np.testing.assert_array_equal(audio, before)


@settings(deadline=None)
@given(
    audio=hnp.arrays(np.float32, SHAPES, elements=FLOATS),
    dtype=st.sampled_from(["float16", "bfloat16", "float32", "float64"]),
    grad=st.booleans(),
)
def test_tensors_come_back_as_they_were(audio: np.ndarray, dtype: str, grad: bool) -> None:
    tensor = torch.from_numpy(audio).to(getattr(torch, dtype)).requires_grad_(grad)
    before = tensor.detach().clone()
    given_audio = as_samples(tensor, 44100)
    back = given_audio.restore(given_audio.samples)
    assert isinstance(back, torch.Tensor)
    assert not back.requires_grad
    assert back.dtype == (torch.float64 if dtype == "float64" else torch.float32)
    assert torch.equal(back, before.to(back.dtype))
    given_audio.samples[:] = 9
    assert torch.equal(tensor.detach(), before)


@settings(deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(PCM)), tensor=st.booleans())
def test_integers_are_scaled_to_one(data: st.DataObject, name: str, tensor: bool) -> None:
    audio = data.draw(hnp.arrays(name, SHAPES))
    full_scale, middle = PCM[name]
    given_audio = as_samples(torch.from_numpy(audio) if tensor else audio, 44100)
    expected = (np.atleast_2d(audio).astype(np.float64) - middle) / full_scale
    np.testing.assert_allclose(given_audio.samples, expected, rtol=1e-7, atol=0)
    assert np.abs(given_audio.samples).max() <= 1
    back = given_audio.restore(given_audio.samples)
    assert str(back.dtype).endswith("float32")
    assert tuple(back.shape) == audio.shape


def test_odd_memory_is_no_matter() -> None:
    base = np.arange(60, dtype=np.float64).reshape(6, 10) / 60
    read_only = base.copy()
    read_only.flags.writeable = False
    for audio in (base[::2, ::-1], base.T[:, 3][::-1], np.asfortranarray(base), read_only):
        np.testing.assert_array_equal(
            as_samples(audio, 8000).samples, np.atleast_2d(audio).astype(np.float32)
        )
    matrix = np.ma.masked_array(base, mask=False)
    np.testing.assert_array_equal(as_samples(matrix, 1).samples, base.astype(np.float32))
    transposed = torch.from_numpy(base).T[:8]
    np.testing.assert_array_equal(as_samples(transposed, 1).samples, base.T[:8].astype(np.float32))


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint16", "uint32", "complex64", "O", "U3"])
def test_types_that_are_no_audio(dtype: str) -> None:
    assert "cannot be used" in refusal(np.zeros(10).astype(dtype))


def test_what_is_no_array() -> None:
    for audio in ([0.0, 1.0], (1, 2), "song.wav", None, 3, b"abc"):
        assert type(audio).__name__ in refusal(audio)
    assert "dense" in refusal(torch.zeros(2, 5).to_sparse())
    assert "complex64" in refusal(torch.zeros(5, dtype=torch.complex64))
    assert "masked" in refusal(np.ma.masked_array([0.0, 1.0], mask=[False, True]))


def test_shapes_that_are_no_audio() -> None:
    assert "transpose" in refusal(np.zeros((44100, 2), np.float32))
    assert "9 channels" in refusal(np.zeros((9, 100)))
    assert "no channels" in refusal(np.zeros((0, 100)))
    assert "no samples" in refusal(np.zeros((2, 0)))
    assert "no samples" in refusal(np.zeros(0))
    assert "batch" in refusal(np.zeros((1, 2, 100)))
    assert "shape" in refusal(np.zeros(()))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_samples_that_are_no_numbers(bad: float) -> None:
    audio = np.zeros((2, 200))
    audio[1, 150] = bad
    message = refusal(audio, 100)
    assert "sample 150 (1.50 s) of channel 1" in message


def test_sample_rates() -> None:
    odd = [0, -44100, np.nan, np.inf, 44100.5, True, "44100", 768_001, 0.5, [44100], 1j]
    for rate in (*odd, 10**400, 10**5000):
        assert "sample_rate must be" in refusal(np.zeros(10), rate)
    assert "needed" in refusal(np.zeros(10), None)
    for rate in (44100, 44100.0, np.int32(44100), np.float32(44100)):
        result = as_samples(np.zeros(10), rate).sample_rate
        assert result == 44100
        assert type(result) is int
