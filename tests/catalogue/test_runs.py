"""A catalogue without Ray: what is made, what is kept, what is tried again."""

from __future__ import annotations

import hashlib
import json
import shutil

import fsspec
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import songsplit
from songsplit.catalogue import read_outcomes, separate_catalogue
from songsplit.catalogue.manifest import Entry
from songsplit.catalogue.outcomes import OutcomeLog
from songsplit.catalogue.stores import Store
from songsplit.cli import app
from songsplit.errors import ConfigError, DataError, ModelError, OutputError
from tests.catalogue.conftest import RATE


def run(source, output, **settings):
    return separate_catalogue(source, output, **{"shard": "0/1", **settings})


def outcomes(output):
    return {row["uri"]: row for row in read_outcomes(output).to_pylist()}


def contents(folder):
    """The bytes of all stems below a folder."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "outcomes"
    }


def test_stems_are_those_of_a_separation_and_outcomes_say_where(songs, tmp_path, separator):
    output = tmp_path / "stems"
    summary = run(songs, output)
    assert (summary.songs, summary.done, summary.damaged, summary.failed) == (4, 3, 1, 0)
    assert summary.seconds == pytest.approx(1.5)
    rows = outcomes(output)
    assert len(rows) == 4
    for path in sorted(songs.iterdir())[:3]:
        row = rows[str(path)]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["id"] == row["audio"] == digest
        assert row["status"] == "done"
        assert row["error"] is None
        assert row["attempts"] == 1
        assert row["model"] == songsplit.list_models()[0].sha256
        assert row["version"] == songsplit.__version__
        assert row["seconds"] == 0.5
        expected = separator.separate_to_files(
            path, tmp_path / "own", output="flac", overwrite=True
        )
        assert len(row["files"]) == 2
        for file, (stem, own) in zip(row["files"], expected.items(), strict=True):
            assert file["path"] == f"{digest[:2]}/{digest}/{stem}.flac"
            assert (output / file["path"]).read_bytes() == own.read_bytes()
            assert file["size"] == own.stat().st_size
    damaged = rows[str(songs / "song 03.wav")]
    assert damaged["status"] == "damaged"
    assert "song 03.wav" in damaged["error"]
    assert summary.errors == {damaged["uri"]: damaged["error"]}


def test_the_same_again_does_nothing(songs, tmp_path):
    run(songs, tmp_path / "stems")
    before = outcomes(tmp_path / "stems")
    summary = run(songs, tmp_path / "stems")
    assert (summary.kept, summary.worked, summary.errors) == (4, 0, {})
    assert outcomes(tmp_path / "stems") == before


@pytest.mark.parametrize("harm", ["missing", "cut"])
def test_a_stem_that_is_gone_or_cut_is_made_again(songs, tmp_path, harm):
    output = tmp_path / "stems"
    run(songs, output)
    before = contents(output)
    stem = next(output.rglob("vocals.flac"))
    stem.unlink() if harm == "missing" else stem.write_bytes(stem.read_bytes()[:-10])
    summary = run(songs, output)
    assert (summary.kept, summary.done) == (3, 1)
    assert contents(output) == before


def test_a_song_that_changed_is_separated_again(songs, tmp_path):
    run(songs, tmp_path / "stems")
    song = songs / "song 00.wav"
    soundfile.write(song, np.random.default_rng(1).normal(size=(RATE, 2)) / 10, RATE)
    assert run(songs, tmp_path / "stems").done == 1
    assert outcomes(tmp_path / "stems")[str(song)]["seconds"] == 1.0


def test_damaged_songs_are_tried_again_only_if_asked(songs, tmp_path):
    run(songs, tmp_path / "stems")
    assert run(songs, tmp_path / "stems", retry_damaged=True).damaged == 1
    # What replaces it is another file.
    shutil.copy(songs / "song 00.wav", songs / "song 03.wav")
    assert run(songs, tmp_path / "stems").done == 1


def test_the_same_audio_twice_has_one_folder_and_two_outcomes(songs, tmp_path):
    shutil.copy(songs / "song 00.wav", songs / "twin.wav")
    assert run(songs, tmp_path / "stems").done == 4
    rows = outcomes(tmp_path / "stems")
    first, twin = rows[str(songs / "song 00.wav")], rows[str(songs / "twin.wav")]
    assert first["id"] == twin["id"]
    assert first["files"] == twin["files"]
    assert len(contents(tmp_path / "stems")) == 3 * 2
    # Only one of them was separated.
    assert {first["seconds"], twin["seconds"]} == {0.5, None}
    assert run(songs, tmp_path / "stems").worked == 0


def test_other_settings_do_not_mix_with_what_is_there(songs, tmp_path):
    output = tmp_path / "stems"
    run(songs, output)
    with pytest.raises(OutputError, match="other settings"):
        run(songs, output, output_format="wav")
    with pytest.raises(OutputError, match="other settings"):
        run(songs, output, model="open")
    assert run(songs, output, model="open", overwrite=True).done == 3
    assert {row["model"] for row in outcomes(output).values() if row["status"] == "done"} == {
        songsplit.list_models()[1].sha256
    }
    assert run(songs, output, model="open", overwrite=True).kept == 4


def test_errors_that_may_pass_are_retried_and_tried_again_by_the_next_run(songs, tmp_path):
    table = tmp_path / "songs.csv"
    table.write_text("uri\nsongs/song 00.wav\nsongs/late.wav\nsongs/missing.wav\n")
    late = songs / "late.wav"
    late.mkdir()  # opening it fails
    summary = run(table, tmp_path / "stems")
    assert (summary.done, summary.failed) == (1, 2)
    rows = outcomes(tmp_path / "stems")
    assert rows[str(late)]["status"] == rows[str(songs / "missing.wav")]["status"] == "failed"
    assert rows[str(late)]["attempts"] == 3
    assert "IsADirectoryError" in rows[str(late)]["error"]
    assert "missing.wav: there is no such file" in rows[str(songs / "missing.wav")]["error"]
    late.rmdir()
    shutil.copy(songs / "song 01.wav", late)
    assert run(table, tmp_path / "stems").done == 1


def test_stems_have_the_format_that_is_asked_for(songs, tmp_path):
    output = tmp_path / "stems"
    run(songs, output, output_format=songsplit.OutputFormat("flac", "16"))
    assert {soundfile.info(path).subtype for path in output.rglob("*.flac")} == {"PCM_16"}
    with pytest.raises(OutputError, match="flac 16"):
        run(songs, output)


def test_a_song_that_workers_die_of_is_given_up_until_the_next_run(songs, tmp_path):
    output = tmp_path / "stems"
    uri = str(songs / "song 00.wav")
    started = {"uri": uri, "status": "started", "attempts": 3}
    log = OutcomeLog(Store(str(output)))
    log.write(Entry(uri).key, started)
    summary = run(songs, output)
    assert summary.failed == 1
    assert "died 3 times" in summary.errors[uri]
    assert run(songs, output).done == 1
    # One that died once has two attempts left.
    log.write(Entry(uri).key, started | {"attempts": 1})
    assert run(songs, output).done == 1
    assert outcomes(output)[uri]["attempts"] == 2


def test_stems_within_the_folder_of_the_songs_are_no_songs(songs):
    assert run(songs, songs / "stems").songs == 4
    assert run(songs, songs / "stems").songs == 4
    with pytest.raises(ConfigError, match="another folder"):
        run(songs, songs)


def test_shards_give_together_what_one_run_gives(songs, tmp_path):
    run(songs, tmp_path / "whole")
    summaries = [run(songs, tmp_path / "parts", shard=f"{n}/3") for n in range(3)]
    assert sum(summary.songs for summary in summaries) == 4
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    whole, parts = (outcomes(tmp_path / name) for name in ("whole", "parts"))
    assert {u: r["files"] for u, r in parts.items()} == {u: r["files"] for u, r in whole.items()}


def test_object_stores_are_read_and_written(songs, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(f"{songs}/", "/in/", recursive=True)
    run(songs, tmp_path / "stems")
    assert run("memory://in", "memory://out/stems").done == 3
    assert run("memory://in/*.wav", "memory://out/stems").kept == 4
    for path, content in contents(tmp_path / "stems").items():
        assert memory.cat_file(f"/out/stems/{path.as_posix()}") == content
    assert set(outcomes("memory://out/stems")) == {
        f"memory:///in/song {number:02}.wav" for number in range(4)
    }


@pytest.mark.parametrize(
    ("error", "settings"),
    [
        (ConfigError, {"quality": "good"}),
        (ConfigError, {"output_format": "wma"}),
        (ConfigError, {"shard": "3/3"}),
        (ConfigError, {"shard": "a third"}),
        (ModelError, {"model": "none"}),
        (DataError, {"source": "nowhere.csv"}),
        (DataError, {"source": "nowhere"}),
        (ConfigError, {"source": "gopher://songs"}),
    ],
)
def test_impossible_settings_are_errors_before_the_work(songs, tmp_path, error, settings):
    with pytest.raises(error):
        run(**{"source": songs, "output": tmp_path / "stems", **settings})
    assert not (tmp_path / "stems").exists()


def test_the_command_separates_and_tells_the_status(songs, tmp_path):
    output = tmp_path / "stems"
    command = ["catalogue", str(songs), "--output", str(output), "--shard", "0/1"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 1  # a song is damaged
    assert "3 done, 0 kept" in first.output
    assert "song 03.wav" in first.output
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0
    assert "0 done, 4 kept" in again.output
    told = CliRunner().invoke(app, ["catalogue", "status", str(output)])
    assert told.exit_code == 0
    assert told.output.splitlines()[:2] == ["done     3", "damaged  1"]
    assert CliRunner().invoke(app, ["catalogue", "status", str(songs)]).exit_code == 1
    rows = CliRunner().invoke(app, ["catalogue", "status", str(output), "--json"])
    assert {json.loads(line)["status"] for line in rows.output.splitlines()} == {"done", "damaged"}
