from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import songsplit.audio
from songsplit.cli import app
from tests.conftest import heed_interrupts

ROOT = Path(__file__).parents[2]
runner = CliRunner()


@pytest.fixture
def song(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my song.wav"
    noise = np.random.default_rng(0).normal(size=(22050, 2)) / 10
    soundfile.write(path, noise, 44100)
    return path


def run(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


def test_a_song_becomes_two_files_beside_where_one_stands(song):
    result = run(song.name, "--device", "cpu")
    assert result.exit_code == 0, result.output
    for name in ("vocals", "instrumental"):
        path = song.parent / "my song" / f"{name}.wav"
        assert soundfile.info(path).frames == 22050
        assert f"my song/{name}.wav" in result.stdout


def test_output_folder_and_keeping_of_results(song):
    assert run(song, "-o", "out").exit_code == 0
    vocals = song.parent / "out" / "my song" / "vocals.wav"
    before = vocals.stat().st_mtime_ns
    kept = run("split", song, "--output", "out")
    assert kept.exit_code == 0
    assert "--overwrite" in kept.output
    assert vocals.stat().st_mtime_ns == before
    assert run(song, "-o", "out", "--overwrite").exit_code == 0
    assert vocals.stat().st_mtime_ns != before


def test_bad_files_are_named_and_the_others_done(song):
    (song.parent / "notes.doc").write_text("not audio")
    (song.parent / "empty.mp3").touch()
    (song.parent / "nothing").mkdir()
    result = run("missing.flac", "notes.doc", "empty.mp3", "nothing", song)
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("songsplit: ")]
    assert len(errors) == 4
    for name, line in zip(
        ("nothing", "missing.flac", "notes.doc", "empty.mp3"), errors, strict=True
    ):
        assert str(name) in line
    assert "Traceback" not in result.output
    assert (song.parent / "my song" / "vocals.wav").exists()
    assert {p.name for p in song.parent.iterdir()} == {
        "my song", "my song.wav", "notes.doc", "empty.mp3", "nothing"
    }  # fmt: skip


def test_two_songs_of_one_name_do_not_share_a_folder(song):
    twin = song.parent / "other" / song.name
    twin.parent.mkdir()
    twin.write_bytes(song.read_bytes())
    result = run(song, twin)
    assert result.exit_code == 1
    assert "is already the result of" in result.stderr


def test_a_song_is_never_replaced_by_its_own_stem(song):
    folder = song.parent / "vocals"
    folder.mkdir()
    source = folder / "vocals.wav"
    source.write_bytes(song.read_bytes())
    result = run(source, "--overwrite")
    assert result.exit_code == 1
    assert "would replace the song itself" in result.stderr
    assert source.read_bytes() == song.read_bytes()


def test_half_a_result_is_not_taken_for_one(song):
    assert run(song).exit_code == 0
    (song.parent / "my song" / "vocals.wav").unlink()
    result = run(song)
    assert result.exit_code == 1
    assert "vocals.wav is not there" in result.stderr


def test_a_missing_song_is_not_hidden_by_an_old_result(song):
    assert run(song).exit_code == 0
    song.unlink()
    result = run(song)
    assert result.exit_code == 1
    assert "no such file" in result.stderr


def test_odd_names_stay_in_the_output_folder(song):
    for name in ("...wav", "-o.wav", "sóng ♫.wav"):
        (song.parent / name).write_bytes(song.read_bytes())
        assert run("-o", "out", "--", name).exit_code == 0
    assert {p.name for p in (song.parent / "out").iterdir()} == {"...wav", "-o", "sóng ♫"}


def test_a_name_that_the_terminal_cannot_show(song):
    odd = song.parent / os.fsdecode(b"caf\xe9.wav")
    odd.write_bytes(song.read_bytes())
    command = [sys.executable, "-m", "songsplit", odd.name, song.name]
    env = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, env=env, check=False)
    assert result.returncode == 0, result.stderr
    assert (song.parent / "my song" / "vocals.wav").exists()


def test_unknown_model(song):
    result = run(song, "--model", "nonesuch")
    assert result.exit_code == 1
    assert "unknown model 'nonesuch'" in result.stderr
    assert not (song.parent / "my song").exists()


def piped(song, *arguments):
    """Run the command with a song as its standard input."""
    command = [sys.executable, "-m", "songsplit", *arguments, "--device", "cpu"]
    with song.open("rb") as source:
        return subprocess.run(
            command,
            stdin=source,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )


def test_formats(song):
    loud = np.random.default_rng(0).uniform(-1, 1, (22050, 2))
    soundfile.write(song, loud, 44100, subtype="FLOAT")
    result = run(song, "--format", "flac", "--bit-depth", "16", "--device", "cpu", "-o", "a")
    assert result.exit_code == 0, result.output
    assert soundfile.info(song.parent / "a" / "my song" / "vocals.flac").subtype == "PCM_16"
    result = run(song, "--format", "mp3", "--bitrate", "128", "--device", "cpu", "-o", "b")
    assert result.exit_code == 0, result.output
    assert (song.parent / "b" / "my song" / "vocals.mp3").stat().st_size < 12_000
    result = run(song, "--format", "mp3", "--bit-depth", "16")
    assert result.exit_code == 2
    assert "give a bit rate" in result.stderr
    assert run(song, "--format", "aac").exit_code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches processes otherwise there")
