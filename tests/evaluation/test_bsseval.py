from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.data.musdb import SAMPLE_RATE, musdb_tracks
from songsplit.errors import AudioInputError
from songsplit.evaluation import ReferenceStatistics, correlations
from songsplit.evaluation.correlations import lagged_products
from songsplit.evaluation.museval_backend import museval_scores
from songsplit.evaluation.oracles import ideal_ratio_mask

RATE = 8000
RANDOM = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return 0.1 * RANDOM.standard_normal(shape)


REFERENCES = noise(2, 2, round(4.3 * RATE))
ESTIMATES = 0.9 * REFERENCES + 0.2 * REFERENCES[::-1] + 0.05 * noise(*REFERENCES.shape)
SOFT = np.array([[[1e-8]], [[1.0]]])
FOUR = noise(4, 2, 2 * RATE)


def changed(audio: np.ndarray, **edits: object) -> np.ndarray:
    """Copy of audio in which ``part_channel=value`` replaces a channel."""
    audio = audio.copy()
    for name, value in edits.items():
        part, channel = name.removeprefix("c").split("_")
        audio[int(part), int(channel)] = value(audio) if callable(value) else value
    return audio


def with_silence(audio: np.ndarray, part: int, start: int, stop: int) -> np.ndarray:
    audio = audio.copy()
    audio[part, :, start:stop] = 0
    return audio


CASES = {
    "plain": (REFERENCES, ESTIMATES),
    "float32": (REFERENCES.astype(np.float32), ESTIMATES.astype(np.float32)),
    "silent frame of a reference": (with_silence(REFERENCES, 0, RATE, 2 * RATE), ESTIMATES),
    "silence almost as long as a frame": (
        with_silence(REFERENCES, 0, RATE, 2 * RATE - 1),
        ESTIMATES,
    ),
    "silent frame of an estimate": (REFERENCES, with_silence(ESTIMATES, 1, 0, RATE)),
    "silence but for the rest that is dropped": (
        with_silence(REFERENCES, 1, 0, 4 * RATE),
        ESTIMATES,
    ),
    "dual mono vocals": (changed(REFERENCES, c0_1=lambda a: a[0, 0]), ESTIMATES),
    "dual mono everywhere": (
        np.repeat(REFERENCES[:, :1], 2, axis=1),
        np.repeat(ESTIMATES[:, :1], 2, axis=1),
    ),
    "vocals panned between the channels": (
        changed(REFERENCES, c0_1=lambda a: 0.5 * a[0, 0]),
        ESTIMATES,
    ),
    "nothing in the right channel": (changed(REFERENCES, c0_1=0.0), ESTIMATES),
    "estimate in anti-phase": (REFERENCES, changed(ESTIMATES, c0_1=lambda a: -a[0, 0] + 1e-4)),
    "perfect estimate": (REFERENCES, REFERENCES),
    "estimates swapped": (REFERENCES, REFERENCES[::-1]),
    "only softer": (REFERENCES, 0.5 * REFERENCES),
    "soft as rounding": (1e-9 * REFERENCES, 1e-9 * ESTIMATES),
    "loud": (1e4 * REFERENCES, 1e4 * ESTIMATES),
    "nothing in common": (REFERENCES, noise(*REFERENCES.shape)),
    "never together": (
        with_silence(with_silence(REFERENCES, 0, 17000, 34400), 1, 0, 17600),
        ESTIMATES,
    ),
    "mono": (REFERENCES[:, :1], ESTIMATES[:, :1]),
    "three channels": (noise(2, 3, 9001), noise(2, 3, 9001)),
    "four stems": (FOUR, 0.9 * FOUR + 0.05 * FOUR.sum(axis=0) + 0.01 * noise(*FOUR.shape)),
    "one target": (REFERENCES[:1], ESTIMATES[:1]),
    "vocals soft as rounding": (REFERENCES * SOFT, ESTIMATES * SOFT),
    "right channel soft as rounding": (
        changed(REFERENCES, c0_1=lambda a: 1e-8 * a[0, 1]),
        ESTIMATES,
    ),
    "one frame": (REFERENCES[:, :, :RATE], ESTIMATES[:, :, :RATE]),
    "one frame and a sample": (REFERENCES[:, :, : RATE + 1], ESTIMATES[:, :, : RATE + 1]),
    "less than a frame": (REFERENCES[:, :, :2999], ESTIMATES[:, :, :2999]),
    "fewer samples than filters have": (REFERENCES[:, :, :600], ESTIMATES[:, :, :600]),
    "shorter than a filter": (REFERENCES[:, :, :100], ESTIMATES[:, :, :100]),
    "a single sample": (REFERENCES[:, :, :1], ESTIMATES[:, :, :1]),
}


