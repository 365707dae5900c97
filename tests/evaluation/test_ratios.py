from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songsplit.errors import AudioInputError
from songsplit.evaluation import frame_sdr, ratios, si_sdr, usdr

RATE = 8000


def noise(seed: int, seconds: float = 4.3, targets: int = 2) -> np.ndarray:
    shape = (targets, 2, round(seconds * RATE))
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def test_frame_sdr_by_hand():
    reference = np.ones((1, 2, 10))
    # Errors of a tenth in the first frame, of one in the second; the last two samples
    # are no whole frame.
    estimate = reference - np.array([0.1] * 4 + [1.0] * 3 + [0.0] * 3)
    estimate[0, 0, 4:8] = 0.5
    error = 4 * 0.25 + 3 * 1.0
    expected = [20.0, 10 * np.log10(8 / error)]
    np.testing.assert_allclose(frame_sdr(reference, estimate, 4, 4)[0], expected, atol=1e-12)


def test_frame_sdr_of_perfect_estimate_is_infinite():
    reference = noise(0)
    assert np.all(frame_sdr(reference, reference, RATE, RATE) == np.inf)


def test_opposite_channels_count_as_silence():
    reference = noise(0, targets=1)
    reference[0, 1, :RATE] = -reference[0, 0, :RATE]
    sdr = frame_sdr(reference, 0.5 * noise(1, targets=1), RATE, RATE)
    assert np.isnan(sdr[0]).tolist() == [True, False, False, False]


@pytest.mark.parametrize("where", [0, 1234, RATE - 1])
def test_one_sample_is_not_silence(where: int):
    reference = noise(0, 1.0)
    reference[0] = 0
    assert np.isnan(frame_sdr(reference, noise(1, 1.0), RATE, RATE)).all()
    reference[0, 0, where] = 1e-12
    assert not np.isnan(frame_sdr(reference, noise(1, 1.0), RATE, RATE)).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pieces_make_no_difference(dtype: type, monkeypatch: pytest.MonkeyPatch):
    references, estimates = noise(0).astype(dtype), noise(1).astype(dtype)
    measures = usdr, si_sdr, lambda r, e: frame_sdr(r, e, RATE, RATE)
    whole = [measure(references, estimates) for measure in measures]
    monkeypatch.setattr(ratios, "_BLOCK", 777)
    for measure, expected in zip(measures, whole, strict=True):
        np.testing.assert_allclose(measure(references, estimates), expected, atol=1e-10)


def test_usdr_by_hand():
    reference = np.full((1, 2, 50), 0.1)
    np.testing.assert_allclose(
        usdr(reference, reference - 0.01), 10 * np.log10((1 + 1e-7) / (0.01 + 1e-7)), rtol=1e-12
    )


def test_usdr_of_silence_is_finite():
    silence = np.zeros((2, 2, 100))
    np.testing.assert_allclose(usdr(silence, silence), 0.0)


@given(st.floats(-50, 50).filter(lambda factor: abs(factor) > 1e-3))
def test_si_sdr_does_not_see_the_level(factor: float):
    reference, estimate = noise(0, 0.2), noise(1, 0.2) + noise(0, 0.2)
    np.testing.assert_allclose(
        si_sdr(reference, factor * estimate), si_sdr(reference, estimate), atol=1e-8
    )


def test_si_sdr_by_definition():
    reference, estimate = noise(0, 0.2), noise(1, 0.2) + 3 * noise(0, 0.2)
    for index, value in enumerate(si_sdr(reference, estimate)):
        s, e = reference[index], estimate[index]
        target = (s * e).sum() / (s * s).sum() * s
        expected = 10 * np.log10((target**2).sum() / ((target - e) ** 2).sum())
        assert value == pytest.approx(expected, abs=1e-9)


def test_si_sdr_at_its_ends():
    reference = np.zeros((1, 2, 8))
    reference[0, 0, :4] = 1.0
    other = np.zeros((1, 2, 8))
    other[0, 1, 4:] = 1.0
    assert si_sdr(reference, 0.5 * reference)[0] == np.inf
    assert si_sdr(reference, other)[0] == -np.inf
    assert np.isnan(si_sdr(reference, 0 * reference)[0])
    assert np.isnan(si_sdr(0 * reference, reference)[0])


@pytest.mark.parametrize("measure", [usdr, si_sdr, lambda r, e: frame_sdr(r, e, 10, 10)])
def test_unusable_audio_is_refused(measure):
    good = np.ones((2, 2, 50))
    with pytest.raises(AudioInputError, match="same shape"):
        measure(good, good[:, :, :49])
    with pytest.raises(AudioInputError, match="shape"):
        measure(good[0], good[0])
    with pytest.raises(AudioInputError, match="shape"):
        measure(good[:, :, :0], good[:, :, :0])
    # Also in the rest at the end that is not scored.
    for value, where in ((np.nan, 7), (np.inf, 49), (-np.inf, 0)):
        bad = good.copy()
        bad[1, 0, where] = value
        with pytest.raises(AudioInputError, match="estimates hold"):
            measure(good, bad)
        with pytest.raises(AudioInputError, match="references hold"):
            measure(bad, good)
