from __future__ import annotations

import sys

import numpy as np
import pytest

from songsplit.errors import AudioInputError, ConfigError, DataError
from songsplit.evaluation import score_track
from songsplit.evaluation.track_scores import ALL_MEASURES, METRICS, load_museval

RATE = 8000
STEMS = ("vocals", "drums", "bass", "other")


def noise(seed: int, seconds: float = 3.3) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((2, round(seconds * RATE)))


REFERENCES = {"vocals": noise(0), "accompaniment": noise(1)}
ESTIMATES = {
    "vocals": 0.9 * noise(0) + 0.2 * noise(1) + 0.1 * noise(2),
    "accompaniment": 0.9 * noise(1) + 0.2 * noise(0) + 0.1 * noise(3),
}


def museval_by_target(references: dict, estimates: dict, targets: tuple[str, ...]) -> dict:
    measures = load_museval().evaluate(
        [references[target].T for target in targets],
        [estimates[target].T for target in targets],
        win=RATE,
        hop=RATE,
    )
    return {
        target: {metric: values[index] for metric, values in zip(METRICS, measures, strict=True)}
        for index, target in enumerate(targets)
    }


def assert_close(frames: dict, expected: dict) -> None:
    for metric in METRICS:
        np.testing.assert_allclose(frames[metric], expected[metric], rtol=0, atol=1e-9)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("backend", ["songsplit", pytest.param("museval", marks=pytest.mark.slow)])
def test_two_targets(backend: str):
    scores = score_track(REFERENCES, ESTIMATES, RATE, backend=backend)
    expected = museval_by_target(REFERENCES, ESTIMATES, ("vocals", "accompaniment"))
    assert scores.targets == ("vocals", "accompaniment")
    for target in scores.targets:
        assert_close(scores.frames[target], expected[target])
        assert scores.value(target, "SIR") == pytest.approx(np.median(expected[target]["SIR"]))
    assert scores.remark == ""
    # The leak of the other part is 13 dB down, and each measure shows its kind of error.
    assert scores.value("vocals", "SIR") == pytest.approx(10 * np.log10(0.81 / 0.04), abs=0.5)
    assert scores.value("vocals", "uSDR") == pytest.approx(10 * np.log10(1 / 0.06), abs=0.2)
    assert scores.value("vocals", "SI-SDR") == pytest.approx(10 * np.log10(0.81 / 0.05), abs=0.2)


@pytest.mark.ffmpeg
@pytest.mark.slow
def test_five_targets_are_grouped_as_museval_groups_them():
    references = {stem: noise(seed)[:1] for seed, stem in enumerate(STEMS)}
    references["accompaniment"] = sum(references[stem] for stem in STEMS[1:])
    estimates = {
        target: 0.9 * audio + 0.1 * noise(9)[:1] + 0.1 * references["drums"]
        for target, audio in references.items()
    }
    scores = score_track(references, estimates, RATE)
    assert set(scores.targets) == set(references)
    pair = museval_by_target(references, estimates, ("vocals", "accompaniment"))
    parts = museval_by_target(references, estimates, STEMS)
    for target in ("vocals", "accompaniment"):
        assert_close(scores.frames[target], pair[target])
    for target in STEMS[1:]:
        assert_close(scores.frames[target], parts[target])


def test_windows_that_an_estimate_spoils_are_told():
    vocals = ESTIMATES["vocals"].copy()
    vocals[:, :RATE] = 0
    references = {"vocals": REFERENCES["vocals"].copy(), "accompaniment": noise(1)}
    references["vocals"][:, 2 * RATE :] = 0
    scores = score_track(references, ESTIMATES | {"vocals": vocals}, RATE)
    # One of the three windows has no vocals, which is not an error of the estimate.
    assert scores.remark == (
        "vocals, accompaniment: 1 of 3 windows not scored, because an estimate is silent in them"
    )


@pytest.mark.ffmpeg
@pytest.mark.slow
@pytest.mark.parametrize("difference", [-5000, 1])
def test_other_lengths_are_treated_as_museval_treats_them_and_told(difference: int):
    samples = REFERENCES["vocals"].shape[1] + difference
    estimates = {
        target: np.pad(audio, ((0, 0), (0, 5000)), mode="reflect")[:, :samples]
        for target, audio in ESTIMATES.items()
    }
    scores = score_track(REFERENCES, estimates, RATE)
    expected = museval_by_target(REFERENCES, estimates, ("vocals", "accompaniment"))
    for target in REFERENCES:
        assert_close(scores.frames[target], expected[target])
    assert f"{abs(difference) / RATE:.3f} s" in scores.remark
    assert ("longer" if difference > 0 else "shorter") in scores.remark


