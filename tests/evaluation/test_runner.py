from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from songsplit.errors import ConfigError, DataError, ModelError, OutputError
from songsplit.evaluation.ratios import frame_sdr
from songsplit.evaluation.runner import Evaluation, evaluate_songs
from songsplit.evaluation.songs import ReferenceSong, SongAudio, musdb_songs, own_songs
from songsplit.evaluation.store import versions
from songsplit.evaluation.systems import Estimates, ModelSystem, stems_as_targets
from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation import SeparationModel
from songsplit.models.storage import save_weights

from .conftest import song as made_song
from .conftest import write_stems

SYSTEMS = ("model", "mixture", "ideal ratio mask", "multichannel Wiener filter")


class Share:
    """A system that takes a share of the mixture, counts, and can fail on demand."""

    name = "model"

    def __init__(self, version: int = 1, fail_at: int | None = None, error=None) -> None:
        self.version = version
        self.calls: list[str] = []
        self.fail_at, self.error = fail_at, error

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        return {"version": self.version, "targets": ["vocals", "accompaniment"]}

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        self.calls.append(song.name)
        if len(self.calls) == self.fail_at:
            raise self.error
        assert audio.mixture.dtype == np.float32
        vocals = audio.mixture * np.float32(0.3)
        return Estimates({"vocals": vocals, "accompaniment": audio.mixture - vocals})


class FiveShares(Share):
    """The same with all targets."""

    name = "five"

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        return {"targets": list(song.targets)}

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        self.calls.append(song.name)
        return Estimates(dict.fromkeys(song.targets, audio.mixture / 5))


class InChild(Share):
    """Works only in a process other than the one that runs the tests."""

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        if os.environ["SONGSPLIT_TEST_PARENT"] == str(os.getpid()):
            raise AssertionError("used in the parent")
        if "Band" in song.name:
            raise DataError(f"{song.name}: out of tune, OMP {os.environ['OMP_NUM_THREADS']}")
        return super().estimates(song, audio)


class Killed(Share):
    """As if the system had run out of memory over the second song."""

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        if song.name == "B":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().estimates(song, audio)


@pytest.fixture
def two_songs(tmp_path: Path) -> list[ReferenceSong]:
    """Two songs of 1.2 s, A and B."""
    for index, name in enumerate("AB"):
        write_stems(tmp_path / "songs" / name, made_song(index, 1.2))
    return own_songs(tmp_path / "songs")[0]


def evaluate(songs, system, tmp_path: Path, **options: Any) -> Evaluation:
    options.setdefault("yardsticks", tmp_path / "yardsticks")
    return evaluate_songs(songs, system, tmp_path / "out", **options)


@pytest.mark.slow
def test_scores_of_all_systems(hq_root: Path, tmp_path: Path):
    songs = musdb_songs(hq_root)
    evaluation = evaluate(songs, Share(), tmp_path)
    assert tuple(evaluation.results) == SYSTEMS
    for scored in evaluation.results.values():
        assert list(scored) == [song.name for song in songs]
    name = songs[0].name
    scores = {system: scored[name] for system, scored in evaluation.results.items()}
    assert len(scores["model"].frames["vocals"]["SDR"]) == 3
    sdr = [scores[system].value("vocals", "SDR") for system in ("mixture", *SYSTEMS[:1])]
    assert sdr[0] < sdr[1] < scores["ideal ratio mask"].value("vocals", "SDR")
    assert scores["multichannel Wiener filter"].value("vocals", "SDR") > sdr[1]
    # Doing nothing: what is too much in the one part is all of the other.
    mixture = scores["mixture"]
    assert mixture.value("vocals", "SDR") == pytest.approx(
        -mixture.value("accompaniment", "SDR"), abs=0.01
    )
    assert evaluation.failed == []
    assert evaluation.audio[name].seconds == 3
    # Where they should lie for museval's own tools.
    assert (tmp_path / "yardsticks" / "ideal-ratio-mask" / "test" / f"{name}.json").is_file()
    assert (tmp_path / "out" / "model" / "test" / f"{name}.json").is_file()


