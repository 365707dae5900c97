from __future__ import annotations

import warnings

import numpy as np
import pytest

from songsplit.data.sources import SAMPLE_RATE
from songsplit.errors import AudioInputError
from songsplit.evaluation import ReferenceStatistics, frame_sdr, si_sdr, usdr
from songsplit.evaluation.references import musdb_songs
from songsplit.evaluation.systems import ideal_ratio_mask
from songsplit.evaluation.track_scores import TWO_TARGETS, museval_scores

RATE = 8000
RANDOM = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return 0.1 * RANDOM.standard_normal(shape)


REFERENCES = noise(2, 2, round(4.3 * RATE))
ESTIMATES = 0.9 * REFERENCES + 0.2 * REFERENCES[::-1] + 0.05 * noise(*REFERENCES.shape)
SOFT = np.array([[[1e-8]], [[1.0]]])
FOUR = noise(4, 1, 2 * RATE)


def changed(audio: np.ndarray, part: int, channel: int | slice, value: object) -> np.ndarray:
    """Return a copy of audio with other samples in a part or channel."""
    audio = audio.copy()
    audio[part, channel] = value
    return audio


def with_silence(audio: np.ndarray, part: int, start: int, stop: int) -> np.ndarray:
    time = np.arange(audio.shape[2])
    return changed(audio, part, slice(None), audio[part] * ((time < start) | (time >= stop)))


CASES = {
    "plain": (REFERENCES, ESTIMATES),
    "float32": (REFERENCES.astype(np.float32), ESTIMATES.astype(np.float32)),
    "silent frame of a reference": (with_silence(REFERENCES, 0, RATE, 2 * RATE), ESTIMATES),
    "silent frame of an estimate": (REFERENCES, with_silence(ESTIMATES, 1, 0, RATE)),
    "dual mono vocals": (changed(REFERENCES, 0, 1, REFERENCES[0, 0]), ESTIMATES),
    "estimate in anti-phase": (REFERENCES, changed(ESTIMATES, 0, 1, 1e-4 - ESTIMATES[0, 0])),
    "perfect estimate": (REFERENCES, REFERENCES),
    "soft as rounding": (1e-9 * REFERENCES, 1e-9 * ESTIMATES),
    "nothing in common": (REFERENCES, noise(*REFERENCES.shape)),
    "never together": (
        with_silence(with_silence(REFERENCES, 0, 17000, 34400), 1, 0, 17600),
        ESTIMATES,
    ),
    "four stems": (FOUR, 0.9 * FOUR + 0.05 * FOUR.sum(axis=0) + 0.01 * noise(*FOUR.shape)),
    "vocals soft as rounding": (REFERENCES * SOFT, ESTIMATES * SOFT),
    "less than a frame": (REFERENCES[:, :, :2999], ESTIMATES[:, :, :2999]),
    "a single sample": (REFERENCES[:, :, :1], ESTIMATES[:, :, :1]),
}


def assert_equal_to_museval(
    references: np.ndarray, estimates: np.ndarray, window: int = RATE, hop: int = RATE
) -> np.ndarray:
    """Compare within 1e-9 dB for SDR and 1e-6 dB for others; scores above 80 dB are equal."""
    ours = ReferenceStatistics(references, window, hop).score(estimates)
    with warnings.catch_warnings():
        # museval computes logarithms of zero and means of NaN.
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = museval_scores(references, estimates, window, hop)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    compared = ~((ours > 80) & (theirs > 80))
    for row, tolerance in enumerate((1e-9, 1e-6, 1e-6, 1e-6)):
        chosen = compared[row]
        np.testing.assert_allclose(
            ours[row][chosen], theirs[row][chosen], rtol=0, atol=tolerance, equal_nan=True
        )
    return ours


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    "case",
    [name if name == "plain" else pytest.param(name, marks=pytest.mark.slow) for name in CASES],
)
def test_equal_to_museval(case: str):
    references, estimates = CASES[case]
    scores = assert_equal_to_museval(references, estimates)
    # The case occurs.
    assert np.isnan(scores).any() == ("frame of" in case or "together" in case)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.ffmpeg
