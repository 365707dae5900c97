"""``songsplit song.mp3``: its files, its errors and its behaviour as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from tests.cli.conftest import ROOT, run

PROGRAM = f"'{sys.executable}' -m songsplit"


def test_a_missing_song_is_not_hidden_by_an_old_result(song):
    run(song, "-d", "cpu", "-f", ".FLAC", "--bit-depth", "16")
    assert soundfile.info("song/vocals.flac").subtype == "PCM_16"
    song.unlink()
    assert "no such file" in run(song, "-f", "flac", code=1).stderr


def test_odd_names_stay_in_the_output_folder(song):
    for name in ("...flac", "-o.flac", "sóng ♫.flac"):
        (song.parent / name).write_bytes(song.read_bytes())
        run("-o", "out", "--", name)
    assert {p.name for p in (song.parent / "out").iterdir()} == {"...flac", "-o", "sóng ♫"}


def program(command):
    """Run a shell line with ``songsplit`` as the program."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'songsplit() {{ {PROGRAM} "$@"; }}; {command}'],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii:strict"},
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("command", "status", "told"),
    [
        ("songsplit song.flac -d cpu >/dev/full", 1, "standard output"),
        ("songsplit song.flac -d cpu --stdout vocals >/dev/full", 1, "standard output"),
        ("songsplit models >/dev/full", 1, "standard output"),
        ("songsplit song.flac -d cpu 2>/dev/full", 0, ""),
        ("cp song.flac $'caf\\xe9.flac'; songsplit *.flac -d cpu", 0, "caf"),
        ("songsplit song.flac -d cpu >&-", 0, "song"),
        ("songsplit song.flac -d cpu --stdout vocals >&-", 1, "standard output is closed"),
        ("songsplit - -d cpu <&-", 1, "empty"),
        ("true | songsplit - --stdout vocals", 1, "check the program before the pipe"),
    ],
)
def test_full_and_closed_streams(song, command, status, told):
    result = program(command)
    assert result.returncode == status, result.stderr
    assert told in result.stderr.decode()
    assert b"Traceback" not in result.stderr
    written = status == 0 or command == "songsplit song.flac -d cpu >/dev/full"
    assert (song.parent / "song" / "vocals.wav").exists() == written


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches processes otherwise there")
def test_an_interruption_while_a_pipe_gives_nothing(song):
    with subprocess.Popen(
        [sys.executable, "-m", "songsplit", "-", "--device", "cpu", "--stdout", "vocals"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        # Less than a chunk: everything is read, and nothing is written yet.
        process.stdin.write(song.read_bytes())
        process.stdin.flush()
        time.sleep(3)  # until the program waits for more
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, b"")
    assert b"Traceback" not in errors
    assert b"stopped; " in errors
    assert list(song.parent.rglob("*")) == [song]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("split", "--format", "aac"), "use m4a"),
        (("split", "--format", "xyz"), "stem.mp4"),
        (("split", "--device", "gpu"), "use cuda"),
        (("split", "--stdout", "drums"), "only vocals, instrumental"),
        (("practice", "--tempo", "fast"), "such as 80%"),
        (("practice", "--tempo", "80"), "use 80%"),
        (("practice", "--key", "Am"), "or -2 (down)"),
        (("karaoke", "--vocals", "18"), "use -18dB"),
        (("split", "-o", "out.mp3"), "use -o out --format mp3"),
    ],
)
def test_wrong_options(song, arguments, told):
    verb, *options = arguments
    assert told in run(verb, song, *options, code=2).stderr
    assert list(song.parent.iterdir()) == [song]


@pytest.mark.parametrize(
    ("word", "advice"), [("karoke", "did you mean karaoke?"), ("gui", "songsplit --help")]
)
def test_a_word_that_is_no_command_does_nothing(song, word, advice):
    for arguments in ((word, song.name), (word,)):
        told = run(*arguments, code=2).stderr
        assert "is neither a command nor a file" in told
        assert advice in told
    assert list(song.parent.iterdir()) == [song]
    run(song.rename(word).name, "-o", "out", "--dry-run")


def test_help_names_commands_first_and_options_of_the_default_one():
    shown = run("--help").stdout
    assert shown.index("\n  karaoke") < shown.index("--output") < shown.index("--version")