@pytest.mark.ffmpeg
@pytest.mark.parametrize("backend", ["songsplit", "museval"])
def test_one_estimate_is_scored_against_both_references_and_told(backend: str):
    both = score_track(REFERENCES, ESTIMATES, RATE)
    alone = score_track(REFERENCES, {"vocals": ESTIMATES["vocals"]}, RATE, backend=backend)
    assert alone.targets == ("vocals",)
    assert_close(alone.frames["vocals"], both.frames["vocals"])
    assert "without an estimate of accompaniment" in alone.remark


@pytest.mark.parametrize("how", ["zero", "opposite channels"])
def test_a_silent_reference_leaves_only_whole_measures_and_is_told(how: str):
    left = REFERENCES["vocals"][:1]
    vocals = np.concatenate([left, -left]) if how != "zero" else 0 * REFERENCES["vocals"]
    scores = score_track(REFERENCES | {"vocals": vocals}, ESTIMATES, RATE)
    assert scores.remark.startswith("no SDR, ISR, SIR and SAR of vocals, accompaniment: ")
    assert "reference of vocals is silent throughout" in scores.remark
    for target in REFERENCES:
        assert np.isnan(scores.frames[target]["SDR"]).tolist() == [True] * 3
    assert np.isfinite(scores.value("accompaniment", "uSDR"))
    assert np.isnan(scores.value("vocals", "uSDR")) == (how == "zero")
    assert ("no uSDR of vocals" in scores.remark) == (how == "zero")


def test_a_system_that_gives_up_on_a_song_counts_with_0_db():
    silence = 0 * noise(0)
    scores = score_track(REFERENCES, ESTIMATES | {"vocals": silence}, RATE)
    assert "the estimate of vocals is silent throughout and counts with 0 dB" in scores.remark
    for measure in ALL_MEASURES:
        assert scores.value("vocals", measure) == pytest.approx(0)
    # The other stem keeps its scores.
    both = score_track(REFERENCES, ESTIMATES, RATE)
    assert_close(scores.frames["accompaniment"], both.frames["accompaniment"])
    # Seconds without singing are not scored.
    references = dict(REFERENCES, vocals=REFERENCES["vocals"].copy())
    references["vocals"][:, :RATE] = 0
    sdr = score_track(references, dict.fromkeys(REFERENCES, silence), RATE).frames["vocals"]["SDR"]
    np.testing.assert_array_equal(sdr, [np.nan, 0, 0])


@pytest.mark.ffmpeg
def test_museval_says_that_it_has_no_scores_of_one_reference_alone():
    vocals = {"vocals": noise(0)}
    with pytest.raises(DataError, match="a single target"):
        score_track(vocals, vocals, RATE, backend="museval")


@pytest.mark.parametrize(
    ("references", "estimates", "message"),
    [
        (REFERENCES, {}, "no estimate of vocals or accompaniment"),
        (REFERENCES, {"piano": noise(0)}, "got .'piano'"),
        (REFERENCES, ESTIMATES | {"vocals": noise(0)[:1]}, r"vocals has the shape \(1, "),
        (REFERENCES, ESTIMATES | {"accompaniment": noise(0)[:, :0]}, "accompaniment has the shape"),
        (
            REFERENCES,
            ESTIMATES | {"accompaniment": np.nan * noise(0)},
            "of accompaniment must be finite",
        ),
        ({}, ESTIMATES, "same shape"),
        (REFERENCES | {"accompaniment": noise(0, 1.0)}, ESTIMATES, "same shape"),
        (
            REFERENCES | {"vocals": np.inf * noise(0)},
            ESTIMATES,
            "reference of vocals must be finite",
        ),
    ],
)
def test_unusable_audio_is_refused(references: dict, estimates: dict, message: str):
    with pytest.raises(AudioInputError, match=message):
        score_track(references, estimates, RATE)


def test_unknown_backends_are_refused():
    with pytest.raises(ConfigError, match="musevall"):
        score_track(REFERENCES, ESTIMATES, RATE, backend="musevall")


@pytest.mark.ffmpeg
def test_missing_ffmpeg_is_told(monkeypatch: pytest.MonkeyPatch):
    for name in list(sys.modules):
        if name.split(".")[0] in ("museval", "musdb", "stempeg"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match="ffmpeg"):
        load_museval()