@pytest.mark.parametrize("index", [0, 2])
def test_equal_to_museval_on_music(musdb_root, index: int):
    # The second song has mono vocals.
    audio = musdb_songs(musdb_root, "train", "valid")[index].read()
    parts = {name: audio.references[name].astype(np.float64) for name in TWO_TARGETS}
    estimates = ideal_ratio_mask(audio.mixture.astype(np.float64), parts, power=1.0)
    stacks = (np.stack([found[name] for name in parts]) for found in (parts, estimates))
    assert_equal_to_museval(*stacks, SAMPLE_RATE, SAMPLE_RATE)


def caution(references: np.ndarray) -> str:
    return ReferenceStatistics(references, RATE, RATE).caution


def test_what_makes_scores_unreliable_is_told():
    assert caution(REFERENCES) == ""
    # Copies of channels do not matter, but filtered ones and too few samples do.
    assert caution(REFERENCES[:, [0, 0]]) == ""
    assert caution(REFERENCES[[0, 0]]) == ""
    assert caution(REFERENCES * SOFT) == ""
    assert caution(changed(REFERENCES, 0, 1, 0.0)) == ""
    delayed = np.stack([REFERENCES[0], np.roll(REFERENCES[0], 3, axis=1)])
    assert "filtered mix of the others" in caution(delayed)
    assert "too short" in caution(REFERENCES[:, :, :1000])


@pytest.mark.parametrize("full", [False, True])
def test_an_empty_part_of_the_spectrum_is_told(full: bool):
    spectrum = np.fft.rfft(REFERENCES, axis=2)
    spectrum[:, :, spectrum.shape[2] * 3 // 4 :] = 0
    narrow = np.fft.irfft(spectrum, REFERENCES.shape[2], axis=2)
    steps = 2**15 if full else 2**30
    narrow = np.rint(narrow * steps) / steps
    assert ("spectrum" in caution(narrow)) == (not full)


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (REFERENCES[0], "shape"),
        (REFERENCES[:, :, :0], "shape"),
        ((1000 * REFERENCES).astype(np.int16), "floating point"),
        (REFERENCES.swapaxes(1, 2), "34400, 2"),
        (np.full_like(REFERENCES, np.nan), "references must be finite"),
        (np.full_like(REFERENCES, np.inf), "references must be finite"),
    ],
)
def test_unusable_references_are_refused(references: np.ndarray, message: str):
    with pytest.raises(AudioInputError, match=message):
        ReferenceStatistics(references, RATE, RATE)


@pytest.mark.parametrize("measure", [usdr, si_sdr, lambda r, e: frame_sdr(r, e, RATE, RATE)])
def test_unusable_estimates_are_refused(measure):
    for unlike in (ESTIMATES[:, :, 1:], ESTIMATES[:1]):
        with pytest.raises(AudioInputError, match="same shape"):
            measure(REFERENCES, unlike)
    # Also in the unscored rest at the end.
    broken = changed(ESTIMATES, 1, 0, np.where(np.arange(ESTIMATES.shape[2]) < 34000, 0, np.nan))
    with pytest.raises(AudioInputError, match="estimates must be finite"):
        measure(REFERENCES, broken)


@pytest.mark.parametrize("where", [0, 1234, RATE - 1])
def test_one_sample_is_not_silence(where: int):
    reference = REFERENCES[:, :, :RATE].copy()
    reference[0] = 0
    estimate = ESTIMATES[:, :, :RATE]
    assert np.isnan(frame_sdr(reference, estimate, RATE, RATE)).all()
    reference[0, 0, where] = 1e-12
    assert not np.isnan(frame_sdr(reference, estimate, RATE, RATE)).any()


def test_usdr_by_hand():
    reference = np.full((1, 2, 50), 0.1)
    np.testing.assert_allclose(
        usdr(reference, reference - 0.01), 10 * np.log10((1 + 1e-7) / (0.01 + 1e-7)), rtol=1e-12
    )


def test_silent_references_have_no_usdr():
    # For a silent reference, the constant alone would give -88 dB for an estimate of usual level.
    assert np.isnan(usdr(REFERENCES * [[[0]], [[1e-7]]], ESTIMATES)).all()
    assert np.isfinite(usdr(REFERENCES, 0 * ESTIMATES)).all()


def test_si_sdr_by_definition():
    for s, e, value in zip(REFERENCES, ESTIMATES, si_sdr(REFERENCES, ESTIMATES), strict=True):
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
