from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit.data.musdb import musdb_tracks
from songsplit.errors import DataError
from songsplit.evaluation import TrackScores, frame_sdr, runner
from songsplit.evaluation.metrics import METRICS, TARGETS
from songsplit.evaluation.runner import SYSTEMS, Candidate, Separate, evaluate_tracks


@pytest.fixture
def sdr_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """SDR for every measure, where scores do not matter: museval takes a second for each."""

    def score(references, estimates, sample_rate: int) -> TrackScores:
        stacks = [np.stack([parts[t] for t in TARGETS]) for parts in (references, estimates)]
        sdr = frame_sdr(*stacks, sample_rate, sample_rate)
        return TrackScores(
            {target: dict.fromkeys(METRICS, sdr[index]) for index, target in enumerate(TARGETS)}
        )

    monkeypatch.setattr(runner, "load_museval", lambda: None)
    monkeypatch.setattr(runner, "score_track", score)


def louder_left(mixture: np.ndarray, sample_rate: int) -> Mapping[str, np.ndarray]:
    """Stands for a separator: a share of the mixture, and the rest."""
    assert mixture.dtype == np.float32
    assert sample_rate == 44100
    vocals = mixture * np.array([[0.6], [0.4]], dtype=np.float32)
    return {"vocals": vocals, "instrumental": mixture - vocals}


def load_louder_left() -> Separate:
    return louder_left


def load_in_child() -> Separate:
    """Loads only in a process other than the one that runs the tests."""
    if os.environ["SONGSPLIT_TEST_PARENT"] == str(os.getpid()):
        raise AssertionError("loaded in the parent")
    return louder_left


class Counting:
    """A model that counts what it is asked for and can fail on demand."""

    def __init__(self) -> None:
        self.loads = 0
        self.calls = 0
        self.fail_at: int | None = None

    def load(self) -> Separate:
        self.loads += 1
        return self.separate

    def separate(self, mixture: np.ndarray, sample_rate: int) -> Mapping[str, np.ndarray]:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return louder_left(mixture, sample_rate)


@pytest.mark.ffmpeg
def test_scores_all_systems(hq_root: Path, tmp_path: Path):
    tracks = musdb_tracks(hq_root, "test")
    candidate = Candidate("half", "1", load_louder_left)
    results = evaluate_tracks(tracks, candidate, tmp_path / "out", "test")
    assert tuple(results) == SYSTEMS
    for songs in results.values():
        assert list(songs) == [track.name for track in tracks]
    model, mixture, oracle = (songs[tracks[0].name] for songs in results.values())
    assert len(model.frames["vocals"]["SDR"]) == 3
    assert (
        mixture.median("vocals", "SDR")
        < model.median("vocals", "SDR")
        < oracle.median("vocals", "SDR")
    )
    # Doing nothing: what is too much in the one part is all of the other.
    assert mixture.median("vocals", "SDR") == pytest.approx(
        -mixture.median("accompaniment", "SDR"), abs=0.01
    )
    # Where it should lie for museval's own tools.
    assert (tmp_path / "out" / "ideal-ratio-mask" / "test" / f"{tracks[1].name}.json").is_file()


def test_goes_on_where_it_was_stopped(hq_root: Path, tmp_path: Path, sdr_only: None):
    tracks = musdb_tracks(hq_root, "test")
    model = Counting()
    model.fail_at = 2
    with pytest.raises(KeyboardInterrupt):
        evaluate_tracks(tracks, Candidate("m", "1", model.load), tmp_path / "out", "test")
    assert model.calls == 2
    evaluate_tracks(tracks, Candidate("m", "1", model.load), tmp_path / "out", "test")
    assert model.calls == 3
    first = evaluate_tracks(tracks, Candidate("m", "1", model.load), tmp_path / "out", "test")
    assert (model.calls, model.loads) == (3, 2)
    # Another model of the same name: its own scores anew, those of the other systems kept.
    oracle = tmp_path / "out" / "mixture" / "test" / f"{tracks[0].name}.json"
    before = oracle.stat().st_mtime_ns
    again = evaluate_tracks(tracks, Candidate("m", "2", model.load), tmp_path / "out", "test")
    assert model.calls == 5
    assert oracle.stat().st_mtime_ns == before
    name = tracks[0].name
    np.testing.assert_array_equal(
        first["model"][name].frames["vocals"]["SAR"], again["model"][name].frames["vocals"]["SAR"]
    )


def test_other_audio_under_the_same_name_is_scored_anew(
    hq_root: Path, tmp_path: Path, sdr_only: None
):
    tracks = musdb_tracks(hq_root, "test")[:1]
    model = Counting()
    evaluate_tracks(tracks, Candidate("m", "1", model.load), tmp_path / "out", "test")
    for file in tracks[0].files:
        audio, rate = soundfile.read(file, frames=2 * 44100)
        soundfile.write(file, audio, rate)
    results = evaluate_tracks(tracks, Candidate("m", "1", model.load), tmp_path / "out", "test")
    assert model.calls == 2
    assert len(results["mixture"][tracks[0].name].frames["vocals"]["SDR"]) == 2


@pytest.mark.ffmpeg
def test_songs_are_scored_in_processes(
    hq_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SONGSPLIT_TEST_PARENT", str(os.getpid()))
    tracks = musdb_tracks(hq_root, "test")
    candidate = Candidate("m", "1", load_in_child)
    results = evaluate_tracks(tracks, candidate, tmp_path / "out", "test", jobs=2)
    for track in tracks:
        mixture, stems = track.audio()
        estimate = louder_left(mixture, 44100)["vocals"]
        expected = frame_sdr(stems["vocals"][None], estimate[None], 44100, 44100)[0]
        scores = results["model"][track.name].frames["vocals"]["SDR"]
        np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("estimates", "message"),
    [
        (lambda mix: {"vocals": mix}, "but not instrumental"),
        (lambda mix: {"vocals": mix[:, 1:], "instrumental": mix[:, 1:]}, "shape"),
        (lambda mix: {"vocals": mix * np.float32("nan"), "instrumental": mix}, "not a number"),
    ],
)
def test_useless_estimates_are_an_error_that_names_the_song(
    hq_root: Path, tmp_path: Path, sdr_only: None, estimates, message: str
):
    tracks = musdb_tracks(hq_root, "test")[:1]
    candidate = Candidate("m", "1", lambda: lambda mixture, _: estimates(mixture))
    with pytest.raises(DataError, match=message) as caught:
        evaluate_tracks(tracks, candidate, tmp_path, "test")
    assert tracks[0].name in str(caught.value)