def test_goes_on_where_it_was_stopped(two_songs, tmp_path: Path, fake_scorer):
    with pytest.raises(KeyboardInterrupt):
        evaluate(two_songs, Share(fail_at=2, error=KeyboardInterrupt), tmp_path)
    system = Share()
    first = evaluate(two_songs, system, tmp_path)
    assert system.calls == ["B"]
    again = evaluate(two_songs, system, tmp_path)
    assert system.calls == ["B"]
    for name in SYSTEMS:
        for song in "AB":
            before, after = first.results[name][song], again.results[name][song]
            for target in before.targets:
                np.testing.assert_array_equal(
                    before.frames[target]["SDR"], after.frames[target]["SDR"]
                )
            assert before.whole == after.whole
    assert again.audio == first.audio


def test_nothing_is_read_when_all_is_stored(two_songs, tmp_path: Path, fake_scorer):
    evaluate(two_songs, Share(), tmp_path)
    assert len(fake_scorer) == 2
    evaluate(two_songs, Share(), tmp_path)
    assert len(fake_scorer) == 2


def test_other_model_is_scored_anew_and_yardsticks_are_kept(two_songs, tmp_path: Path, fake_scorer):
    evaluate(two_songs, Share(), tmp_path)
    files = sorted((tmp_path / "yardsticks").rglob("*.json"))
    before = {file: file.stat().st_mtime_ns for file in files if "known-audio" not in file.parts}
    assert len(before) == 6
    other = Share(version=2)
    evaluate_songs(two_songs, other, tmp_path / "out 2", yardsticks=tmp_path / "yardsticks")
    assert other.calls == ["A", "B"]
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_yardsticks_of_five_targets_serve_for_two_and_not_the_reverse(
    two_songs, tmp_path: Path, fake_scorer
):
    def yardsticks() -> list[int]:
        folder = tmp_path / "yardsticks" / "mixture"
        return [file.stat().st_mtime_ns for file in sorted(folder.rglob("*.json"))]

    evaluate(two_songs, Share(), tmp_path)
    two = yardsticks()
    five = evaluate(two_songs, FiveShares(), tmp_path)
    assert set(five.results["mixture"]["A"].targets) == {
        *("vocals", "accompaniment", "drums", "bass", "other")
    }
    assert yardsticks() != two
    kept = yardsticks()
    again = evaluate(two_songs, Share(version=2), tmp_path)
    assert yardsticks() == kept
    assert again.results["mixture"]["A"].targets == ("vocals", "accompaniment")
    assert set(again.results["mixture"]["A"].whole) == {"vocals", "accompaniment"}


def test_other_audio_under_the_same_name_is_scored_anew(two_songs, tmp_path: Path, fake_scorer):
    first = evaluate(two_songs, Share(), tmp_path)
    for file in two_songs[0].files:
        audio, rate = soundfile.read(file, dtype="float32")
        soundfile.write(file, audio / 2, rate, subtype="FLOAT")
    system = Share()
    again = evaluate(two_songs, system, tmp_path)
    assert system.calls == ["A"]
    assert again.audio["A"] != first.audio["A"]
    assert again.audio["B"] == first.audio["B"]


def test_same_audio_in_touched_files_keeps_its_scores(two_songs, tmp_path: Path, fake_scorer):
    evaluate(two_songs, Share(), tmp_path)
    for file in two_songs[0].files:
        os.utime(file)
    system = Share()
    evaluate(two_songs, system, tmp_path)
    assert system.calls == []


@pytest.mark.parametrize("changed", ["mixture", "stems", "rate"])
def test_any_other_audio_of_a_song_is_scored_anew(tmp_path: Path, fake_scorer, changed: str):
    stems = made_song(0, 1.2)
    folder = tmp_path / "songs" / "A"
    write_stems(folder, stems | {"mixture": stems["drums"]})
    songs = own_songs(tmp_path / "songs")[0]
    evaluate(songs, Share(), tmp_path)
    if changed == "mixture":
        write_stems(folder, {"mixture": stems["bass"]})
    elif changed == "stems":
        write_stems(folder, {"drums": stems["bass"], "bass": stems["drums"]})
    else:
        write_stems(folder, stems | {"mixture": stems["drums"]}, 48000)
    system = Share()
    evaluate(songs, system, tmp_path)
    assert system.calls == ["A"]


