from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit import files
from songsplit.audio import (
    BitDepth,
    OutputFormat,
    StemFilesWriter,
    Tags,
    clear_stale_parts,
    encoders,
    read_audio,
)
from songsplit.errors import OutputError
from songsplit.files import TEMPORARY_PREFIX, GrowingFile, write_whole
from tests.zoo.encoding import RATE, song

STEMS = ("vocals", "instrumental")


FLOAT = OutputFormat("wav", "32f")


def write_audio(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    with StemFilesWriter({"audio": path}, sample_rate, samples.shape[0], output=FLOAT) as writer:
        writer.write({"audio": samples})


def write_all(folder: Path, samples: np.ndarray) -> None:
    paths = {stem: folder / f"{stem}.wav" for stem in STEMS}
    with StemFilesWriter(paths, RATE, samples.shape[0]) as writer:
        for block in np.array_split(samples, 3, axis=1):
            writer.write(dict.fromkeys(STEMS, block))


@pytest.mark.parametrize("depth", ["16", "32f"])
def test_very_long_files_become_rf64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: BitDepth
) -> None:
    path = tmp_path / "long.wav"
    monkeypatch.setattr(encoders, "_MAX_PLAIN_BYTES", 1000)
    with StemFilesWriter({"a": path}, RATE, 2, output=OutputFormat("wav", depth)) as writer:
        writer.write({"a": song()})
    assert soundfile.info(str(path)).format == "RF64"
    np.testing.assert_allclose(read_audio(path)[0], song(), atol=0 if depth == "32f" else 1e-4)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    paths = {stem: tmp_path / "a" / "b" / f"{stem}.wav" for stem in STEMS}

    def work() -> None:
        with StemFilesWriter(paths, RATE, 2) as writer:
            writer.write(dict.fromkeys(STEMS, song()))
            assert not list(tmp_path.rglob("*.wav"))
            raise error

    with pytest.raises(error):
        work()
    assert not list(tmp_path.iterdir())


def test_when_one_name_cannot_be_taken_none_is(tmp_path: Path) -> None:
    paths = {stem: tmp_path / f"{stem}.wav" for stem in ("drums", *STEMS)}
    paths["vocals"].write_text("old")

    def work() -> None:
        with StemFilesWriter(paths, RATE, 2) as writer:
            writer.write(dict.fromkeys(paths, song()))
            paths["instrumental"].mkdir()

    with pytest.raises(OutputError):
        work()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["instrumental.wav", "vocals.wav"]
    assert paths["vocals"].read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="open files cannot be removed there")
@pytest.mark.parametrize("how", ["removed", "link", "another file", "folder"])
def test_a_temporary_file_that_is_taken_away(tmp_path: Path, how: str) -> None:
    other = tmp_path / "precious"
    other.write_text("precious")
    other.chmod(0o600)
    results = tmp_path / "results"
    write_all(results, song())

    def work() -> None:
        paths = {stem: results / f"{stem}.wav" for stem in STEMS}
        with StemFilesWriter(paths, RATE, 2, tags=Tags({"title": ["x"]})) as writer:
            writer.write(dict.fromkeys(STEMS, -song()))
            hidden = next(results.glob(f"{TEMPORARY_PREFIX}*"))
            hidden.unlink()
            if how == "link":
                hidden.symlink_to(other)
            elif how == "another file":
                hidden.write_text("other")
            elif how == "folder":
                hidden.mkdir()

    with pytest.raises(OutputError, match="removed or replaced the unfinished file"):
        work()
    assert other.read_text() == "precious"
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    for stem in STEMS:
        np.testing.assert_allclose(read_audio(results / f"{stem}.wav")[0], song(), atol=1e-6)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    cases = {
        tmp_path / "file" / "out.wav": "a file is in the way",
        tmp_path / "file" / "deeper" / "out.wav": "a file is in the way",
        tmp_path / "folder": "this is a folder",
        tmp_path / ("x" * 300 + ".wav"): "cannot be written",
    }
    for path, message in cases.items():
        with pytest.raises(OutputError, match=message) as caught:
            write_audio(path, song(), RATE)
        assert str(path) in str(caught.value)
    with pytest.raises(OutputError, match="two results"):
        StemFilesWriter(dict.fromkeys(STEMS, tmp_path / "x.wav"), 1, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission"):
        write_audio(tmp_path / "a.wav", song(), RATE)
    tmp_path.chmod(0o700)


def test_a_folder_that_another_song_takes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Songs share folders; a song that fails removes the folders it created."""
    taken: list[Path] = []

    class TooLate(GrowingFile):
        def __init__(self, path: Path) -> None:
            if not taken:
                taken.append(path)
                path.parent.rmdir()
            super().__init__(path)

    monkeypatch.setattr(files, "GrowingFile", TooLate)
    with StemFilesWriter({"vocals": tmp_path / "a" / "vocals.wav"}, 44100, 1) as writer:
        writer.write({"vocals": np.zeros((1, 10), np.float32)})
    assert taken
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["vocals.wav"]


def test_permissions_are_the_usual_or_those_of_the_older_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    path = tmp_path / "a.wav"
    write_audio(path, song(), RATE)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    path.chmod(0o640)
    write_audio(path, song(), RATE)
    write_whole(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="there, only age tells")
def test_what_a_killed_writer_left_is_stale_at_once(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from songsplit.audio import StemFilesWriter;"
        "StemFilesWriter({'a': Path(sys.argv[1]) / 'a.wav'}, 44100, 1).__enter__(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    [left] = tmp_path.iterdir()
    assert left.name.startswith(TEMPORARY_PREFIX)
    with StemFilesWriter({"a": tmp_path / "a.wav"}, RATE, 2) as writer:
        clear_stale_parts(tmp_path)
        assert not left.exists()
        # Files with an active writer are kept.
        assert [path.name.startswith(TEMPORARY_PREFIX) for path in tmp_path.iterdir()] == [True]
        writer.write({"a": song()})
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    clear_stale_parts(tmp_path / "missing")


def test_without_locks_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("songsplit.files._lock", lambda handle, unknown=True: unknown)
    old, new = tmp_path / f"{TEMPORARY_PREFIX}a", tmp_path / f"{TEMPORARY_PREFIX}b"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    clear_stale_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [new]
