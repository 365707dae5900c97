from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from songsplit.errors import AudioInputError, DataError, MissingExtraError
from songsplit.evaluation import frame_sdr, score_track, usdr
from songsplit.evaluation.metrics import METRICS, TARGETS, load_museval

RATE = 8000


def noise(seed: int, seconds: float = 4.3, targets: int = 2) -> np.ndarray:
    shape = (targets, 2, round(seconds * RATE))
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def by_target(stack: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(TARGETS, stack, strict=True))


def museval_sdr(references: np.ndarray, estimates: np.ndarray, window: int, hop: int) -> np.ndarray:
    sdr, *_ = load_museval().metrics.bss_eval(
        np.moveaxis(references, 1, 2), np.moveaxis(estimates, 1, 2), window=window, hop=hop
    )
    return np.asarray(sdr)


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


def test_frame_sdr_counts_opposite_channels_as_silence():
    reference = noise(0, targets=1)
    reference[0, 1, :RATE] = -reference[0, 0, :RATE]
    sdr = frame_sdr(reference, 0.5 * noise(1, targets=1), RATE, RATE)
    assert np.isnan(sdr[0]).tolist() == [True, False, False, False]


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("window", "hop"),
    [(RATE, RATE), (RATE, RATE // 2), (2 * RATE, RATE), (round(4.3 * RATE), RATE), (10**6, 10**6)],
)
def test_frame_sdr_equals_museval(window: int, hop: int):
    references, estimates = noise(0), noise(1) + noise(0)
    references[0, :, 2 * RATE : 3 * RATE] = 0  # one silent reference
    estimates[1, 0, :RATE] = -estimates[1, 1, :RATE]  # an estimate that museval takes for silent
    references[1, :, 3 * RATE] *= 1e-9
    ours = frame_sdr(references, estimates, window, hop)
    theirs = museval_sdr(references, estimates, window, hop)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    if window == RATE:
        assert np.isnan(ours).any()
        assert not np.isnan(ours).all()


def test_usdr_by_hand():
    reference = np.full((1, 2, 50), 0.1)
    np.testing.assert_allclose(
        usdr(reference, reference - 0.01), 10 * np.log10((1 + 1e-7) / (0.01 + 1e-7)), rtol=1e-12
    )


def test_usdr_of_silence_is_finite():
    silence = np.zeros((2, 2, 100))
    np.testing.assert_allclose(usdr(silence, silence), 0.0)


@pytest.mark.parametrize("measure", [usdr, lambda r, e: frame_sdr(r, e, 10, 10)])
def test_unusable_audio_is_refused(measure):
    good = np.ones((2, 2, 50))
    with pytest.raises(AudioInputError, match="shape"):
        measure(good, good[:, :, :49])
    with pytest.raises(AudioInputError, match="shape"):
        measure(good[0], good[0])
    with pytest.raises(AudioInputError, match="shape"):
        measure(good[:, :, :0], good[:, :, :0])
    bad = good.copy()
    bad[1, 0, 7] = np.nan
    with pytest.raises(AudioInputError, match="estimates hold"):
        measure(good, bad)


@pytest.mark.ffmpeg
def test_score_track_is_museval_with_names():
    references, estimates = noise(0), 0.9 * noise(0) + 0.2 * noise(0)[::-1] + 0.1 * noise(1)
    scores = score_track(by_target(references), by_target(estimates), RATE)
    measures = load_museval().evaluate(
        np.moveaxis(references, 1, 2), np.moveaxis(estimates, 1, 2), win=RATE, hop=RATE
    )
    assert scores.remark == ""
    for metric, expected in zip(("SDR", "ISR", "SIR", "SAR"), measures, strict=True):
        for index, target in enumerate(("vocals", "accompaniment")):
            np.testing.assert_array_equal(scores.frames[target][metric], expected[index])
            assert scores.median(target, metric) == pytest.approx(np.median(expected[index]))
    # What each measure is for: the leak of the other part is 14 dB down, the noise 20 dB.
    assert scores.median("vocals", "SIR") == pytest.approx(10 * np.log10(0.81 / 0.04), abs=0.5)
    assert scores.median("vocals", "ISR") == pytest.approx(20.0, abs=1.0)


@pytest.mark.ffmpeg
def test_perfect_estimate_has_no_finite_sdr():
    references = by_target(noise(0))
    scores = score_track(references, references, RATE)
    assert np.all(scores.frames["vocals"]["SDR"] == np.inf)
    assert np.isnan(scores.median("vocals", "SDR"))


@pytest.mark.ffmpeg
@pytest.mark.parametrize("kind", ["reference", "estimate"])
def test_silent_part_is_not_scored_and_says_so(kind: str):
    references, estimates = noise(0), noise(1)
    (references if kind == "reference" else estimates)[0] = 0
    scores = score_track(by_target(references), by_target(estimates), RATE)
    assert f"{kind} of vocals silent" in scores.remark
    for target in TARGETS:
        for metric in METRICS:
            assert scores.frames[target][metric].shape == (4,)
            assert np.isnan(scores.median(target, metric))


@pytest.mark.ffmpeg
def test_singular_system_leaves_sdr(monkeypatch: pytest.MonkeyPatch):
    def singular(*_: object) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    def no_fallback(*_: object) -> None:
        raise AttributeError("module 'numpy.linalg' has no attribute 'linalg'")

    load_museval()
    # numpy before 2.4 still has the name that museval looks for, and then its fallback.
    monkeypatch.setattr(np.linalg, "lstsq", no_fallback)
    monkeypatch.setattr(np.linalg, "solve", singular)
    references, estimates = noise(0), noise(1)
    scores = score_track(by_target(references), by_target(estimates), RATE)
    assert "depend linearly" in scores.remark
    expected = frame_sdr(references, estimates, RATE, RATE)[0]
    np.testing.assert_array_equal(scores.frames["vocals"]["SDR"], expected)
    assert np.isnan(scores.frames["vocals"]["SIR"]).all()


@pytest.mark.ffmpeg
def test_unnamed_faults_of_museval_are_not_hidden(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'shape'")

    monkeypatch.setattr(load_museval().metrics, "bss_eval", broken)
    with pytest.raises(AttributeError, match="NoneType"):
        score_track(by_target(noise(0)), by_target(noise(1)), RATE)


@pytest.mark.ffmpeg
def test_missing_and_unequal_targets_are_named():
    references = by_target(noise(0))
    with pytest.raises(AudioInputError, match="no estimate of accompaniment"):
        score_track(references, {"vocals": references["vocals"]}, RATE)
    short = references | {"vocals": references["vocals"][:, :-1]}
    with pytest.raises(AudioInputError, match="each estimate must have the same shape"):
        score_track(references, short, RATE)


def test_museval_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "museval", None)
    with pytest.raises(MissingExtraError, match=r"songsplit\[eval\]"):
        load_museval()


def test_ffmpeg_not_installed(monkeypatch: pytest.MonkeyPatch):
    if importlib.util.find_spec("museval") is None:
        pytest.skip("museval is not installed")
    # Whether other tests imported them or not, they must look for ffmpeg anew.
    for name in list(sys.modules):
        if name.split(".")[0] in ("museval", "musdb", "stempeg"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match="install ffmpeg"):
        load_museval()
