from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from songsplit.data import __main__ as program
from songsplit.data.cache import ClipCache
from songsplit.data.sources import manifest_clips
from songsplit.errors import DataError

COLUMNS = ("path", "kind", "source", "split", "sample_rate")


@pytest.fixture
def manifest(tmp_path):
    rows = [
        ("solo.wav", "vocals", "choir", "train", 44100),
        ("phone.wav", "vocals", "choir", "train", 16000),
        ("band.wav", "instrumental", "games", "train", 44100),
        ("hidden.wav", "instrumental", "games", "valid", 44100),
        ("duo_vocals.wav", "multitrack-vocals", "duos", "train", 44100),
        ("duo_accomp.wav", "multitrack-accomp", "duos", "train", 44100),
    ]
    for number, row in enumerate(rows):
        soundfile.write(tmp_path / row[0], np.full((400, 2), number / 10), 44100)
    write(tmp_path / "list.csv", rows)
    return tmp_path / "list.csv"


def write(path, rows, columns=COLUMNS):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def test_kinds_become_sources_and_stems(manifest):
    found = {c.name: (c.source, tuple(c.stems), c.bandwidth) for c in manifest_clips(manifest)}
    assert found == {
        "list/solo.wav": ("singers", ("vocals",), None),
        "list/phone.wav": ("narrowband-singers", ("vocals",), 0.96 * 8000),
        "list/band.wav": ("instrumentals", ("instrumental",), None),
        "list/duo": ("duos", ("vocals", "instrumental"), None),
    }


def test_a_bandwidth_column_counts_more_than_the_rate(manifest):
    write(manifest, [("solo.wav", "vocals", "x", "train", 44100, 8500)], (*COLUMNS, "bandwidth"))
    (clip,) = manifest_clips(manifest)
    assert clip.bandwidth == 8500


def test_faults_are_named(manifest):
    write(manifest, [("duo_vocals.wav", "multitrack-vocals", "duos", "train", 44100)])
    with pytest.raises(DataError, match="duo has no partner"):
        list(manifest_clips(manifest))
    write(manifest, [("none.wav", "vocals", "x", "train", 44100)])
    with pytest.raises(DataError, match=r"none\.wav"):
        list(manifest_clips(manifest))
    write(manifest, [("solo.wav", "vocals")], ("path", "kind"))
    with pytest.raises(DataError, match="'source'"):
        list(manifest_clips(manifest))
    write(manifest, [("solo.wav", "vocals", "x", "train", "fast")])
    with pytest.raises(DataError, match=r"line 2.*fast"):
        list(manifest_clips(manifest))
    write(manifest, [("solo.wav", "Vocals", "x", "train", 44100)])
    with pytest.raises(DataError, match="line 2: kind 'Vocals' is none of vocals"):
        list(manifest_clips(manifest))
    write(manifest, [("solo.wav", "vocals", "x", "train", 44100)] * 2)
    with pytest.raises(DataError, match=r"solo\.wav is listed twice"):
        list(manifest_clips(manifest))
    write(manifest, [("solo.wav", "vocals")])
    with pytest.raises(DataError, match="line 2: path and source"):
        list(manifest_clips(manifest))
    with pytest.raises(DataError, match=r"gone\.csv"):
        list(manifest_clips(manifest.parent / "gone.csv"))


def test_the_program_fills_a_cache(manifest):
    import typer

    app = typer.Typer()
    app.command()(program.fill)
    cache = manifest.parent / "cache"
    result = CliRunner().invoke(app, ["--manifest", str(manifest), str(cache)])
    assert result.exit_code == 0, result.output
    assert "4 clips" in result.stdout
    assert len(ClipCache(cache).clips) == 4
    nothing = CliRunner().invoke(app, [str(manifest.parent / "other")])
    assert nothing.exit_code == 1
    assert "no audio was found" in nothing.stderr
