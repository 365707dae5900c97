"""Existing results: which of them are kept."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
import soundfile

from songsplit import Separator
from tests.cli.conftest import run

STEMS = ("vocals", "instrumental")


@pytest.fixture
def no_model(monkeypatch):
    """Return a function after whose call nothing can be separated."""

    def refuse(*arguments, **options):
        raise AssertionError("nothing is to be separated")

    return lambda: monkeypatch.setattr(Separator, "separate_to_files", refuse)


def files():
    return {path: path.read_bytes() for path in Path().rglob("*.[wp][an][vg]")}


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("practice --tempo 80%", "practice --tempo 60%", "tempo 0.8, not 0.6"),
        ("karaoke", "karaoke --vocals -18dB", "vocals off, not -18 dB"),
        ("split", "split --model open", "not open ("),
        ("karaoke", "karaoke --plot", "exists but song (picture).png does not"),
        ("split", "split --quality best", "quality balanced, not best"),
        ("karaoke --filename a", "acapella --filename a", "instrumental +0 dB, not off"),
    ],
)
def test_results_of_other_settings_do_not_pass_for_those_asked_for(song, first, second, told):
    if "practice" in first:
        pytest.importorskip("python_stretch")
    (verb, *options), (other_verb, *others) = first.split(), second.split()
    run(verb, song, *options, "-d", "cpu")
    before = files()
    refused = run(other_verb, song, *others, "-d", "cpu", code=1)
    assert told in refused.stderr
    assert "--overwrite replaces it" in refused.stderr
    assert "kept: " in run(verb, song, *options).stderr
    assert files() == before
    run(other_verb, song, *others, "--overwrite", "-d", "cpu")
    assert files() != before
    assert "kept: " in run(other_verb, song, *others).stderr


def test_another_song_of_the_same_name_and_length_is_told_apart(song):
    run(song, "-d", "cpu")
    content, before = song.read_bytes(), song.stat()
    song.write_bytes(content + b"more tags")
    assert "from another song or an older version of it" in run(song, code=1).stderr
    # A moved song is the same song; another song of the same size is not.
    song.write_bytes(content)
    os.utime(song, ns=(before.st_atime_ns, before.st_mtime_ns))
    Path("moved").mkdir()
    moved = shutil.copy2(song, "moved/song.flac")
    assert "kept: " in run(moved).stderr
    os.utime(moved, ns=(0, 0))
    assert "song.flac" in run(moved, code=1).stderr


def test_without_a_record_nothing_is_kept(song):
    run(song, "-d", "cpu")
    for line in ("", "{}", "[1]", '{"result": "vocals.wav"}', "\0\xff"):
        Path("song/.songsplit.jsonl").write_text(line + "\n")
        assert "no record that it was made from this song" in run(song, code=1).stderr


def test_a_folder_that_moves_with_its_results(song):
    Path("Music/deep").mkdir(parents=True)
    shutil.copy2(song, "Music/deep/song.flac")
    for verb in ("split", "karaoke"):
        run(verb, "Music", "-o", "Music/results", "-d", "cpu")
    Path("Music").rename("Moved")
    result = run("Moved", "-o", "Moved/results")
    assert result.stderr.count("kept: ") == 1
    # Without their songs, results are ordinary songs.
    again = run("Moved/results", "-o", "x", "--dry-run")
    assert len(again.stdout.splitlines()) == 6


def test_one_stem(song):
    loud, rate = soundfile.read(song)
    soundfile.write(song, loud * 5, rate, subtype="PCM_24")
    exact = ("--bit-depth", "32f", "-d", "cpu")
    run(song, "-o", "both", *exact)
    result = run(song, "--stem", "vocals", *exact)
    assert result.stdout.split() == ["song/vocals.wav"]
    run(song, "--stem", "instrumental", *exact)
    for name in ("vocals.wav", "instrumental.wav"):
        assert Path("song", name).read_bytes() == Path("both/song", name).read_bytes()
    assert "kept: " in run(song, *exact).stderr
    assert "only vocals, instrumental" in run(song, "--stem", "drums", code=2).stderr
    run(song, "--stem", "vocals", "-f", "stem.mp4", code=2)
    run(song, "--stem", "vocals", "--stdout", "vocals", code=2)


def test_a_picture_of_finished_stems(song, no_model):
    pytest.importorskip("matplotlib")
    pictures = {}
    for form in ("wav", "mp3", "stem.mp4"):
        run(song, "-f", form, "-o", form[:4], "--plot", "-d", "cpu")
        [picture] = Path(form[:4]).rglob("*.png")
        pictures[form] = picture, picture.stat().st_size
    no_model()
    for form, (picture, size) in pictures.items():
        picture.unlink()
        run(song, "-f", form, "-o", form[:4], "--plot")
        assert picture.stat().st_size == pytest.approx(size, rel=0.3)
        assert "kept: " in run(song, "-f", form, "-o", form[:4], "--plot").stderr
    assert "other settings" in run(song, "-o", "wav", "--quality", "best", "--plot", code=1).stderr


@pytest.mark.parametrize(
    "line", ["karaoke --vocals -18dB", "acapella", "remix --vocals +3dB --plot"]
)
def test_mixes_of_finished_stems(song, no_model, line):
    verb, *options = f"{line} --bit-depth 24".split()
    run(verb, song, *options, "-o", "direct", "-d", "cpu")
    run(song, "--bit-depth", "24", "-d", "cpu")
    no_model()
    run(verb, song, *options)
    results = [Path(folder, f"song ({verb}).wav") for folder in ("direct", ".")]
    direct, mixed = (soundfile.read(path)[0] for path in results)
    np.testing.assert_allclose(mixed, direct, atol=2**-22)
    assert [str(mutagen.File(path)["TIT2"]) for path in results] == [f"T.N.T. ({verb})"] * 2
    assert "kept: " in run(verb, song, *options).stderr


def test_stems_that_are_no_parts_of_the_song_are_not_mixed(song, no_model):
    run(song, "-o", "turned", "-d", "cpu")
    records = Path("turned/song/.songsplit.jsonl")
    records.write_text(records.read_text().replace('"gain_db": 0.0', '"gain_db": -1.0'))
    for stem in STEMS:
        run("remix", song, "--vocals", "-6dB", "--filename", f"{{track}}/{stem}", "-d", "cpu")
    no_model()
    for folder in ("turned", "."):
        assert "AssertionError" in run("karaoke", song, "-o", folder, code=1).stderr


@pytest.mark.parametrize("change", ["-f mp3", "--quality best", "--model open", "--bit-depth 16"])
def test_stems_that_are_not_as_a_mix_needs_them(song, no_model, change):
    run(song, *change.split(), "-d", "cpu")
    no_model()
    assert "AssertionError" in run("karaoke", song, code=1).stderr


def test_another_sound_track_of_a_film(song):
    with av.open("film.mkv", "w") as film:
        streams = [film.add_stream("pcm_s16le", rate=44100, layout="mono") for _ in range(2)]
        for number, stream in enumerate(streams, 1):
            tone = np.full((1, 44100), 1000 * number, np.int16)
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 44100, 0
            film.mux(stream.encode(frame))
    told = run("film.mkv", "-d", "cpu")
    assert told.stderr.count("has 2 sound tracks; using 1") == 1
    assert len(json.loads(run("info", "film.mkv", "--json").stdout)["tracks"]) == 2
    refused = run("film.mkv", "--track", "2", code=1)
    assert "sound track default, not 2" in refused.stderr
    assert "sound tracks" not in run("film.mkv", "--track", "2", "-o", "x", "-d", "cpu").stderr
    for folder, level in (("film", 1000), ("x/film", 2000)):
        total = sum(soundfile.read(path)[0].mean() for path in Path(folder).glob("*.wav"))
        assert total * 2**15 == pytest.approx(level, rel=1e-3)
    assert "from 1 to 2" in run("film.mkv", "--track", "3", "--dry-run", code=1).stderr