def test_other_audio_of_the_same_size_and_time_is_found_out(two_songs, tmp_path: Path, fake_scorer):
    for file in two_songs[0].files:
        os.utime(file, ns=(1, 1))
    first = evaluate(two_songs, Share(), tmp_path)
    for file in two_songs[0].files:
        audio, rate = soundfile.read(file, dtype="float32")
        soundfile.write(file, audio / 2, rate, subtype="FLOAT")
        os.utime(file, ns=(1, 1))
    assert evaluate(two_songs, Share(), tmp_path).audio["A"] != first.audio["A"]


@pytest.mark.parametrize(("package", "anew"), [("songsplit", True), ("scipy", False)])
def test_other_version_is_scored_anew(
    two_songs, tmp_path: Path, fake_scorer, monkeypatch, package: str, anew: bool
):
    evaluate(two_songs, Share(), tmp_path)
    changed = versions() | {package: "99"}
    monkeypatch.setattr("songsplit.evaluation.song_scorer.versions", lambda: changed)
    system = Share()
    evaluate(two_songs, system, tmp_path)
    assert system.calls == (["A", "B"] if anew else [])


def test_other_backend_is_scored_anew(two_songs, tmp_path: Path, fake_scorer):
    evaluate(two_songs, Share(), tmp_path)
    system = Share()
    evaluate(two_songs, system, tmp_path, backend="museval")
    assert system.calls == ["A", "B"]
    content = json.loads((tmp_path / "out/model/test/A.json").read_text())
    assert content["settings"]["backend"] == "museval"
    assert set(content["settings"]["versions"]) == {"songsplit", "museval"}


@pytest.mark.parametrize("damage", ["", "[]", '{"files": []}'])
def test_damaged_notes_are_made_anew(two_songs, tmp_path: Path, fake_scorer, damage: str):
    first = evaluate(two_songs, Share(), tmp_path)
    (tmp_path / "yardsticks/known-audio/test/A.json").write_text(damage)
    system = Share()
    assert evaluate(two_songs, system, tmp_path).audio == first.audio
    # The scores themselves are still good.
    assert system.calls == []


def test_song_that_fails_leaves_the_others_alone(two_songs, tmp_path: Path, fake_scorer):
    error = DataError("A/vocals.wav: gone: bring it back")
    evaluation = evaluate(two_songs, Share(fail_at=1, error=error), tmp_path)
    failed = evaluation.results["model"]["A"]
    assert (failed.frames, failed.remark) == ({}, str(error))
    assert evaluation.failed == ["A"]
    assert evaluation.results["mixture"]["A"].frames
    assert evaluation.results["model"]["B"].frames
    # It is tried again.
    system = Share()
    assert evaluate(two_songs, system, tmp_path).failed == []
    assert system.calls == ["A"]


def test_song_that_cannot_be_read_fails_with_its_reason(two_songs, tmp_path: Path, fake_scorer):
    (two_songs[0].files[0]).unlink()
    evaluation = evaluate(two_songs, Share(), tmp_path)
    for system in SYSTEMS:
        assert evaluation.results[system]["A"].frames == {}
        assert two_songs[0].files[0].name in evaluation.results[system]["A"].remark
    assert set(evaluation.audio) == {"B"}
    assert evaluation.failed == ["A"]


class Nowhere(Share):
    """Has nothing of song A."""

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        if song.name == "A":
            raise DataError("no folder called 'A'")
        return super().settings(song)


def test_missing_estimates_are_not_looked_for_in_the_audio(two_songs, tmp_path: Path, fake_scorer):
    for _ in range(2):
        evaluation = evaluate(two_songs, Nowhere(), tmp_path)
        assert evaluation.results["model"]["A"].remark == "no folder called 'A'"
        assert evaluation.results["mixture"]["A"].frames
    assert len(fake_scorer) == 2


