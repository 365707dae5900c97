"""Karaoke, remixes and the rest of what can be made of songs on the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from songsplit.cli import app
from songsplit.cli.options import level, tempo

ROOT = Path(__file__).parents[2]
runner = CliRunner()


@pytest.fixture
def song(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "song.flac"
    noise = np.random.default_rng(0).normal(size=(22050, 2)) / 10
    soundfile.write(path, noise, 44100)
    tagged = mutagen.File(path)
    tagged["artist"], tagged["title"] = "AC/DC", "T.N.T."
    tagged.save()
    return path


def run(*arguments, code=0):
    result = runner.invoke(app, [*(str(a) for a in arguments)])
    assert result.exit_code == code, result.output
    return result


def read(path):
    samples, rate = soundfile.read(path, always_2d=True)
    assert rate == 44100
    return samples


def test_mixes_add_up(song):
    run("karaoke", song, "-d", "cpu")
    run("acapella", song, "-d", "cpu")
    run("remix", song, "--vocals", "-6dB", "--instrumental=-6", "-d", "cpu")
    parts = [read(f"song ({name}).wav") for name in ("karaoke", "acapella", "remix")]
    mixture = read(song)
    np.testing.assert_allclose(parts[0] + parts[1], mixture, atol=1e-6)
    np.testing.assert_allclose(parts[2], mixture * 10 ** (-6 / 20), atol=1e-6)
    assert mutagen.File("song (karaoke).wav").tags["TIT2"].text == ["T.N.T. (karaoke)"]


def test_isolated_decoding_gives_the_same(song, monkeypatch):
    run(song, "-d", "cpu", "-o", "plain")
    run(song, "-d", "cpu", "-o", "isolated", "--isolate")
    for stem in ("vocals", "instrumental"):
        stems = [Path(folder, "song", f"{stem}.wav") for folder in ("plain", "isolated")]
        assert stems[0].read_bytes() == stems[1].read_bytes()
    plain = run("info", song).output
    # No decoder in this process, wherever a song is looked into.
    monkeypatch.setattr("songsplit.audio.access.open_audio", None)
    monkeypatch.setattr("songsplit.audio.access.read_tags", None)
    assert run("info", song, "--isolate").output == plain
    run(song, "-d", "cpu", "-o", "again", "--isolate")


def test_names_do_not_steer_the_terminal(song):
    steering = song.with_name("\x1b]0;title\x07\nsong \u202egnos.flac")
    steering.write_bytes(song.read_bytes()[:2000])
    for arguments in ((steering, "-d", "cpu"), ("info", steering)):
        result = run(*arguments, code=1)
        assert r"\x1b]0;title\x07\nsong \u202egnos.flac: " in result.stderr
        assert not set(result.stderr) & set("\x1b\x07\u202e")


def test_a_guide_vocal(song):
    run("karaoke", song, "--vocals", "-18dB", "-d", "cpu")
    run(song, "-d", "cpu")
    expected = read("song/instrumental.wav") + read("song/vocals.wav") * 10 ** (-18 / 20)
    np.testing.assert_allclose(read("song (karaoke).wav"), expected, atol=1e-6)


def test_a_remix_that_would_clip_is_turned_down(song):
    result = run("remix", song, "--vocals", "+30dB", "--instrumental", "+30 dB", "-d", "cpu")
    assert "turned down by" in result.stderr
    mixed = read("song (remix).wav")
    assert np.abs(mixed).max() == pytest.approx(1, abs=1e-5)


def test_practice_changes_the_length(song):
    pytest.importorskip("python_stretch")
    run("practice", song, "--tempo", "50%", "--key", "-2", "-d", "cpu")
    assert len(read("song (practice).wav")) == 44100


@pytest.mark.parametrize(
    "arguments",
    [
        ("remix", "--vocals", "loud"),
        ("remix", "--vocals", "300"),
        ("practice", "--tempo", "fast"),
        ("practice", "--tempo", "9"),
        ("practice", "--key", "99"),
        ("karaoke", "--format", "stem.mp4"),
        ("split", "--filename", "{track}"),
        ("split", "--filename", "../{stem}"),
        ("split", "--sample-rate", "5", "--format", "mp3"),
        ("split", "--channels", "3"),
        ("split", "--stdout", "vocals", "--format", "flac"),
        ("split", "--stdout", "vocals", "--channels", "1"),
        ("split", "--bitrate", "much"),
        ("split", "--jobs", "0"),
    ],
)
def test_wrong_use_is_told_at_once(song, arguments):
    verb, *options = arguments
    result = run(verb, song, *options, code=2)
    assert "Traceback" not in result.output
    assert [p.name for p in song.parent.iterdir()] == [song.name]


@pytest.mark.parametrize(
    ("text", "value"),
    [("-18dB", -18), ("+3 DB", 3), ("0", 0), (".5db", 0.5), ("off", -np.inf), ("-INF", -np.inf)],
)
def test_levels(text, value):
    assert level(text) == value


def test_tempos():
    assert tempo("80%") == pytest.approx(0.8)
    assert tempo(" 1.25") == 1.25


def test_names_from_tags(song):
    run(song, "--filename", "{artist}/{title} - {stem}.{ext}", "-f", "mp3", "-d", "cpu")
    assert {p.name for p in Path("AC_DC").iterdir()} == {
        "T.N.T. - vocals.mp3",
        "T.N.T. - instrumental.mp3",
    }


def test_folders_keep_their_order_and_lists_are_read(song):
    Path("in/deep").mkdir(parents=True)
    Path("in/deep/other.flac").write_bytes(song.read_bytes())
    Path("in/notes.txt").write_text("not a list\n")
    Path("all.m3u").write_text("song.flac\nin/deep/other.flac\n")
    run("in", "-o", "a", "-d", "cpu")
    assert Path("a/deep/other/vocals.wav").exists()
    run("acapella", "all.m3u", "-o", "b", "--jobs", "2", "-d", "cpu")
    assert {p.name for p in Path("b").iterdir()} == {"song (acapella).wav", "other (acapella).wav"}
    result = run("in", "--glob", "*.wav", code=1)
    assert "no files that match '*.wav'" in result.stderr


def test_json_of_many_songs(song):
    Path("bad.wav").write_text("no audio")
    result = run("karaoke", "bad.wav", song, "nothere", "--json", "-d", "cpu", code=1)
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(t["song"], t["status"]) for t in told] == [
        ("bad.wav", "failed"),
        (str(song), "done"),
        ("nothere", "failed"),
    ]
    assert told[1]["files"] == {"karaoke": "song (karaoke).wav"}
    assert "not an audio file" in told[0]["error"]
    assert "1 done, 2 failed" in result.stderr
    result = run("karaoke", song, "--json", "-d", "cpu")
    assert json.loads(result.stdout)["status"] == "skipped"


def test_quiet_and_verbose(song):
    result = run(song, "--quiet", "-d", "cpu")
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 2
    result = run("missing.wav", song, "--quiet", code=1)
    assert result.stderr == (
        "songsplit: missing.wav: there is no such file; check the name and the folder\n"
    )
    result = run(song, "missing.wav", "--verbose", "--overwrite", "-d", "cpu", code=1)
    assert "model default, quality balanced, device cpu" in result.stderr
    assert "AudioFileError" in result.stderr


def test_a_dry_run_needs_no_torch(song):
    code = (
        "import sys; from songsplit.cli import app\n"
        "try: app(['karaoke', 'song.flac', '--dry-run'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env=env, text=True
    )
    assert done.stdout == "song (karaoke).wav\n"
    assert [p.name for p in song.parent.iterdir()] == [song.name]


def test_a_file_whose_name_begins_with_a_dash(song):
    song.rename("-o.flac")
    run("-o.flac", "-d", "cpu")
    assert Path("-o/vocals.wav").exists()


def test_a_picture(song):
    pytest.importorskip("matplotlib")
    result = run(song, "--plot", "-d", "cpu")
    picture = Path("song/picture.png")
    assert str(picture) in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    result = run(song, "--plot", "-d", "cpu")
    assert "kept" in result.stderr


def test_rate_and_channels(song):
    run(song, "--sample-rate", "48000", "--channels", "1", "-d", "cpu")
    info = soundfile.info("song/vocals.wav")
    assert (info.samplerate, info.channels, info.frames) == (48000, 1, 24000)


def test_info(song):
    result = run("info", song)
    assert "FLAC PCM_16" in result.stdout
    assert "44100 Hz" in result.stdout
    assert "AC/DC" in result.stdout
    assert "level" in result.stdout
    told = json.loads(run("info", song, "--json").stdout)
    assert told["samples"] == 22050
    assert told["seconds"] == 0.5
    assert told["peak_db"] == pytest.approx(20 * np.log10(np.abs(read(song)).max()), abs=0.01)
    result = run("info", "missing.wav", song, code=1)
    assert "no such file" in result.stderr
    assert "FLAC" in result.stdout


def test_info_of_silence(song):
    soundfile.write("silence.wav", np.zeros((100, 1)), 8000)
    result = run("info", "silence.wav")
    assert "peak" not in result.stdout
    assert json.loads(run("info", "silence.wav", "--json").stdout)["peak_db"] is None


def test_the_command_comes_first(song):
    result = run(song, "karaoke", code=2)
    assert "songsplit karaoke ..." in result.stderr
    run(song, "-o", "data", "-d", "cpu")
    assert Path("data/song/vocals.wav").exists()


def test_an_extension_in_the_template(song):
    run(song, "--filename", "{track}-{stem}.mp3", "-f", "mp3", "-b", "128k", "-d", "cpu")
    assert Path("song-vocals.mp3").exists()


def test_what_is_not_installed_is_missed_before_the_work(song, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("practice", song, "--tempo", "0.8", "--dry-run", code=1)
    assert result.stderr.count("songsplit[practice]") == 1
    assert "songsplit[plots]" in run(song, "--plot", "--dry-run", code=1).stderr
    run("practice", song, "--dry-run")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_on_a_terminal_results_and_bars_do_not_mix(song):
    Path("second.flac").write_bytes(song.read_bytes())
    deep = "o" * 100
    command = [sys.executable, "-m", "songsplit", "song.flac", "second.flac", "-d", "cpu"]
    code = f"import pty; pty.spawn({[*command, '-o', deep]!r})"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=env, check=False, text=True
    )
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", done.stdout).splitlines()
    for track in ("song", "second"):
        for stem in ("vocals", "instrumental"):
            assert f"{deep}/{track}/{stem}.wav" in lines
    assert "2 done in" in done.stdout


def test_a_very_long_path(song):
    deep = Path(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    target = deep / ("n" * 240 + ".flac")
    target.write_bytes(song.read_bytes())
    run(target, "-o", deep, "-d", "cpu")
    [folder] = [p for p in deep.iterdir() if p.is_dir()]
    assert {p.name for p in folder.iterdir()} == {"vocals.wav", "instrumental.wav"}
    result = run("x" * 5000, code=1)
    assert "cannot be read" in result.stderr