def assert_equal_to_museval(
    references: np.ndarray, estimates: np.ndarray, window: int = RATE, hop: int = RATE
) -> np.ndarray:
    """Within 1e-9 dB for SDR and 1e-6 dB for the rest; beyond 80 dB both are beyond."""
    ours = ReferenceStatistics(references, window, hop).score(estimates)
    with warnings.catch_warnings():
        # Logarithms of zero and means of NaN inside museval.
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
@pytest.mark.parametrize("case", CASES)
def test_equal_to_museval(case: str):
    references, estimates = CASES[case]
    scores = assert_equal_to_museval(references, estimates)
    # What the case is about is there at all.
    assert np.isnan(scores).all() == ("but for the rest" in case)
    assert np.isnan(scores).any() == ("frame of" in case or "rest" in case or "together" in case)


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("window", "hop"), [(RATE, RATE // 2), (7001, 3333), (10**6, 10**6), (1000, 9000), (1, 20000)]
)
def test_equal_to_museval_in_other_frames(window: int, hop: int):
    assert_equal_to_museval(REFERENCES, ESTIMATES, window, hop)


@pytest.mark.ffmpeg
@settings(max_examples=8, deadline=None)
@given(
    samples=st.integers(1500, 20000),
    parts=st.integers(1, 3),
    channels=st.integers(1, 2),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_equal_to_museval_whatever_comes(samples, parts, channels, seed, data):
    random = np.random.default_rng(seed)
    references = random.standard_normal((parts, channels, samples))
    mixing = random.standard_normal((parts, parts)) + 2 * np.eye(parts)
    estimates = np.einsum("ij,jcs->ics", mixing, references)
    estimates += 0.1 * random.standard_normal(estimates.shape)
    for audio in (references, estimates):
        start = data.draw(st.integers(0, samples))
        audio[data.draw(st.integers(0, parts - 1)), :, start : start + samples // 3] = 0
    assert_equal_to_museval(references, estimates, window=4000, hop=3000)


@pytest.mark.data
@pytest.mark.ffmpeg
@pytest.mark.parametrize("index", [0, 2])
def test_equal_to_museval_on_music(musdb_root, index: int):
    # As the musdb package gives it: rounded to 16 bits. The second has vocals in mono.
    mixture, stems = musdb_tracks(musdb_root, "train", "valid")[index].audio()
    mixture, vocals = (np.rint(32768 * audio) / 32768 for audio in (mixture, stems["vocals"]))
    accompaniment = np.rint(32768 * sum(stems[name] for name in ("drums", "bass", "other"))) / 32768
    parts = {"vocals": vocals, "accompaniment": accompaniment}
    estimates = ideal_ratio_mask(mixture, parts, power=1.0)
    assert_equal_to_museval(
        np.stack(list(parts.values())),
        np.stack([estimates[name] for name in parts]),
        SAMPLE_RATE,
        SAMPLE_RATE,
    )


def test_what_each_measure_is_for():
    # A filter, the other part 20 dB down, or noise 20 dB down: one at a time.
    references = noise(2, 2, 6 * RATE)
    filtered = references + 0.1 * np.roll(references, 7, axis=2)
    leaking = references + 0.1 * references[::-1]
    noisy = references + 0.1 * noise(*references.shape)
    statistics = ReferenceStatistics(references, RATE, RATE)
    for estimates, least in (
        (filtered, (20, 35, 30)),
        (leaking, (20, 20, 35)),
        (noisy, (24, 25, 20)),
    ):
        sdr, *others = np.median(statistics.score(estimates)[:, 0], axis=-1)
        assert sdr == pytest.approx(20, abs=0.3)
        for value, bound in zip(others, least, strict=True):
            assert value > bound - 1
    assert np.median(statistics.score(filtered)[1, 0]) == pytest.approx(20, abs=0.3)
    assert np.median(statistics.score(leaking)[2, 0]) == pytest.approx(20, abs=0.3)
    assert np.median(statistics.score(noisy)[3, 0]) == pytest.approx(20, abs=0.6)


def test_statistics_serve_for_any_number_of_systems():
    statistics = ReferenceStatistics(REFERENCES, RATE, RATE)
    statistics.score(noise(*REFERENCES.shape))
    again = statistics.score(ESTIMATES)
    fresh = ReferenceStatistics(REFERENCES, RATE, RATE).score(ESTIMATES)
    np.testing.assert_array_equal(again, fresh)


def test_some_targets_alone_have_the_scores_they_have_with_the_others():
    statistics = ReferenceStatistics(REFERENCES, RATE, RATE)
    both = statistics.score(ESTIMATES)
    second = statistics.score(ESTIMATES[1:], targets=[1])
    np.testing.assert_allclose(second, both[:, 1:], rtol=0, atol=1e-9)


def test_a_silent_reference_counts_for_targets_scored_alone_too():
    references = with_silence(REFERENCES, 0, 0, RATE)
    scores = ReferenceStatistics(references, RATE, RATE).score(ESTIMATES[1:], targets=[1])
    assert np.isnan(scores[:, 0]).all(axis=0).tolist() == [True, False, False, False]


def caution(references: np.ndarray) -> str:
    return ReferenceStatistics(references, RATE, RATE).caution


def test_what_makes_scores_unreliable_is_told():
    assert caution(REFERENCES) == ""
    # Copies of channels do not matter, but filtered ones and too few samples do.
    assert caution(REFERENCES[:, [0, 0]]) == ""
    assert caution(REFERENCES[[0, 0]]) == ""
    assert caution(REFERENCES * SOFT) == ""
    assert caution(changed(REFERENCES, c0_1=0.0)) == ""
    delayed = np.stack([REFERENCES[0], np.roll(REFERENCES[0], 3, axis=1)])
    assert "made of the others" in caution(delayed)
    assert "too short" in caution(REFERENCES[:, :, :1000])


@pytest.mark.parametrize("full", [False, True])
def test_an_empty_part_of_the_spectrum_is_told(full: bool):
    spectrum = np.fft.rfft(REFERENCES, axis=2)
    spectrum[:, :, spectrum.shape[2] * 3 // 4 :] = 0
    narrow = np.fft.irfft(spectrum, REFERENCES.shape[2], axis=2)
    steps = 2**15 if full else 2**30
    narrow = np.rint(narrow * steps) / steps
    assert ("spectrum" in caution(narrow)) == (not full)


def test_inputs_are_not_changed():
    references, estimates = REFERENCES.copy(), ESTIMATES.copy()
    references.flags.writeable = estimates.flags.writeable = False
    ReferenceStatistics(references, RATE, RATE).score(estimates)
    np.testing.assert_array_equal(references, REFERENCES)


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (REFERENCES[0], "shape"),
        (REFERENCES[:, :, :0], "shape"),
        ((1000 * REFERENCES).astype(np.int16), "floating point"),
        (REFERENCES.swapaxes(1, 2), "34400 channels"),
        (np.full_like(REFERENCES, np.nan), "references hold"),
        (np.full_like(REFERENCES, np.inf), "references hold"),
    ],
)
def test_unusable_references_are_refused(references: np.ndarray, message: str):
    with pytest.raises(AudioInputError, match=message):
        ReferenceStatistics(references, RATE, RATE)


def test_unusable_estimates_and_frames_are_refused():
    statistics = ReferenceStatistics(REFERENCES, RATE, RATE)
    with pytest.raises(AudioInputError, match="same shape"):
        statistics.score(ESTIMATES[:, :, 1:])
    with pytest.raises(AudioInputError, match="same shape"):
        statistics.score(ESTIMATES[:1])
    with pytest.raises(AudioInputError, match="estimates hold"):
        statistics.score(changed(ESTIMATES, c1_0=np.nan))
    with pytest.raises(AudioInputError, match="at least 1"):
        ReferenceStatistics(REFERENCES, RATE, 0)


@pytest.mark.parametrize("samples", [1, 5, 63, 64, 65, 300])
def test_correlations_by_blocks(samples: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(correlations, "_N_FFT", 64)
    first, second = noise(2, samples), noise(3, samples)
    products = lagged_products(first, second, lags=20)
    padded = np.pad(second, ((0, 0), (0, 20)))
    for lag in range(20):
        expected = first @ padded[:, lag : lag + samples].T
        np.testing.assert_allclose(products[:, :, lag], expected, atol=1e-14)


def test_correlations_can_be_handed_on():
    first = ReferenceStatistics(REFERENCES, RATE, RATE)
    second = ReferenceStatistics(REFERENCES, RATE, RATE, first.correlations)
    np.testing.assert_array_equal(second.score(ESTIMATES), first.score(ESTIMATES))
    with pytest.raises(AudioInputError, match="other references"):
        ReferenceStatistics(REFERENCES[:1], RATE, RATE, first.correlations)
