from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from songsplit.dsp.varispeed import Interpolator, resample_to


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 20))
def test_a_sine_that_fits_keeps_its_periods_and_its_height(given_length, length, periods):
    periods = min(periods, (min(given_length, length) - 1) // 2)

    def sine(samples):
        phases = 2 * np.pi * periods * np.arange(samples) / samples + 1
        return (0.3 + np.sin(phases)).astype(np.float32)

    resampled = resample_to(sine(given_length), length)
    assert resampled.dtype == np.float32
    np.testing.assert_allclose(resampled, sine(length), atol=1e-4)


def test_slower_and_back_changes_nothing():
    noise = np.random.default_rng(0).normal(size=(2, 3, 4001)).astype(np.float32)
    back = resample_to(resample_to(noise, 4200), 4001)
    np.testing.assert_allclose(back, noise, atol=1e-5)


def test_faster_and_back_takes_away_what_has_no_room():
    noise = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    back = resample_to(resample_to(noise, 3800), 4000)
    spectrum, kept = np.fft.rfft(noise), np.fft.rfft(back)
    np.testing.assert_allclose(kept[:1900], spectrum[:1900], atol=1e-3)
    assert np.abs(kept[1900:]).max() < 1e-3


RATES = st.sampled_from([8000, 11025, 44100, 48000, 96000, 192000])


@given(from_rate=RATES, to_rate=RATES, pieces=st.lists(st.integers(1, 300), min_size=1))
def test_straight_lines_stay_straight_however_they_are_cut(from_rate, to_rate, pieces):
    slope = np.arange(sum(pieces), dtype=np.float32) / from_rate
    signal = np.stack([slope, 1 - slope])
    interpolator, read, taken = Interpolator(from_rate, to_rate), [], 0
    for piece in pieces:
        interpolator.push(signal[:, taken : taken + piece])
        taken += piece
        wanted = (taken - 1) * to_rate // from_rate + 1 - sum(part.shape[-1] for part in read)
        read.append(interpolator.read(wanted))
    result = np.concatenate(read, axis=-1)
    expected = np.arange(result.shape[-1]) / to_rate
    np.testing.assert_allclose(result, [expected, 1 - expected], atol=1e-6)
    # The last value continues beyond the end.
    np.testing.assert_allclose(interpolator.read(5 * to_rate)[:, -1], signal[:, -1], rtol=1e-6)