def test_old_scores_of_what_fails_now_are_removed(two_songs, tmp_path: Path, fake_scorer):
    evaluate(two_songs, Share(), tmp_path)
    folders = [tmp_path / "out/model/test", tmp_path / "yardsticks/mixture/test"]

    def stored() -> list[list[str]]:
        return [sorted(file.name for file in folder.iterdir()) for folder in folders]

    # What is not looked for in the audio, what fails while it is made, ...
    evaluate(two_songs, Nowhere(), tmp_path)
    assert stored() == [["B.json"], ["A.json", "B.json"]]
    evaluate(two_songs, Share(), tmp_path)
    evaluate(two_songs, Share(2, fail_at=1, error=DataError("gone")), tmp_path)
    assert stored() == [["B.json"], ["A.json", "B.json"]]
    # ... and songs that cannot be read.
    evaluate(two_songs, Share(), tmp_path)
    two_songs[0].files[0].unlink()
    evaluate(two_songs, Share(), tmp_path)
    assert stored() == [["B.json"], ["B.json"]]


def test_estimates_that_change_meanwhile_are_not_scored(two_songs, tmp_path: Path, fake_scorer):
    class Changing(Share):
        def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
            self.version += song.name == "B"
            return super().estimates(song, audio)

    results = evaluate(two_songs, Changing(), tmp_path).results["model"]
    assert results["A"].frames
    assert results["B"].frames == {}
    assert "files of B changed" in results["B"].remark


def test_songs_in_folders_within_folders_have_files_of_their_own(tmp_path: Path, fake_scorer):
    long = "l" * 252
    names = ("A/Song", "B/Song", long)
    for index, name in enumerate(names):
        write_stems(tmp_path / "songs" / name, made_song(index, 1.2))
    songs = own_songs(tmp_path / "songs")[0]
    first = evaluate(songs, Share(), tmp_path)
    assert tuple(first.results["model"]) == names
    for folder in ("out/model", "yardsticks/mixture", "yardsticks/known-audio"):
        # Directly in the folder: museval's tools would take them for one song otherwise.
        stored = {file.name for file in (tmp_path / folder / "test").iterdir()}
        assert {"A - Song.json", "B - Song.json"} < stored
        assert len(stored) == 3
    system = Share()
    assert evaluate(songs, system, tmp_path).audio == first.audio
    assert system.calls == []


def test_remarks_of_song_and_estimates_are_kept(two_songs, tmp_path: Path, fake_scorer):
    write_stems(tmp_path / "songs" / "A", {"mixture": np.zeros((1, 5), "f4")})

    class Remarking(Share):
        def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
            return Estimates(super().estimates(song, audio).audio, "as found")

    songs = own_songs(tmp_path / "songs")[0]
    for _ in range(2):
        results = evaluate(songs, Remarking(), tmp_path).results
        assert "their sum was separated instead; as found" in results["model"]["A"].remark
        assert results["model"]["B"].remark == "as found"
        assert results["mixture"]["B"].remark == ""


def test_unusual_songs_are_scored(tmp_path: Path):
    short, silent = made_song(0, 0.3), made_song(1, 1.1)
    write_stems(tmp_path / "songs" / "A", short)
    write_stems(tmp_path / "songs" / "B", silent | {"vocals": 0 * silent["vocals"]})
    evaluation = evaluate(own_songs(tmp_path / "songs")[0], Share(), tmp_path)
    scores = evaluation.results["model"]
    assert np.isfinite(scores["A"].frames["vocals"]["SDR"]).tolist() == [True]
    assert np.isnan(scores["B"].frames["vocals"]["SDR"]).all()
    assert "vocals silent throughout" in scores["B"].remark
    assert evaluation.failed == []


def test_museval_that_cannot_work_stops_the_run(two_songs, tmp_path, monkeypatch):
    def without_ffmpeg() -> None:
        raise DataError("museval needs the programs ffmpeg and ffprobe")

    monkeypatch.setattr("songsplit.evaluation.runner.load_museval", without_ffmpeg)
    with pytest.raises(DataError, match="ffmpeg"):
        evaluate(two_songs, Share(), tmp_path, backend="museval")
    assert not list(tmp_path.glob("**/model/**/*.json"))


@pytest.mark.parametrize(
    "error", [ModelError("weights: damaged"), ConfigError("no"), OutputError("disk full")]
)
def test_what_is_no_fault_of_the_song_stops_the_run(two_songs, tmp_path, fake_scorer, error):
    system = Share(fail_at=1, error=error)
    with pytest.raises(type(error), match=str(error)):
        evaluate(two_songs, system, tmp_path)
    assert system.calls == ["A"]


