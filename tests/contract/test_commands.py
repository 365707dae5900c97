"""The command line: what it writes, prints and returns."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from tests.contract.material import ROOT, command, music, read

CPU = ("-d", "cpu")


def run(*arguments, code=0):
    outcome = command(*arguments)
    assert outcome.code == code, outcome
    assert "Traceback" not in outcome.out + outcome.err
    return outcome


def shell(line, **options):
    """Run a line in a shell that uses songsplit from this checkout."""
    line = line.replace("songsplit ", f"{sys.executable} -m songsplit ")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, env=environment, check=False, **options
    )


def files(folder="."):
    shown = (path for path in Path(folder).rglob("*") if not path.name.startswith("."))
    return {str(path.relative_to(folder)) for path in shown if path.is_file()}


def test_a_song_becomes_two_files(song, mixture):
    done = run("song.flac", *CPU)
    assert done.out.split() == ["song/vocals.wav", "song/instrumental.wav"]
    total = read(Path("song/vocals.wav"))[0] + read(Path("song/instrumental.wav"))[0]
    np.testing.assert_allclose(total, mixture, rtol=0, atol=1e-6)


def test_results_are_kept_or_replaced(song):
    run("song.flac", "-o", "out", *CPU)
    path = Path("out/song/vocals.wav")
    before = path.stat().st_mtime_ns
    assert "--overwrite" in run("split", "song.flac", "--output", "out", *CPU).err
    run("song.flac", "-o", "out", "--skip-existing", *CPU)
    assert path.stat().st_mtime_ns == before
    run("song.flac", "-o", "out", "--overwrite", *CPU)
    assert path.stat().st_mtime_ns != before
    path.unlink()
    assert "vocals.wav" in run("song.flac", "-o", "out", *CPU, code=1).err


def test_a_folder_with_folders_and_a_playlist(song):
    Path("Music/deep").mkdir(parents=True)
    for name in ("Music/one.flac", "Music/deep/two.flac"):
        shutil.copy(song, name)
    Path("Music/notes.txt").write_text("no song")
    Path("list.m3u").write_text("#EXTM3U\nsong.flac\nMusic/one.flac\n")
    run("Music", "-o", "stems", "--jobs", "2", *CPU)
    assert files("stems") == {
        f"{place}/{stem}.wav"
        for place in ("one", "deep/two")
        for stem in ("vocals", "instrumental")
    }
    run("acapella", "list.m3u", "-o", "mixes", *CPU)
    assert files("mixes") == {"song (acapella).wav", "one (acapella).wav"}


def test_one_bad_file_is_named_and_the_others_are_done(song):
    Path("notes.mp3").write_text("not audio")
    Path("empty.wav").touch()
    done = run("notes.mp3", "empty.wav", "gone.flac", "song.flac", "--json", *CPU, code=1)
    told = {line["song"]: line for line in map(json.loads, done.out.splitlines())}
    assert {name: line["status"] for name, line in told.items()} == {
        "notes.mp3": "failed",
        "empty.wav": "failed",
        "gone.flac": "failed",
        "song.flac": "done",
    }
    assert told["song.flac"]["files"]["vocals"] == "song/vocals.wav"
    assert told["song.flac"]["seconds"] == pytest.approx(0.5)
    for name in ("notes.mp3", "empty.wav", "gone.flac"):
        assert told[name]["error"]
        assert f"{name}: " in done.err
    again = run("song.flac", "--json", *CPU)
    assert json.loads(again.out)["status"] == "skipped"


def test_a_dry_run_writes_nothing(song):
    done = run("karaoke", "song.flac", "--dry-run")
    assert done.out.strip() == "song (karaoke).wav"
    assert json.loads(run("song.flac", "--dry-run", "--json").out)["status"] == "planned"
    assert files() == {"song.flac"}


def test_mixes(song, mixture):
    for line in ("karaoke --vocals -18dB", "acapella", "remix --vocals +3dB --instrumental=off"):
        verb, *options = line.split()
        run(verb, "song.flac", *options, "--bit-depth", "32f", *CPU)
    run("song.flac", "--bit-depth", "32f", *CPU)
    vocals, rest = (read(Path(f"song/{stem}.wav"))[0] for stem in ("vocals", "instrumental"))
    for name, expected in {
        "karaoke": rest + vocals * 10 ** (-18 / 20),
        "acapella": vocals,
        "remix": vocals * 10 ** (3 / 20),
    }.items():
        path = Path(f"song ({name}).wav")
        np.testing.assert_allclose(read(path)[0], expected, atol=1e-6)
        assert str(mutagen.File(path)["TIT2"]) == f"T.N.T. ({name})"
    loud = run("remix", "song.flac", "--vocals", "+40dB", "-o", "loud", *CPU)
    assert "dB" in loud.err
    assert np.abs(read(Path("loud/song (remix).wav"))[0]).max() <= 1


def test_practice(song):
    pytest.importorskip("python_stretch")
    run("practice", "song.flac", "--tempo", "50%", "--key", "-2", *CPU)
    samples, rate = read(Path("song (practice).wav"))
    assert (samples.shape, rate) == ((2, 44100), 44100)


def test_formats_and_names(song):
    for number, (line, names) in enumerate(
        (
            ("-f flac --bit-depth 16", "song/{}.flac"),
            ("-f mp3 -b 64", "song/{}.mp3"),
            ("-f stem.mp4", "song.stem.mp4"),
            ("--filename {artist}/{album}/{stem} -f opus", "AC_DC/High Voltage/{}.opus"),
            ("--filename {track}_{stem}.{ext}", "song_{}.wav"),
        )
    ):
        run("song.flac", "-o", str(number), *line.split(), *CPU)
        assert files(str(number)) == {names.format(s) for s in ("vocals", "instrumental")}
    # 64 kbit/s, and the cover.
    assert Path("1/song/vocals.mp3").stat().st_size < 10_000


def test_models(song):
    told = run("models").out
    assert "default" in told
    assert "non-commercial" in told
    run("song.flac", "--model", "open", "--quality", "best", *CPU)
    assert "nonesuch" in run("song.flac", "--model", "nonesuch", "-o", "x", code=1).err


def test_a_picture(song):
    pytest.importorskip("matplotlib")
    run("song.flac", "--plot", *CPU)
    assert Path("song/picture.png").read_bytes().startswith(b"\x89PNG")


def test_info(song):
    told = json.loads(run("info", "song.flac", "--json").out)
    assert (told["samples"], told["sample_rate"], told["channels"]) == (22050, 44100, 2)
    assert (told["artist"], told["title"]) == ("AC/DC", "T.N.T.")
    assert told["peak_db"] == pytest.approx(20 * np.log10(np.abs(music(0.5)).max()), abs=0.02)
    text = run("info", "gone.flac", "song.flac", code=1)
    assert "44.1 kHz stereo" in text.out
    assert "gone.flac" in text.err


def test_wrong_use_is_told_before_anything_is_done(song):
    for line in (
        *("song.flac --bogus", "song.flac --format aac", "song.flac --format mp3 --bit-depth 16"),
        *("song.flac --quality bset", "song.flac --jobs 0", "song.flac --filename {track}"),
        *("song.flac --filename ../{stem}", "song.flac --stdout vocals --format flac"),
        *("song.flac song.flac --stdout vocals", "remix song.flac --vocals loud"),
        *("practice song.flac --tempo 9", "karaoke song.flac --format stem.mp4"),
    ):
        run(*line.split(), code=2)
    assert files() == {"song.flac"}


def test_no_song_is_replaced_and_no_two_share_a_result(song):
    Path("vocals").mkdir()
    soundfile.write("vocals/vocals.wav", music(0.1).T, 44100)
    before = Path("vocals/vocals.wav").read_bytes()
    run("vocals/vocals.wav", "--overwrite", *CPU, code=1)
    assert Path("vocals/vocals.wav").read_bytes() == before
    Path("other").mkdir()
    shutil.copy(song, "other/song.flac")
    assert "song.flac" in run("song.flac", "other/song.flac", *CPU, code=1).err


def test_quiet_help_and_version(song):
    quiet = run("song.flac", "--quiet", *CPU)
    assert quiet.err == ""
    assert len(quiet.out.splitlines()) == 2
    assert "default" in run("song.flac", "--verbose", "--overwrite", *CPU).err
    assert "karaoke" in run("--help").out
    assert "--overwrite" in run("split", "--help").out
    assert run("--version").out.startswith("songsplit ")


@pytest.mark.slow
def test_pipes(song):
    run("song.flac", *CPU)
    expected = read(Path("song/vocals.wav"))[0]
    done = shell("cat song.flac | songsplit - --stdout vocals -d cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout[:4] in (b"RIFF", b"RF64")
    header = done.stdout.index(b"data") + 8
    samples = np.frombuffer(done.stdout[header:], "<f4").reshape(-1, 2).T
    np.testing.assert_allclose(samples, expected, atol=5e-3)
    soundfile.write("long.wav", music(12).T, 44100)
    left = shell("set -o pipefail; songsplit long.wav --stdout vocals -d cpu | head -c 1")
    assert (left.returncode, left.stdout) == (141, b"R")
    assert b"Traceback" not in left.stderr


def test_the_module_runs_as_a_program_and_imports_quickly(song):
    done = shell("songsplit - -d cpu < song.flac")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == ["stdin/vocals.wav", "stdin/instrumental.wav"]
    assert files("stdin") == {"vocals.wav", "instrumental.wav"}
    code = (
        "import sys, songsplit; songsplit.list_models(); dir(songsplit);"
        "assert not {'torch', 'rich', 'av'} & set(sys.modules)"
    )
    quick = shell(f'{sys.executable} -W error -c "{code}"')
    assert (quick.returncode, quick.stdout, quick.stderr) == (0, b"", b"")