@pytest.mark.parametrize("options", [("-o", "out"), ("--stdout", "vocals")])
def test_an_interruption_of_a_pipe_leaves_nothing(song, options):
    command = [sys.executable, "-m", "songsplit", "-", "--device", "cpu", *options]
    # Less than a chunk: everything is read, and nothing is written yet.
    samples = np.zeros((44100 * 5, 2), np.float32)
    soundfile.write(song, samples, 44100, subtype="FLOAT")
    content = bytearray(song.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff" * 4
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=heed_interrupts,
    ) as process:
        process.stdin.write(content)
        process.stdin.flush()
        time.sleep(2)  # until it waits for more
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert list(song.parent.rglob("*")) == [song]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("options", [("-o", "out"), ("--stdout", "vocals")])
def test_a_full_standard_output_is_told(song, options):
    command = [sys.executable, "-m", "songsplit", str(song), "--device", "cpu", *options]
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert result.returncode == 1
    assert "standard output" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("closed", "status"), [("<&-", 1), (">&-", 0), ("2>&-", 0)])
def test_closed_streams(song, closed, status):
    source = "-" if closed == "<&-" else "'my song.wav'"
    command = f"{sys.executable} -m songsplit {source} --device cpu {closed}"
    result = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_called_minus(song):
    (song.parent / "-").write_bytes(song.read_bytes())
    assert run("./-", "-o", "out", "--device", "cpu").exit_code == 0
    assert (song.parent / "out" / "-" / "vocals.wav").exists()


def test_standard_input_and_output(song):
    result = piped(song, "-")
    assert result.returncode == 0, result.stderr
    vocals, _ = soundfile.read(song.parent / "stdin" / "vocals.wav")
    result = piped(song, "-", "--stdout", "vocals")
    assert result.returncode == 0, result.stderr
    (song.parent / "out.wav").write_bytes(result.stdout)
    written, rate = songsplit.audio.read_audio(song.parent / "out.wav")
    assert rate == 44100
    np.testing.assert_allclose(written.T, vocals, atol=1e-3)
    assert not (song.parent / "unused").exists()


def test_standard_output_takes_one_stem_of_one_song(song):
    assert run(song, song, "--stdout", "vocals").exit_code == 2
    result = run(song, "--stdout", "drums")
    assert result.exit_code == 1
    assert "no stem 'drums', only vocals, instrumental" in result.stderr


def test_a_reader_that_has_had_enough_ends_the_work_quietly(song):
    # More than a pipe holds.
    soundfile.write(song, np.zeros((44100 * 10, 2)), 44100)
    command = f"{sys.executable} -m songsplit '{song}' --stdout vocals --device cpu | head -c 1"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert result.stdout == b"R"
    assert result.returncode == 141
    assert b"Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches processes otherwise there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interruption_leaves_nothing(song, number, jobs):
    soundfile.write(song, np.random.default_rng(0).normal(size=(44100 * 600, 2)) / 10, 44100)
    command = [sys.executable, "-m", "songsplit", str(song), "-o", "out", "-d", "cpu"]
    with subprocess.Popen(
        [*command, "--jobs", str(jobs)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=heed_interrupts,
    ) as process:
        deadline = time.monotonic() + 60
        while not list(song.parent.glob("out/*/.songsplit-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert "no partial results" in errors
    assert list(song.parent.rglob("*")) == [song]


def test_quality(song):
    found = []
    for quality in ("fast", "balanced", "best"):
        assert run(song, "--quality", quality, "-o", quality, "--device", "cpu").exit_code == 0
        found.append(soundfile.read(song.parent / quality / "my song" / "vocals.wav")[0])
    for one, other in pairwise(found):
        assert np.abs(one - other).max() > 1e-4
    result = run(song, "--quality", "bset")
    assert result.exit_code == 2
    assert "balanced" in result.stderr
    assert "best" in result.stderr


def test_models_tells_terms():
    result = run("models")
    assert result.exit_code == 0
    assert "default" in result.stdout
    assert "non-commercial" in result.stdout


def test_help_and_version():
    shown = run("--help").stdout
    for word in ("song.mp3", "SONG", "--output", "--overwrite", "models"):
        assert word in shown
    assert "--overwrite" in run("split", "--help").stdout
    assert run("--version").stdout.strip() == f"songsplit {songsplit.__version__}"


def test_importing_songsplit_is_silent_and_imports_no_torch():
    heavy = "('torch', 'av', 'librosa', 'pytorch_lightning', 'musdb')"
    code = (
        f"import sys, songsplit, songsplit.cli; assert not [m for m in sys.modules if m in {heavy}]"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == result.stderr == ""


def test_listing_models_and_public_names_need_no_torch():
    code = (
        "import sys, songsplit; songsplit.list_models(); dir(songsplit); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonesuch"):
        songsplit.nonesuch


def encode(path, codec, samples):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44100, layout="stereo")
        for start in range(0, samples.shape[1], 1152):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, start : start + 1152]), "fltp", "stereo"
            )
            frame.sample_rate = 44100
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["song.m4a", "song.flac", "song.mp3", "song.ogg"])
def test_compressed_songs(song, name):
    t = np.arange(22050) / 44100
    chirp = 0.3 * np.sin(2 * np.pi * (300 + 700 * t) * t)
    samples = np.stack([chirp, chirp], axis=1).astype(np.float32)
    if name == "song.m4a":
        encode(song.parent / name, "aac", samples.T)
    else:
        soundfile.write(song.parent / name, samples, 44100)
    assert run(name).exit_code == 0
    parts = [
        soundfile.read(song.parent / "song" / f"{s}.wav")[0] for s in ("vocals", "instrumental")
    ]
    mixture = sum(parts)
    # Not cut, not shifted; AAC may end with the rest of a frame of silence.
    assert 0 <= len(mixture) - len(samples) < 1152
    np.testing.assert_allclose(mixture[1000:21000], samples[1000:21000], atol=0.02)


def test_control_c_stops_without_partial_results(song, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("songsplit.separator.stream_stems", interrupted)
    result = run(song)
    assert result.exit_code == 130
    assert "no partial results" in result.stderr
    assert not (song.parent / "my song").exists()