def test_candidate_by_the_name_of_a_yardstick_is_refused(two_songs, tmp_path: Path):
    system = Share()
    system.name = "mixture"
    with pytest.raises(ConfigError, match="another name"):
        evaluate(two_songs, system, tmp_path)


@pytest.mark.slow
def test_songs_are_scored_in_processes(
    hq_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SONGSPLIT_TEST_PARENT", str(os.getpid()))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    songs = musdb_songs(hq_root)
    evaluation = evaluate(songs, InChild(), tmp_path, jobs=2)
    failed, good = (song.name for song in songs)
    threads = max(1, (os.cpu_count() or 1) // 2)
    assert evaluation.results["model"][failed].remark == f"{failed}: out of tune, OMP {threads}"
    assert evaluation.results["mixture"][failed].frames
    assert "OMP_NUM_THREADS" not in os.environ
    audio = songs[1].read()
    estimate = audio.mixture * np.float32(0.3)
    expected = frame_sdr(audio.references["vocals"][None], estimate[None], 44100, 44100)[0]
    scores = evaluation.results["model"][good].frames["vocals"]["SDR"]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.slow
def test_killed_worker_is_explained_and_scores_are_kept(two_songs, tmp_path: Path):
    write_stems(tmp_path / "songs" / "C", made_song(2, 1.2))
    songs = own_songs(tmp_path / "songs")[0]
    with pytest.raises(DataError, match="use fewer jobs"):
        evaluate(songs, Killed(), tmp_path, jobs=2)
    system = Share()
    assert evaluate(songs, system, tmp_path).failed == []
    assert "B" in system.calls


STEM = np.ones((2, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("vocals", "instrumental"), {"vocals": 1, "accompaniment": 2}),
        (("drums", "bass", "other", "vocals"), None),
        (("vocals", "band", "choir"), {"vocals": 1, "accompaniment": 5}),
    ],
)
def test_targets_of_models(names: tuple[str, ...], expected: Mapping[str, float] | None):
    stems = {name: STEM * (index + 1) for index, name in enumerate(names)}
    levels = {target: audio[0, 0] for target, audio in stems_as_targets(stems).items()}
    five = {"vocals": 4, "accompaniment": 6, "drums": 1, "bass": 2, "other": 3}
    assert levels == (expected or five)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[int], str]:
    """Saves a small untrained network, always to the same file, and gives its path."""

    def save(seed: int) -> str:
        torch.manual_seed(seed)
        config = MaskUNetConfig(
            ("vocals", "instrumental"),
            **{
                "n_fft": 512,
                "hop_length": 128,
                "bands": [(256, 1)],
                "subbands": 1,
                "widths": (4, 4),
            },
        )
        path = tmp_path / "small.safetensors"
        save_weights(SeparationModel(config), {}, path)
        return str(path)

    return save


def test_settings_of_a_model_tell_weights_and_device(
    save, two_songs, monkeypatch: pytest.MonkeyPatch
):
    song = two_songs[0]
    first = ModelSystem(save(0), "cpu").settings(song)
    assert ModelSystem(save(0), "cpu").settings(song) == first
    other = ModelSystem(save(1), "cpu").settings(song)
    assert other != first
    monkeypatch.setattr("songsplit.inference.devices.choose_device", torch.device)
    one, two = (ModelSystem(save(1), device).settings(song) for device in ("cuda:0", "cuda:1"))
    assert one != other
    # The same kind of device.
    assert one == two


def test_model_that_changes_before_it_is_used_is_refused(
    save, two_songs, tmp_path: Path, fake_scorer
):
    system = ModelSystem(save(0), "cpu")
    path = save(1)
    with pytest.raises(ModelError, match=r"small\.safetensors changed .*: start again"):
        evaluate(two_songs, system, tmp_path)
    assert not list((tmp_path / "out").rglob("*.json"))
    # What is loaded stays as it is.
    system = ModelSystem(path, "cpu")
    system.estimates(two_songs[0], two_songs[0].read())
    save(2)
    assert set(system.estimates(two_songs[1], two_songs[1].read()).audio) == {
        *("vocals", "accompaniment")
    }


def test_unknown_model_is_refused_before_anything_is_scored():
    with pytest.raises(ModelError, match="unknown model"):
        ModelSystem("nonsense")
