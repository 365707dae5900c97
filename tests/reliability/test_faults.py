"""A batch on the command line, and a disk, a folder, a file or a device that fails on the way.

After each fault, finished files are whole, and a rerun gives what an undisturbed run gives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner, Result

from songsplit import Separator
from songsplit.audio import read_audio
from songsplit.cli import app
from songsplit.inference.devices import precision
from songsplit.inference.runner import Runner
from songsplit.models.storage import save_weights
from tests.models.tiny import TINY, tiny_model
from tests.reliability.songs import contents, empty_folders, hidden

RATE = 44100
_DISK = 4 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained, quick network."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_weights(tiny_model(), {"name": "tiny"}, path)
    return path


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    for index in range(4):
        path = folder / ("", "disc")[index % 2] / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).normal(0, 0.1, (RATE, 2))
        soundfile.write(path, noise, RATE)
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "songsplit-test", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def separate(songs: Path, out: Path, model: Path, *options: str) -> Result:
    arguments = [str(songs), "-o", str(out), "--model", str(model), "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert "Traceback" not in result.output
    assert "please report" not in result.output
    return result


def check_partly_done(result: Result, out: Path, reference: dict[str, str]) -> None:
    """Some songs failed; what is there is whole, and nothing else is."""
    assert result.exit_code == 1, result.output
    found = contents(out)
    assert found.items() <= reference.items()
    assert len(found) < len(reference)
    assert not hidden(out)
    assert out not in empty_folders(out) or not found
    assert [folder for folder in empty_folders(out) if folder != out] == []


@pytest.mark.parametrize("options", [(), ("--jobs", "2"), ("--format", "flac")], ids=str)
def test_a_disk_that_fills_up(
    songs: Path, tmp_path: Path, disk: Path, model: Path, options: tuple[str, ...]
) -> None:
    separate(songs, tmp_path / "whole", model, *options)
    reference = contents(tmp_path / "whole")
    assert len(reference) == 8
    out, ballast = disk / "out", disk / "ballast"
    # Room for two songs in floating point, and for the second to be written.
    ballast.write_bytes(bytes(_DISK - (1800 << 10)))
    result = separate(songs, out, model, *options)
    check_partly_done(result, out, reference)
    assert "free some space" in result.stderr
    ballast.unlink()
    assert separate(songs, out, model, *options).exit_code == 0
    assert contents(out) == reference
    assert not hidden(out)


def test_a_disk_that_becomes_read_only(
    songs: Path, tmp_path: Path, disk: Path, model: Path
) -> None:
    separate(songs, tmp_path / "whole", model)
    reference = contents(tmp_path / "whole")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    result = separate(songs, disk / "out", model)
    assert result.exit_code == 1
    assert result.stderr.count("ead-only file system") >= 4
    assert not list(disk.iterdir())
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert separate(songs, disk / "out", model).exit_code == 0
    assert contents(disk / "out") == reference


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_a_folder_without_permission(songs: Path, tmp_path: Path, model: Path) -> None:
    separate(songs, tmp_path / "whole", model)
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    result = separate(songs, out, model)
    assert result.exit_code == 1
    assert "no permission" in result.stderr
    out.chmod(0o700)
    assert separate(songs, out, model).exit_code == 0
    assert contents(out) == contents(tmp_path / "whole")


def in_the_middle(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], object]) -> None:
    """Let something happen once, while the first chunk of a song is separated."""
    original, faults = Runner.foreground, [fault]

    def foreground(self: Runner, *arguments: object, **options: object) -> object:
        if faults:
            faults.pop()()
        return original(self, *arguments, **options)

    monkeypatch.setattr(Runner, "foreground", foreground)


@pytest.mark.skipif(os.name != "posix", reason="open files cannot be removed elsewhere")
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("change", ["removed", "cut", "replaced"])
def test_a_song_that_changes_while_it_is_read(
    songs: Path,
    tmp_path: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    jobs: str,
) -> None:
    # Long enough not to be read at once; the first of all.
    song = songs / "0.wav"
    soundfile.write(song, np.random.default_rng(9).normal(0, 0.1, RATE * 60), RATE)
    separate(songs, tmp_path / "whole", model)
    reference, kept = contents(tmp_path / "whole"), song.read_bytes()

    def fault() -> None:
        if change == "removed":
            song.unlink()
        elif change == "cut":
            os.truncate(song, len(kept) // 2)
        else:
            other = song.with_suffix(".new")
            other.write_bytes(bytes(len(kept)))
            other.replace(song)

    in_the_middle(monkeypatch, fault)
    out = tmp_path / "out"
    result = separate(songs, out, model, "--jobs", jobs)
    found = contents(out)
    assert found.items() <= reference.items()
    assert not hidden(out)
    # All others were done. What was opened before it was removed can be read to its end.
    assert {name for name in reference if not name.startswith("0/")} <= found.keys()
    if change == "cut":
        assert result.exit_code == 1
        assert "0.wav: the file changed" in result.stderr
    song.write_bytes(kept)
    assert separate(songs, out, model).exit_code == 0
    assert contents(out) == reference


class Scarce(str):
    """A device that computes as the CPU does, and is not called so."""

    type = "scarce"


class ScarceNetwork:
    """A network on a device whose memory runs out after some chunks."""

    config = TINY

    def __init__(self, network: Any, holds: int, runs: int) -> None:
        self._network, self._holds, self._runs = network, holds, runs
        self.failures = 0

    def to(self, device: object) -> ScarceNetwork:
        if isinstance(device, torch.device):
            self._holds = 99
        return self

    def foreground(self, items: torch.Tensor) -> object:
        self._runs -= 1
        if self._runs < 0 and len(items) > self._holds:
            self.failures += 1
            raise torch.OutOfMemoryError("device out of memory")
        with precision(torch.device("cpu")):
            return self._network.foreground(items)


@pytest.mark.filterwarnings("ignore:.*out of memory.*going on on the CPU")
@pytest.mark.parametrize(("items", "holds"), [(1, 0), (8, 0), (8, 3)])
def test_a_device_without_memory_in_the_middle_of_a_song(
    tmp_path: Path, model: Path, items: int, holds: int
) -> None:
    separator = Separator(model, device="cpu")
    song = np.random.default_rng(3).normal(0, 0.1, (RATE * 90, 2))
    soundfile.write(tmp_path / "song.wav", song, RATE, subtype="FLOAT")
    separator.separate_to_files(tmp_path / "song.wav", tmp_path / "whole")
    network = ScarceNetwork(separator._runner._network, holds, runs=2 if items == 1 else 0)
    separator._runner = Runner(network, Scarce("cpu"))  # type: ignore[arg-type]
    separator._runner._items = items
    separator.separate_to_files(tmp_path / "song.wav", tmp_path / "scarce")
    assert network.failures > 0
    whole, found = contents(tmp_path / "whole"), contents(tmp_path / "scarce")
    stems = [read_audio(tmp_path / "scarce" / name)[0] for name in sorted(found)]
    np.testing.assert_allclose(stems[0] + stems[1], song.T, atol=1e-6)
    if items == 1:
        assert found == whole
    # Several at once are rounded in another way.
    expected = read_audio(tmp_path / "whole" / "vocals.wav")[0]
    assert np.square(stems[1] - expected).mean() < 1e-4 * np.square(expected).mean()
