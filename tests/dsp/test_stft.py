from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.dsp.stft import STFT


@settings(max_examples=60, deadline=None)
@given(
    samples=st.one_of(st.integers(1, 300), st.integers(301, 20000)),
    channels=st.integers(1, 2),
    sizes=st.sampled_from([(4096, 1024), (2048, 512), (512, 128), (8, 2)]),
    seed=st.integers(0, 99),
)
def test_inverse_gives_back_every_sample(samples, channels, sizes, seed):
    signal = torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed))
    stft = STFT(*sizes)
    spectrogram = stft(signal)
    assert spectrogram.shape == (channels, stft.bins, 1 + samples // sizes[1])
    error = (stft.inverse(spectrogram, samples) - signal).abs().max()
    assert error < 1e-6 * signal.abs().max()


def test_agrees_with_scipy():
    signal = np.random.default_rng(0).normal(size=5000)
    ours = STFT(512, 128)(torch.from_numpy(signal))
    window = scipy.signal.get_window("hann", 512)  # periodic
    padded = np.pad(signal, 256)
    frames = np.stack([padded[t : t + 512] for t in range(0, 5001, 128)])
    expected = np.fft.rfft(frames * window).T
    np.testing.assert_allclose(ours, expected[:, : ours.shape[1]], atol=1e-3)


def test_float32_under_autocast():
    signal = torch.randn(2, 9000)
    stft = STFT(1024, 256)
    with torch.autocast("cpu", torch.bfloat16):
        spectrogram = stft(signal.bfloat16().float())
        back = stft.inverse(spectrogram, 9000)
    assert spectrogram.dtype == torch.complex64
    assert back.dtype == torch.float32
    assert torch.allclose(back, signal.bfloat16().float(), atol=1e-5)


def test_a_window_shorter_than_four_hops_is_refused():
    with pytest.raises(ValueError, match="hop_length"):
        STFT(1024, 512)
