from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from songsplit.dsp import numpy_stft
from songsplit.dsp.stft import STFT


@given(
    n_fft=st.sampled_from([16, 64, 100, 4096]),
    share=st.floats(0.05, 0.25),
    samples=st.integers(1, 9000),
)
def test_it_is_the_transform_of_training_and_its_inverse_gives_the_signal_back(
    n_fft, share, samples
):
    hop = max(1, int(share * n_fft))
    signal = np.random.default_rng(samples).normal(size=samples).astype(np.float32)
    spectra = numpy_stft.spectrogram(signal, n_fft, hop)
    expected = STFT(n_fft, hop)(torch.from_numpy(signal)).numpy().T
    assert spectra.dtype == np.complex64
    np.testing.assert_allclose(spectra, expected, atol=1e-4 * n_fft**0.5)
    back = numpy_stft.inverse(np.array_split(spectra, 3), n_fft, hop, samples)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, signal, atol=1e-5)
